"""Text fits the terminal, nothing of it is lost, and no word is broken."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.cli.layout import Paper, emphasise, fold, lay_out, paper

HEADINGS = ("ID", "NAME", "DETAIL")
ROWS = (("1", "archive", "the answer was no"), ("12", "hook", ""))


class Terminal(io.StringIO):
    """A stream that leads to a terminal."""

    def isatty(self) -> bool:
        return True


def laid_out(width: int | None, rows: tuple[tuple[str, ...], ...] = ROWS) -> list[str]:
    return list(lay_out(HEADINGS, rows, Paper(width, bold=False)))


def test_columns_are_aligned_numbers_to_the_right_and_nothing_trails() -> None:
    assert laid_out(None) == [
        "ID  NAME     DETAIL",
        " 1  archive  the answer was no",
        "12  hook",
    ]


def test_a_row_that_is_too_wide_goes_on_below_column_for_column() -> None:
    assert laid_out(20) == [
        "ID  NAME",
        "    DETAIL",
        " 1  archive",
        "    the answer was",
        "        no",
        "12  hook",
    ]


def test_a_row_that_just_fits_stays_on_its_line() -> None:
    assert len(laid_out(30)) == 3
    assert len(laid_out(29)) == 5


def test_a_wide_character_takes_two_columns() -> None:
    rows = (("1", "東京", "x"), ("2", "abcd", "y"))
    assert laid_out(None, rows)[1:] == [" 1  東京  x", " 2  abcd  y"]


def test_only_the_headings_are_bold() -> None:
    lines = list(lay_out(HEADINGS, ROWS, Paper(None, bold=True)))
    assert lines[0] == "\x1b[1mID  NAME     DETAIL\x1b[0m"
    assert "\x1b" not in "".join(lines[1:])


@pytest.mark.parametrize(
    ("line", "folded"),
    [
        ("short", ["short"]),
        ("Reason  the answer was no", ["Reason  the answer", "        was no"]),
        ("  the answer was simply no", ["  the answer was", "      simply no"]),
        ("/a-path/that/is-longer/than-all", ["/a-path/that/is-longer/than-all"]),
    ],
)
def test_a_long_line_goes_on_below_itself(line: str, folded: list[str]) -> None:
    assert fold(line, 19) == folded
    assert fold(line, None) == [line]


@given(st.lists(st.text("abc-/", min_size=1, max_size=9), min_size=1), st.integers(40, 100))
def test_folding_keeps_every_word_and_the_width(words: list[str], width: int) -> None:
    lines = fold(" ".join(words), width)
    assert " ".join(lines).split() == words
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("environment", "bold"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_a_terminal_has_a_width_and_is_bold_only_if_it_can_and_may(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], bold: bool
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**environment, "COLUMNS": "90"}.items():
        monkeypatch.setenv(name, value)
    assert paper(Terminal()) == Paper(90, bold)
    assert paper(io.StringIO()) == Paper(None, bold=False)


STRIKING = re.compile(r"(FAILED|WARNING) |  (held),")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("FAILED  it", "\x1b[1;31mFAILED\x1b[0m  it"),
        ("WARNING it", "\x1b[33mWARNING\x1b[0m it"),
        ("  held, so", "  \x1b[1;31mheld\x1b[0m, so"),
        ("ok      FAILED it", "ok      FAILED it"),
        ("", ""),
    ],
)
def test_only_what_is_meant_to_stand_out_does(line: str, expected: str) -> None:
    assert emphasise(line, STRIKING) == expected

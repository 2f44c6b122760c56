"""Numbers that no database could have and bytes that are no text are a wrong use, everywhere."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cyclopts import App

from streamer.cli.commands import app, require_text
from streamer.core.errors import UsageError
from tests.cli.desk import Desk
from tests.support.service import ROOT, clean_environment

TOO_LARGE = "1234567890123456789012"


def leaves(group: App, *path: str) -> Iterator[tuple[str, ...]]:
    for word in group:
        if not word.startswith("-"):
            yield from list(leaves(group[word], *path, word)) or [(*path, word)]


def wanting_numbers() -> Iterator[list[str]]:
    """Yield a call of each command for each of its whole numbers, with one that is too large."""
    for path in leaves(app):
        _, (*_, command), _ = app.parse_commands([*path])
        collection = command.assemble_argument_collection()
        for argument in collection:
            if argument.hint in {int, int | None, tuple[int, ...]}:
                positional = argument.field_info.kind is not inspect.Parameter.KEYWORD_ONLY
                option = [] if positional else [argument.name]
                needed = {"replay start": ["archive"]}.get(" ".join(path), [])
                yield [*path, *needed, *option, TOO_LARGE]


CALLS = list(wanting_numbers())


def test_every_kind_of_number_was_found() -> None:
    called = [" ".join(call) for call in CALLS]
    for start in (
        "replay start archive --from", "replay start archive --to", "replay cancel",
        "dead-letters show", "dead-letters retry", "dead-letters discard", "dead-letters export",
        "quarantine show", "quarantine retry", "quarantine discard", "events list --after",
        "events list --limit", "send-sample --count",
    ):  # fmt: skip
        assert f"{start} {TOO_LARGE}" in called


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_a_number_that_is_too_large_is_a_wrong_use(desk: Desk, call: list[str]) -> None:
    answer = desk.run(*call)
    assert (answer.code, answer.out) == (2, "")
    assert "Traceback" not in answer.err
    assert desk.acts() == []


@pytest.mark.parametrize(
    "call",
    [
        [b"events", b"list", b"--source", b"\xff"],
        [b"events", b"list", b"--type", b"\xff*"],
        [b"events", b"show", b"\xff"],
        [b"replay", b"start", b"archive", b"--event", b"\xff"],
        [b"dead-letters", b"list", b"--reason", b"\xff"],
        [b"db", b"backup", b"/nowhere/\xff"],
        [b"status", b"--config", b"\xff"],
    ],
    ids=lambda call: b" ".join(call).decode("ascii", "backslashreplace"),
)
def test_what_is_no_text_is_a_wrong_use(call: list[bytes]) -> None:
    ended = subprocess.run(
        [sys.executable.encode(), b"-m", b"streamer", *call],
        env=clean_environment(),
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"\\xff" in ended.stderr
    assert b"is not UTF-8 text" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_the_argument_that_is_no_text_is_named_by_its_place() -> None:
    require_text(["events", "show", "übung"])
    with pytest.raises(UsageError, match=r"argument 2, 'a.xe9', is not UTF-8 text"):
        require_text(["events", "a\udce9"])

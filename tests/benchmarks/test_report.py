"""Figures say whether what is to be reached is reached, for people and for programs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks.harness import report
from benchmarks.harness.report import Figure, Measured


@pytest.mark.parametrize(
    ("figure", "verdict", "bound"),
    [
        (Figure(name="n", value=1.3, unit="x", at_most=1.3), "met", "≤ 1.3"),
        (Figure(name="n", value=1.31, unit="x", at_most=1.3), "MISSED", "≤ 1.3"),
        (Figure(name="n", value=20_000, unit="", at_least=20_000), "met", "≥ 20,000"),
        (Figure(name="n", value=19_999, unit="", at_least=20_000), "MISSED", "≥ 20,000"),
        (Figure(name="n", value=5, unit="", at_least=1, at_most=4), "MISSED", "≥ 1 ≤ 4"),
        (Figure(name="n", value=0, unit="", at_most=0), "met", "≤ 0"),
        (Figure(name="n", value=None, unit="x", at_most=1), "not measured", "≤ 1"),
        (Figure(name="n", value=1, unit="x"), "", ""),
    ],
)
def test_a_figure_knows_its_verdict(figure: Figure, verdict: str, bound: str) -> None:
    assert (figure.verdict, figure.bound) == (verdict, bound)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (12_345.6, "12,346"), (431.4, "431"), (68.41, "68.4"), (1.532, "1.53"), (0.14, "0.14"),
        (0.0314, "0.031"), (0, "0"), (3.0, "3.00"), (None, "-"), (-68.41, "-68.4"),
    ],
)  # fmt: skip
def test_a_value_is_written_with_about_three_figures(value: float | None, told: str) -> None:
    assert report.written(value) == told


def test_a_table_has_a_line_for_each_figure() -> None:
    figures = [
        Figure(name="ratio", value=1.5, unit="x", at_most=1.3, note="as expected"),
        Figure(name="events in all", value=1_000, unit="events"),
    ]
    assert report.table(figures).splitlines() == [
        "ratio           1.50  x       ≤ 1.3  MISSED  as expected",
        "events in all  1,000  events",
    ]
    assert report.table([]) == ""


def be_script(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[argparse.Namespace]:
    """Run a script that measures nothing, with these arguments; return what it was given."""
    given: list[argparse.Namespace] = []

    def measure(options: argparse.Namespace) -> Measured:
        given.append(options)
        assert not list(options.directory.iterdir())
        print("a log line")  # noqa: T201 - as libraries do
        return Measured([Figure(name="answer", value=42, unit="x", at_most=40)], {"raw": [1]})

    monkeypatch.setattr("sys.argv", ["script", *words])
    report.run("made_up", "What?", measure, arguments=lambda parser: parser.add_argument("--more"))
    return given


def test_a_script_prints_one_object_for_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    [options] = be_script(
        monkeypatch, "--json", "--full", "--directory", str(tmp_path / "new"), "--more", "x"
    )
    assert options.more == "x"
    assert not options.directory.exists()
    assert options.directory.parent == tmp_path / "new"
    found = json.loads(capsys.readouterr().out)
    assert {"date", "commit", "machine", "versions"} < set(found)
    assert (found["benchmark"], found["question"], found["full"]) == ("made_up", "What?", True)
    assert found["details"] == {"raw": [1]}
    [figure] = found["figures"]
    assert (figure["name"], figure["value"], figure["verdict"]) == ("answer", 42, "MISSED")


def test_a_script_prints_a_table_for_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    be_script(monkeypatch, "--directory", str(tmp_path))
    assert capsys.readouterr().out.endswith("What?\n\nanswer  42.0  x  ≤ 40  MISSED\n")

"""What the figures of the drains say, and how batches of lines are measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.drain_rate import FILE_BATCH_EVENTS, Rate, Sides, _sizes_of_batches, either
from benchmarks.harness.report import Figure


@pytest.mark.parametrize(
    ("rate", "ratio", "verdicts"),
    [
        (30_000, 0.9, ["met", ""]),
        (30_000, 0.1, ["met", ""]),
        (10_000, 0.9, ["", "met"]),
        (10_000, 0.1, ["MISSED", "MISSED"]),
    ],
)
def test_of_two_bounds_one_is_enough(rate: float, ratio: float, verdicts: list[str]) -> None:
    figures = either(
        Figure(name="rate", value=rate, unit="events/s", at_least=20_000),
        Figure(name="ratio", value=ratio, unit="x", at_least=0.5),
    )
    assert [figure.verdict for figure in figures] == verdicts


def test_ratios_are_the_drains_over_the_bare_loops_round_by_round() -> None:
    drains = [Rate(100, 30.0), Rate(10, 60.0), Rate(50, 30.0)]
    sides = Sides(drains, [Rate(200, 10.0), Rate(20, 20.0), Rate(200, 15.0)])
    assert sides.rate_ratio() == 0.5
    assert sides.cpu_ratio() == 3.0


def test_batches_of_lines_are_as_long_as_the_drain_has_them(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_bytes(b"ab\n" * (FILE_BATCH_EVENTS + 2))
    assert _sizes_of_batches(lines) == [3 * FILE_BATCH_EVENTS, 6]

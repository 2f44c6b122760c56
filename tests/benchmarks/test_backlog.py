"""The measurement of a backlog runs and its figures mean something, at a small size."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from benchmarks import backlog


def test_a_small_backlog_is_measured(tmp_path: Path) -> None:
    options = Namespace(directory=tmp_path, events=300, idle_seconds=0.1, full=False)
    figures = {one.name: one for one in backlog.measure(options).figures}
    memory, idle = (figures[name] for name in ("memory while draining, at most", "idle memory"))
    assert memory.value is not None
    assert idle.value is not None
    assert 10 < idle.value <= memory.value + 50 < 1000
    assert figures["idle CPU"].verdict in {"met", "MISSED"}


def test_growth_is_what_the_end_has_above_the_beginning() -> None:
    most, growth = backlog.memory_figures([50, 60, 55, 90, 70, 58, 64, 62])
    assert most.value == 90
    assert growth.value == 4

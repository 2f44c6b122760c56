"""The measurement of a backlog runs and its figures mean something, at a small size."""

from __future__ import annotations

from pathlib import Path

from benchmarks import backlog


def test_a_small_backlog_is_measured(tmp_path: Path) -> None:
    figures = {one.name: one for one in backlog.run(tmp_path, events=300, idle_seconds=0.1)}
    rate, memory = figures["draining to a file"].value, figures["memory at most"].value
    assert rate is not None
    assert rate > 0
    assert memory is not None
    assert 10 < memory < 1000
    assert figures["start to ready, whole backlog"].verdict in {"met", "MISSED"}

"""Segments that nothing is written to are closed by time, and packed; see also the crashes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamer.core.outcome import Verdict
from streamer.destinations.file import FileDestination
from tests.destinations.examples import Alarms, StandingClock, stored_events
from tests.destinations.file_cases import files, ids, ids_of, make

pytestmark = pytest.mark.anyio

HOUR_MS = 3_600_000


async def with_an_idle_segment(
    path: Path, clock: StandingClock, alarms: Alarms | None = None, *, compress: str = "gzip"
) -> FileDestination:
    """Write one event, and let an hour pass."""
    destination = make(
        path, clock=clock, alarms=alarms, segment_seconds_max=3600, compress=compress
    )
    await destination.open(None)
    await destination.send(stored_events(1))
    clock.now_ms += HOUR_MS
    return destination


async def test_a_segment_that_is_old_enough_is_closed_and_packed_without_a_further_event(
    tmp_path: Path,
) -> None:
    destination = await with_an_idle_segment(tmp_path, StandingClock())
    await destination.rotate()
    await destination.tidy()
    assert [file.suffix for file in files(tmp_path)] == [".gz"]
    await destination.send(stored_events(2))
    assert [file.suffix for file in files(tmp_path)] == [".gz", ".ndjson"]
    assert ids(tmp_path) == ids_of(1, 2)


async def test_one_that_is_not_old_enough_stays_open(tmp_path: Path) -> None:
    clock = StandingClock()
    destination = await with_an_idle_segment(tmp_path, clock)
    clock.now_ms -= 1000
    mark = destination.mark()
    await destination.rotate()
    await destination.tidy()
    assert destination.mark() == mark
    await destination.send(stored_events(2))
    assert len(files(tmp_path)) == 1


async def test_a_crash_before_the_closing_is_committed_leaves_the_segment_open(
    tmp_path: Path,
) -> None:
    clock, alarms = StandingClock(), Alarms()
    destination = await with_an_idle_segment(tmp_path, clock)
    mark = destination.mark()
    await destination.rotate()
    await destination.aclose()
    clock.now_ms -= HOUR_MS
    later = make(tmp_path, clock=clock, alarms=alarms)
    await later.open(mark)
    await later.send(stored_events(2))
    assert len(files(tmp_path)) == 1
    assert ids(tmp_path) == ids_of(1, 2)
    assert not alarms.raised


@pytest.mark.parametrize("packed", [True, False])
async def test_a_crash_after_it_leaves_the_segment_closed_and_to_be_packed(
    tmp_path: Path, *, packed: bool
) -> None:
    clock, alarms = StandingClock(), Alarms()
    destination = await with_an_idle_segment(tmp_path, clock)
    await destination.rotate()
    mark = destination.mark()
    if packed:
        await destination.tidy()
    await destination.aclose()
    later = make(tmp_path, clock=clock, alarms=alarms, compress="gzip")
    await later.open(mark)
    await later.rotate()
    await later.tidy()
    assert [file.suffix for file in files(tmp_path)] == [".gz"]
    await later.send(stored_events(2))
    await later.open(mark)
    assert ids(tmp_path) == ids_of(1), "what was not settled is taken back"
    await later.send(stored_events(3))
    assert ids(tmp_path) == ids_of(1, 3)
    assert not alarms.raised


async def test_a_segment_with_lines_to_be_taken_back_is_not_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = StandingClock()
    destination = await with_an_idle_segment(tmp_path, clock)
    clock.now_ms -= HOUR_MS
    mark = destination.mark()

    def failing(file: int) -> None:
        raise OSError(5, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        (outcome,) = await destination.send(stored_events(2))
    assert outcome.verdict is Verdict.DEFERRED
    clock.now_ms += HOUR_MS
    await destination.rotate()
    assert destination.mark() == mark
    await destination.tidy()
    assert [file.suffix for file in files(tmp_path)] == [".ndjson"]
    await destination.send(stored_events(2))
    assert ids(tmp_path) == ids_of(1, 2)


async def test_a_segment_that_lost_lines_is_not_closed_as_if_nothing_were_wrong(
    tmp_path: Path,
) -> None:
    alarms = Alarms()
    destination = await with_an_idle_segment(tmp_path, StandingClock(), alarms)
    os.truncate(files(tmp_path)[0], 10)
    await destination.rotate()
    await destination.send(stored_events(2))
    assert alarms.codes == ["STR-304"]


async def test_before_it_is_opened_there_is_nothing_to_rotate(tmp_path: Path) -> None:
    destination = make(tmp_path)
    await destination.rotate()
    assert destination.mark() is None


async def test_what_another_process_writes_to_is_neither_closed_nor_packed(tmp_path: Path) -> None:
    clock = StandingClock()
    first = await with_an_idle_segment(tmp_path, clock, compress="none")
    second = make(tmp_path, clock=clock, segment_seconds_max=3600, compress="gzip")
    await second.open(first.mark())
    await second.rotate()
    await second.tidy()
    assert second.mark() == first.mark()
    assert [file.suffix for file in files(tmp_path)] == [".ndjson"]

"""The janitor: what is written down, forgotten and given back beside the running service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from streamer.app.janitor import Janitor
from streamer.app.outlook import Outlook
from streamer.app.room import Room, RoomWatch
from streamer.core import alarms
from streamer.core.limits import DAY_SECONDS, PRUNE_EVENTS_MAX
from streamer.ingest.front import Front
from streamer.observe.board import Board
from streamer.store import alarms as stored_alarms
from streamer.store import destinations, sqlite, status
from streamer.store.destinations import Declared
from streamer.store.sqlite import Connection
from streamer.store.writer import Writer, WriterStats
from tests.store.build import NOW, append, declare, event, open_fresh
from tests.store.writing import running
from tests.support.manual_clock import ManualClock

T = TypeVar("T")

pytestmark = pytest.mark.anyio

DAY = DAY_SECONDS


class Household:
    """A janitor with everything that it looks after."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self.path = path
        self.writer = writer
        self.clock = ManualClock(NOW)
        self.board = Board(self.clock)
        self.rooms: list[Room] = []
        self.others: list[WriterStats] = []
        self.front = Front(
            _nowhere,
            sources={},
            writer=writer,
            clock=self.clock,
            board=self.board,
            deadline_seconds=3,
            body_memory_bytes_max=2**20,
        )
        self.janitor = Janitor(
            path=path,
            front=self.front,
            writer=writer,
            others=lambda: self.others,
            board=self.board,
            clock=self.clock,
            retention_days=14,
            wal_alarm_bytes=2**30,
            outlook=Outlook(self.board, quarantine_bytes_max=2**30),
            room=RoomWatch(path.parent, ingest_floor_bytes=0, drain_floor_bytes=0),
            on_room=self.rooms.append,
        )

    def look(self, work: Callable[[Connection], T]) -> T:
        connection = sqlite.open_reader(self.path)
        try:
            return work(connection)
        finally:
            connection.close()

    def events(self) -> int:
        return self.look(lambda db: status.read(db, now=self.clock.now())).outbox.events

    def standing(self) -> set[str]:
        found = self.look(lambda db: stored_alarms.current(db, now=self.clock.now()))
        return {alarm.code for alarm in found}


async def _nowhere(_scope: object, _receive: object, _send: object) -> None:
    raise AssertionError("nothing is asked of the inner application here")


@pytest.fixture
async def household(tmp_path: Path) -> AsyncIterator[Household]:
    path = tmp_path / "streamer.db"
    db = open_fresh(path)
    declare(db, Declared("archive", "file"))
    db.close()
    async with running(path) as writer:
        yield Household(path, writer)


def _fill(path: Path, count: int, *, settled: bool) -> None:
    db = sqlite.open_writer(path)
    db.execute("BEGIN")
    append(db, *(event(number) for number in range(count)))
    if settled:
        db.execute("UPDATE cursors SET position = ?", (count,))
    db.execute("COMMIT")
    db.close()


async def _days_pass(household: Household, days: int) -> None:
    """Let the janitor see each day, as it does in a service that runs."""
    for _ in range(days):
        household.clock.move(DAY)
        await household.janitor.prune()


async def test_locks_and_disks_that_other_writers_meet_are_told_as_its_own(
    household: Household,
) -> None:
    other = WriterStats()
    household.others.append(other)
    other.busy, other.disk_errors_in_row = 1, 2
    household.janitor.look_at_writers()
    await household.janitor.finish()
    assert household.standing() == {"STR-205", "STR-206"}
    other.disk_errors_in_row = 0
    household.clock.move(DAY + 1)
    household.janitor.look_at_writers()
    await household.janitor.finish()
    assert household.standing() == set(), "the lock was met once"


async def test_alarms_and_counts_are_written_down(household: Household) -> None:
    household.board.note(alarms.BAD_SIGNATURE, "customerio", "was a key changed?")
    household.front.tally.of("customerio").bad_signatures += 3
    await household.janitor.finish()
    found = household.look(lambda db: status.read(db, now=household.clock.now()))
    assert [(alarm.code, alarm.subject) for alarm in found.alarms] == [("STR-101", "customerio")]
    assert found.sources["customerio"].bad_signatures == 3


async def test_a_condition_that_is_over_leaves_the_status(household: Household) -> None:
    household.board.note(alarms.HELD, "archive", "401")
    await household.janitor.finish()
    assert household.standing() == {"STR-301"}
    household.board.clear(alarms.HELD, "archive")
    await household.janitor.finish()
    assert household.standing() == set()


async def test_settled_events_go_when_retention_has_passed(household: Household) -> None:
    _fill(household.path, PRUNE_EVENTS_MAX + 10, settled=True)
    await household.janitor.prune()
    await _days_pass(household, 14)
    assert household.events() == PRUNE_EVENTS_MAX + 10
    await _days_pass(household, 1)
    assert household.events() == 0


async def test_the_file_shrinks_after_pruning(household: Household) -> None:
    _fill(household.path, 5_000, settled=True)
    await household.janitor.prune()
    before = household.look(_pages)
    await _days_pass(household, 15)
    assert household.events() == 0
    assert household.look(_pages) < before / 4


async def test_unsettled_events_stay_however_old(household: Household) -> None:
    _fill(household.path, 10, settled=False)
    await household.janitor.prune()
    await _days_pass(household, 40)
    assert household.events() == 10


async def test_without_a_destination_events_go_once_retention_has_passed(
    household: Household,
) -> None:
    """Nobody is waited for, so the disk must not fill with them."""
    with closing(sqlite.open_writer(household.path)) as db:
        declare(db)
        destinations.forget(db, "archive", now=NOW)
    _fill(household.path, 10, settled=False)
    await household.janitor.prune()
    await _days_pass(household, 14)
    assert household.events() == 10
    await _days_pass(household, 1)
    assert household.events() == 0


async def test_nothing_is_pruned_after_the_clock_leapt(household: Household) -> None:
    _fill(household.path, 10, settled=True)
    await household.janitor.prune()
    household.clock.leap(400 * DAY)
    await household.janitor.prune()
    await household.janitor.finish()
    assert household.events() == 10
    assert "STR-208" in household.standing()


async def test_a_clock_that_comes_back_is_believed_again(household: Household) -> None:
    _fill(household.path, 10, settled=True)
    await household.janitor.prune()
    household.clock.leap(400 * DAY)
    await household.janitor.prune()
    household.clock.leap(-400 * DAY)
    await household.janitor.prune()
    await household.janitor.finish()
    assert "STR-208" not in household.standing()
    await _days_pass(household, 15)
    assert household.events() == 0


async def test_a_disk_that_was_too_full_for_pruning_leaves_no_doubt_in_the_clock(
    household: Household,
) -> None:
    await household.janitor.prune()
    household.clock.move(26 * 3_600)
    await household.janitor.prune()
    await household.janitor.finish()
    assert "STR-208" not in household.standing()


def _pages(db: Connection) -> int:
    return int(db.execute("PRAGMA page_count").fetchone()[0])

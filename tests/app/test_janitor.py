"""The janitor: what is looked after and written down beside the running service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from streamer.app.janitor import Janitor
from streamer.app.outlook import Outlook
from streamer.app.pruning import Pruning
from streamer.app.room import Room, RoomWatch
from streamer.core import alarms
from streamer.core.limits import DAY_SECONDS
from streamer.ingest.front import Front
from streamer.observe.board import Board
from streamer.store import alarms as stored_alarms
from streamer.store import sqlite, status
from streamer.store.connection import Database, connect_reader
from streamer.store.destinations import Declared
from streamer.store.sqlite import Connection
from streamer.store.writer import Writer, WriterStats
from tests.store.build import NOW, declare, open_fresh
from tests.store.writing import running
from tests.support.manual_clock import ManualClock

T = TypeVar("T")

pytestmark = pytest.mark.anyio

DAY = DAY_SECONDS


class Household:
    """A janitor, and pruning beside it, with everything that they look after."""

    def __init__(self, path: Path, writer: Writer, reader: Database, clock: ManualClock) -> None:
        self.path = path
        self.writer = writer
        self.reader = reader
        self.clock = clock
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
            wal_alarm_bytes=2**30,
            outlook=Outlook(self.board, quarantine_bytes_max=2**30),
            room=RoomWatch(path.parent, ingest_floor_bytes=0, drain_floor_bytes=0),
            on_room=self.rooms.append,
        )
        self.pruning = Pruning(
            path=path,
            writer=writer,
            reader=reader,
            board=self.board,
            clock=self.clock,
            retention_days=14,
            room=self.janitor.room,
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
        reader = await connect_reader(path)
        try:
            yield Household(path, writer, reader, ManualClock(NOW))
        finally:
            await reader.aclose()


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

"""The slow work beside the fast: disk, log, counters, alarms, forecast, once a second.

Everything here runs through the writer in transactions as small as a settled
batch, so that no call ever waits for the janitor. And the janitor waits for
nothing for long: while another program holds the database's lock, or the disk
refuses a step, the rest is done as ever. What takes long is not done here but
beside it (`streamer.app.pruning`): calls are refused by what was last seen of
the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import structlog

from streamer.app.outlook import Outlook, read_pins
from streamer.app.room import Room, RoomWatch
from streamer.app.upkeep import Upkeep
from streamer.clock import Clock
from streamer.core import alarms
from streamer.core.errors import StoreError
from streamer.core.intervals import (
    CHECKPOINT_IDLE_SECONDS,
    JANITOR_SECONDS,
    JANITOR_TICK_SECONDS,
    JANITOR_WRITE_SECONDS,
    LOOK_AHEAD_SECONDS,
)
from streamer.core.limits import CLOSE_SECONDS_MIN
from streamer.ingest.front import Front
from streamer.observe.board import Board, Change
from streamer.store import alarms as stored_alarms
from streamer.store import sources
from streamer.store.sources import Tally
from streamer.store.sqlite import Connection
from streamer.store.writer import Writer, WriterStats

T = TypeVar("T")

_log = structlog.get_logger("streamer.janitor")


class Janitor:
    """Ticks once a second for as long as the service runs."""

    def __init__(
        self,
        *,
        path: Path,
        front: Front,
        writer: Writer,
        board: Board,
        clock: Clock,
        wal_alarm_bytes: int,
        outlook: Outlook,
        room: RoomWatch,
        on_room: Callable[[Room], None],
        others: Callable[[], Sequence[WriterStats]] = tuple,
    ) -> None:
        """Look after the database of ``writer``, and of what is said of ``others`` beside it."""
        self.alive_until = 0.0
        self.room = room
        self.outlook = outlook
        self._path = path
        self._wal_path = path.with_name(path.name + "-wal")
        self._front = front
        self._writer = writer
        self._others = others
        self._board = board
        self._clock = clock
        self.wal_alarm_bytes = wal_alarm_bytes
        self._on_room = on_room
        self._upkeep = Upkeep(clock, board)
        self._writing_down = anyio.Lock()
        """Whoever comes second finds what the first could not store put back."""
        self._wal_bytes = 0
        self._next_look = 0.0
        self._next_checkpoint = 0.0

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._tick()
            with self._upkeep.step("disk"):
                self._look_at_room()
            self._look_at_log()
            self.look_at_writers()
            await self._write_down()
            now = self._clock.monotonic()
            if now >= self._next_checkpoint:
                self._next_checkpoint = now + CHECKPOINT_IDLE_SECONDS
                await self._writer.checkpoint()
            if now >= self._next_look:
                self._next_look = now + LOOK_AHEAD_SECONDS
                with self._upkeep.step("forecast"):
                    await self._look_ahead()
            await self._clock.sleep(JANITOR_SECONDS)

    def look_soon(self) -> None:
        """Look with the next tick at who keeps events, for that may have changed."""
        self._next_look = 0.0

    async def finish(self) -> None:
        """Write down what was counted since the last tick, unless that takes too long."""
        with anyio.move_on_after(CLOSE_SECONDS_MIN):
            await self._write_down()

    def _tick(self) -> None:
        self.alive_until = self._clock.monotonic() + JANITOR_TICK_SECONDS

    async def _do(self, work: Callable[[Connection], T]) -> T:
        """Do ``work`` in a transaction; raises `StoreBusy` when none can be had for too long."""
        self._tick()
        return await self._writer.do_within(work, JANITOR_WRITE_SECONDS)

    def _look_at_room(self) -> None:
        room = self.room.look()
        self._front.gate.disk_full = room.ingest_stops
        self._on_room(room)
        free = f"{room.free_bytes // 2**20} MiB are free"
        for alarm, holds, floor_bytes in (
            (alarms.DISK_FLOOR_INGEST, room.ingest_stops, self.room.ingest_floor_bytes),
            (alarms.DISK_FLOOR_DRAIN, room.drain_stops, self.room.drain_floor_bytes),
        ):
            if holds:
                self._board.note(alarm, "", f"{free}, the floor is {floor_bytes // 2**20} MiB")
            else:
                self._board.clear(alarm, "")

    def wal_bytes(self) -> int:
        """Return the size of the write-ahead log, or the last one while that cannot be seen."""
        try:
            self._wal_bytes = self._wal_path.stat().st_size
        except FileNotFoundError:
            self._wal_bytes = 0
        except OSError as error:
            _log.debug("wal.unseen", error=error.strerror)
        return self._wal_bytes

    def _look_at_log(self) -> None:
        size = self.wal_bytes()
        # The file keeps its size when it is reused, so it counts only while pages wait in it.
        if size >= self.wal_alarm_bytes and self._writer.stats.wal_pages:
            self._board.note(alarms.WAL_LARGE, "", f"it has {size // 2**20} MiB")
        else:
            self._board.clear(alarms.WAL_LARGE, "")

    def look_at_writers(self) -> None:
        """Tell of locks and disk errors that this process's writer or another's has met."""
        every = [self._writer.stats, *self._others()]
        met = [stats.take_busy() for stats in every]
        if any(met):
            self._board.note(alarms.DATABASE_LOCKED, "", "commits waited for the lock")
        errors = max(stats.disk_errors_in_row for stats in every)
        if errors:
            self._board.note(alarms.DATABASE_FAILING, "", f"{errors} in a row")
        else:
            self._board.clear(alarms.DATABASE_FAILING, "")

    async def _write_down(self) -> None:
        """Store counters and alarms, if there are any; put them back when that fails."""
        async with self._writing_down:
            tally, self._front.tally = self._front.tally, Tally()
            changes = self._board.take()
            if not tally.by_source and not changes:
                return
            try:
                await self._do(partial(_store, tally, changes, self._clock.now()))
            except StoreError:
                self._board.put_back(changes)
                self._front.tally.merge(tally)

    async def _look_ahead(self) -> None:
        pins = await self._writer.maintain(read_pins)
        self.outlook.look(self.room.last, pins, monotonic_seconds=self._clock.monotonic())


def _store(tally: Tally, changes: Sequence[Change], now: int, db: Connection) -> None:
    sources.add(db, tally)
    for change in changes:
        code, subject = change.code, change.subject
        if change.times:
            stored_alarms.note(db, code, subject, change.message, times=change.times, now=now)
        else:
            stored_alarms.clear(db, code, subject, now=now)

"""Pruning: forgets what is old enough and gives its room back, one small step at a time.

A loop of its own beside the janitor's, for it may take minutes: disk, counters
and alarms are looked after once a second meanwhile. Each step is a transaction
as small as a settled batch, with a pause behind it, so that no call waits for
pruning. While the disk is too full for calls there is nobody to make room for,
and the pauses are left out.

It reads what the janitor last saw of the disk, and shares nothing else with it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from streamer.app.clock_watch import ClockWatch
from streamer.app.room import RoomWatch
from streamer.app.upkeep import Upkeep
from streamer.clock import Clock, boot_number
from streamer.core import alarms
from streamer.core.intervals import (
    JANITOR_SECONDS,
    JANITOR_TICK_SECONDS,
    JANITOR_WRITE_SECONDS,
    PRUNE_PAUSE_SECONDS,
    PRUNE_SECONDS,
    VACUUM_PAUSE_SECONDS,
)
from streamer.core.limits import DAY_SECONDS, PRUNE_EVENTS_MAX, VACUUM_BYTES, VACUUM_PAGES_MAX
from streamer.observe.board import Board
from streamer.store import copies, prune, sqlite
from streamer.store.connection import Database
from streamer.store.sqlite import Connection
from streamer.store.writer import Writer

T = TypeVar("T")

_log = structlog.get_logger("streamer.pruning")


class Pruning:
    """Looks once a minute for what may go, for as long as the service runs."""

    def __init__(
        self,
        *,
        path: Path,
        writer: Writer,
        reader: Database,
        board: Board,
        clock: Clock,
        retention_days: int,
        room: RoomWatch,
    ) -> None:
        """Prune the database of ``writer``; somebody else looks at the disk for ``room``."""
        self.retention_days = retention_days
        self.alive_until = 0.0
        self._path = path
        self._writer = writer
        self._reader = reader
        self._board = board
        self._clock = clock
        self._room = room
        self._clock_watch = ClockWatch(clock, boot=boot_number())
        self._upkeep = Upkeep(clock, board)
        self._next_prune = 0.0
        self._through = 0
        """Up to here the outbox was gone through, and nothing is added there …"""
        self._kept = 0
        """… and so many events were left there, because open dead letters held on to them."""

    async def run(self) -> None:
        """Work until cancelled; a second late, when the disk has been looked at."""
        while True:
            self._tick()
            await self._clock.sleep(JANITOR_SECONDS)
            self._clock_watch.look()
            now = self._clock.monotonic()
            if now >= self._next_prune and not self._room.last.drain_stops:
                self._next_prune = now + PRUNE_SECONDS
                with self._upkeep.step("pruning"):
                    await self.prune()

    def _tick(self) -> None:
        self.alive_until = self._clock.monotonic() + JANITOR_TICK_SECONDS

    async def prune(self) -> None:
        """Forget what is old enough, in steps, until nothing is left to forget."""
        if await self._clock_is_believable():
            older_than = self._clock.now() - self.retention_days * DAY_SECONDS * 1000
            await self._forget(older_than)
            with self._upkeep.step("old copies"):
                for copy in copies.expire(self._path, older_than=older_than):
                    _log.info("copy.expired", name=copy.name)

    async def _clock_is_believable(self) -> bool:
        """Stop pruning when the wall clock leapt: a wrong year would delete everything."""
        believable = await self._clock_watch.compare(self._do, retention_days=self.retention_days)
        if believable:
            self._board.clear(alarms.CLOCK_JUMPED, "")
        else:
            self._board.note(
                alarms.CLOCK_JUMPED, "", "check the time, then run `streamer db confirm-clock`"
            )
        return believable

    async def _do(self, work: Callable[[Connection], T]) -> T:
        """Do ``work`` in a transaction; raises `StoreBusy` when none can be had for too long."""
        self._tick()
        return await self._writer.do_within(work, JANITOR_WRITE_SECONDS)

    async def _forget(self, older_than: int) -> None:
        now = self._clock.now()
        await self._do(lambda db: prune.mark_settled(db, now=now))
        await self._forget_events(older_than)
        most = PRUNE_EVENTS_MAX
        steps: tuple[Callable[[Connection], int], ...] = (
            lambda db: prune.prune_quarantine(db, older_than=older_than, rows_max=most),
            lambda db: prune.prune_stories(db, older_than=older_than, rows_max=most),
        )
        for step in steps:
            while gone := await self._do(step):
                await self._tell_of_step(gone)
        await self._give_back()

    async def _forget_events(self, older_than: int) -> None:
        """Go on through the old end where the last pass ended, or anew if what it left may go."""
        if await self._may_forget_what_was_kept():
            self._through = self._kept = 0
        while True:
            step = partial(
                prune.prune_step,
                older_than=older_than,
                events_max=PRUNE_EVENTS_MAX,
                behind=self._through,
            )
            pruned = await self._do(step)
            if pruned.through is None:
                return
            self._through = pruned.through
            self._kept += pruned.kept
            await self._tell_of_step(pruned.events)

    async def _may_forget_what_was_kept(self) -> bool:
        """Tell whether not all that was left is held by dead letters now."""
        if not self._kept:
            return False
        try:
            held = await self._reader.run(partial(prune.count_held, through=self._through))
        except sqlite.Error as error:
            raise sqlite.map_error(error) from error
        return held < self._kept

    async def _tell_of_step(self, gone: int) -> None:
        _log.debug("prune.step", rows=gone)
        await self._pause(PRUNE_PAUSE_SECONDS)

    async def _give_back(self) -> None:
        """Give the file system what the file does not need any more."""
        left = await self._writer.maintain(prune.spare_pages)
        while left:
            before = left
            left = await self._writer.maintain(lambda db: prune.vacuum_step(db, VACUUM_PAGES_MAX))
            # The file gets shorter with a checkpoint, and not before.
            self._writer.note_written(1, VACUUM_BYTES)
            self._tick()
            await self._pause(VACUUM_PAUSE_SECONDS)
            if left >= before:
                break

    async def _pause(self, seconds: float) -> None:
        """Let calls have the disk in between, unless it is so full that they are refused."""
        if not self._room.last.ingest_stops:
            await self._clock.sleep(seconds)

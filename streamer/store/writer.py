"""Group commit: one connection, one transaction for all that is waiting, one fsync.

While a transaction runs, further arrivals and settlements queue up; the next
transaction takes all of them. Nobody waits for a timer, and the busier it is,
the more share a commit. A waiter is released after its COMMIT has returned,
with ``synchronous=FULL``, so what it answers is on the disk.

What can go wrong, and what is done:

* another program holds the write lock: the same batch is tried again until
  those who wait have given up; what nobody waits for any more is dropped, and
  settlements wait on;
* a row cannot be stored: the transaction is rolled back and the arrivals go
  in one by one; the culprit goes to quarantine and the others are not hurt;
* a work fails by its own fault: only what it did is undone, and only its waiter is told;
* the disk is full: the batch fails;
* the disk fails: the batch fails, never to be tried again as if the failed
  fsync had not happened, and the connection is opened anew; after
  ``FSYNC_ERRORS_IN_A_ROW_MAX`` in a row the writer gives up and ends the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from streamer.clock import Clock
from streamer.core.errors import StoreBusy, StoreDamaged, StoreError
from streamer.core.event import Event
from streamer.core.limits import (
    CHECKPOINT_BYTES,
    CHECKPOINT_TRANSACTIONS,
    COMMIT_BYTES_MAX,
    COMMIT_EVENTS_MAX,
    FSYNC_ERRORS_IN_A_ROW_MAX,
)
from streamer.store import sqlite
from streamer.store.arrival import Arrival, Kept
from streamer.store.connection import Database, connect_writer
from streamer.store.group import Group
from streamer.store.sqlite import Connection
from streamer.store.turns import Turns
from streamer.store.waiting import Waiter, WaitingLine

T = TypeVar("T")

_Work = Callable[[Connection], object]


class WriterStats:
    """What the writer has done since it was started; read by metrics, alarms and the watchdog."""

    def __init__(self) -> None:
        self.transactions = 0
        self.busy = 0
        self.disk_errors_in_row = 0
        self.wal_pages = 0
        """Pages of the log that the last checkpoint could not move into the database."""
        self.ticks = 0
        self._busy_taken = 0

    def take_busy(self) -> bool:
        """Tell whether the lock was met since the last call."""
        met = self.busy > self._busy_taken
        self._busy_taken = self.busy
        return met


class Writer:
    """The one writer of this process. `run` it in a task group; `append` and `do` from anywhere.

    Every future it gives out is resolved in the end, however `run` ends.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        quarantine_bytes_max: int,
        queue_bytes_max: int,
        queue_events_max: int,
        turns: Turns | None = None,
        checkpoints: bool = True,
    ) -> None:
        """Write with nobody beside, or in ``turns``; only one of those makes ``checkpoints``."""
        self.stats = WriterStats()
        self._path = path
        self._clock = clock
        self.quarantine_bytes_max = quarantine_bytes_max
        self._queue_bytes_max = queue_bytes_max
        self._queue_events_max = queue_events_max
        self._turns = turns
        self._checkpoints = checkpoints
        self._arrivals: WaitingLine[Arrival] = WaitingLine()
        self._works: WaitingLine[_Work] = WaitingLine()
        self._wake = asyncio.Event()
        self._stopping = False
        self._ended = False
        self._committing = False
        self._database: Database | None = None
        self._since_checkpoint_bytes = 0
        self._since_checkpoint = 0
        self.on_stored: Callable[[Collection[int]], None] = lambda lane_keys: None
        """Called after a commit that stored new events, with their lane keys."""

    async def open(self) -> None:
        """Open the connection; call before `run`."""
        await self._opened()

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing waits for a commit."""
        return not (self._arrivals or self._works or self._committing)

    def has_room(self, body_bytes: int) -> bool:
        """Tell whether another arrival may wait; those being committed count by their bytes."""
        return (
            len(self._arrivals) < self._queue_events_max
            and self._arrivals.held_bytes + body_bytes <= self._queue_bytes_max
        )

    def append(self, arrival: Arrival) -> asyncio.Future[Kept]:
        """Queue an arrival; the future resolves once it is durable, or raises `StoreError`.

        Cancel the future to stop waiting: if its commit has not begun, the
        arrival is dropped; if it has, it is kept, and a repeat will be a duplicate.
        """
        return self._join(self._arrivals, arrival, len(arrival.body))

    async def do(self, work: Callable[[Connection], T]) -> T:
        """Run ``work(connection)`` inside the next transaction and wait until it is durable.

        ``work`` may run again when a transaction had to be repeated, so it
        must not touch anything but the database. What it raises undoes its
        own changes alone.
        """
        return cast(T, await self._join(self._works, work, 0))

    async def do_within(self, work: Callable[[Connection], T], seconds: float) -> T:
        """Do as `do` does, but give up when no transaction can be had within some seconds.

        Work that is in a transaction by then is waited for, which ends soon: SQLite waits
        ``BUSY_TIMEOUT_MILLISECONDS`` for a lock and a turn ``TURN_WAIT_SECONDS`` to come, and
        no longer.

        Raises:
            StoreBusy: the time is over; the work was not done, and will not be.
        """
        future = self._join(self._works, work, 0)
        try:
            await asyncio.wait({future}, timeout=seconds)
            self._works.withdraw(future, _cannot_write())
            return cast(T, await future)
        finally:
            future.cancel()

    def _join(self, line: WaitingLine[Any], job: object, held_bytes: int) -> asyncio.Future[Any]:
        future = line.join(job, held_bytes=held_bytes)
        if self._ended:
            line.fail_all(_stopping())
        self._wake.set()
        return future

    async def maintain(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` between transactions, for what cannot run inside one (vacuum steps)."""
        if self._database is None:
            raise StoreError("the database is not open at the moment")
        try:
            return await self._database.run(self._in_turn(work))
        except sqlite.Error as error:
            raise sqlite.map_error(error) from error

    def _in_turn(self, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
        return work if self._turns is None else partial(self._turns.during, work)

    @property
    def turns_missed(self) -> tuple[int, str]:
        """Return how often there was no turn to be had, and why not, the last time."""
        return (0, "") if self._turns is None else (self._turns.missed, self._turns.missed_because)

    def stop(self) -> None:
        """Commit what is queued, then let `run` return."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Commit until stopped; raises `StoreDamaged` when the disk keeps failing."""
        try:
            while self._arrivals or self._works or not self._stopping:
                self.stats.ticks += 1
                if self._arrivals or self._works:
                    await self._commit_waiting()
                else:
                    await self._checkpoint_when_due()  # others may have written
                    await self._wake.wait()
                    self._wake.clear()
        finally:
            self._end()

    async def aclose(self) -> None:
        """Fail whoever still waits and close the connection."""
        self._end()
        await self._close()
        if self._turns is not None:
            self._turns.close()
            self._turns = None

    def _end(self) -> None:
        self._ended = True
        self._arrivals.fail_all(_stopping())
        self._works.fail_all(_stopping())

    async def _commit_waiting(self) -> None:
        """Take what is waiting, commit it, release those who wait for it."""
        arrivals = self._arrivals.take(waiters_max=COMMIT_EVENTS_MAX, bytes_max=COMMIT_BYTES_MAX)
        works = self._works.take(waiters_max=COMMIT_EVENTS_MAX, bytes_max=COMMIT_BYTES_MAX)
        if not arrivals and not works:
            return
        group = Group(
            [waiter.job for waiter in arrivals],
            [waiter.job for waiter in works],
            self.quarantine_bytes_max,
        )
        self._committing = True
        try:
            kept, done = await (await self._opened()).run(self._in_turn(group.commit))
        except (sqlite.Error, StoreError) as error:
            mapped = error if isinstance(error, StoreError) else sqlite.map_error(error)
            # It leads to what was to be stored, and those who wait for that hold the error: only
            # the garbage collector would free the bodies of a failed commit.
            error.__traceback__ = None
            await self._failed(mapped, arrivals, works)
        except BaseException:
            # Cancelled, or a bug of ours. The thread may still commit, and nobody will hear of it.
            self._refuse(StoreError("the commit was interrupted"), arrivals, works)
            raise
        else:
            self._release(arrivals, kept, works, done)
            await self._checkpoint_when_due()
        finally:
            self._committing = False

    def _release(
        self,
        arrivals: Sequence[Waiter[Arrival]],
        kept: Sequence[Kept | Exception],
        works: Sequence[Waiter[_Work]],
        done: Sequence[object],
    ) -> None:
        self.stats.transactions += 1
        self.stats.disk_errors_in_row = 0
        self._since_checkpoint += 1
        self._since_checkpoint_bytes += sum(waiter.held_bytes for waiter in arrivals)
        self._arrivals.release(arrivals, kept)
        self._works.release(works, done)
        stored = {
            waiter.job.lane_key
            for waiter, one in zip(arrivals, kept, strict=True)
            if one is Kept.STORED and isinstance(waiter.job, Event)
        }
        if stored:
            self.on_stored(stored)

    async def _failed(
        self,
        error: StoreError,
        arrivals: Sequence[Waiter[Arrival]],
        works: Sequence[Waiter[_Work]],
    ) -> None:
        if isinstance(error, StoreBusy):
            self.stats.busy += 1
            self._arrivals.put_back(arrivals)
            self._works.put_back(works)
            return
        self._refuse(error, arrivals, works)
        if self._database is not None and not isinstance(error, StoreDamaged):
            return
        self.stats.disk_errors_in_row += 1
        if self.stats.disk_errors_in_row >= FSYNC_ERRORS_IN_A_ROW_MAX:
            raise error
        await self._close()  # what the failed connection believes to be on the disk may not be

    def _refuse(
        self,
        error: StoreError,
        arrivals: Sequence[Waiter[Arrival]],
        works: Sequence[Waiter[_Work]],
    ) -> None:
        self._arrivals.release(arrivals, [error] * len(arrivals))
        self._works.release(works, [error] * len(works))

    async def _opened(self) -> Database:
        """Return the connection, a new one if the last was given up."""
        if self._database is None:
            self._database = await connect_writer(self._path)
            if self._turns is not None:
                await self._database.run(self._turns.adapt)
        return self._database

    async def _close(self) -> None:
        old, self._database = self._database, None
        if old is not None:
            with suppress(sqlite.Error):  # closing may meet the fault that it is closed for
                await old.aclose()

    async def _checkpoint_when_due(self) -> None:
        if self._checkpoint_is_due():
            await self.checkpoint()

    def _checkpoint_is_due(self) -> bool:
        return self._checkpoints and (
            self._since_checkpoint_bytes >= CHECKPOINT_BYTES
            or self._since_checkpoint >= CHECKPOINT_TRANSACTIONS
        )

    def take_written(self) -> tuple[int, int]:
        """Return transactions and bytes since the last call, for whoever makes the checkpoints."""
        written = self._since_checkpoint, self._since_checkpoint_bytes
        self._since_checkpoint = self._since_checkpoint_bytes = 0
        return written

    def note_written(self, transactions: int, size: int) -> None:
        """Count what another writer has appended to the log, ``size`` bytes of bodies."""
        self._since_checkpoint += transactions
        self._since_checkpoint_bytes += size
        if self._checkpoint_is_due():
            self._wake.set()

    async def checkpoint(self) -> None:
        """Move the log into the database, if anything was written since the last time."""
        if not self._since_checkpoint:
            return
        self._since_checkpoint = self._since_checkpoint_bytes = 0
        try:
            _, pages, moved = await self.maintain(_checkpoint)
        except StoreError:
            return  # the next commit will meet the same fault, and handle it
        self.stats.wal_pages = pages - moved


def _checkpoint(db: Connection) -> tuple[int, int, int]:
    """Copy what readers allow; never wait for them, never block them."""
    return cast(tuple[int, int, int], db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone())


def _cannot_write() -> StoreBusy:
    return StoreBusy(
        "the database cannot be written at the moment",
        hint="Try again once `streamer doctor` is content.",
    )


def _stopping() -> StoreError:
    return StoreError("the service is stopping", hint="Try again when it has been started anew.")

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
* the disk is full: the batch fails;
* the disk fails: the batch fails, never to be tried again as if the failed
  fsync had not happened, and the connection is opened anew; after
  ``FSYNC_ERRORS_IN_A_ROW_MAX`` in a row the writer gives up and ends the process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from streamer.clock import Clock
from streamer.core.errors import StoreBusy, StoreDamaged, StoreError
from streamer.core.limits import (
    CHECKPOINT_BYTES,
    CHECKPOINT_TRANSACTIONS,
    COMMIT_EVENTS_MAX,
    FSYNC_ERRORS_IN_A_ROW_MAX,
)
from streamer.store import outbox, sqlite
from streamer.store.arrival import Arrival, Kept, UnreadableCall
from streamer.store.connection import Database, connect_writer
from streamer.store.sqlite import Connection

T = TypeVar("T")

_Waiting = tuple[Any, "asyncio.Future[Any]"]


class WriterStats:
    """What the writer has done since it was started; read by metrics, alarms and the watchdog."""

    def __init__(self) -> None:
        self.transactions = 0
        self.busy = 0
        self.disk_errors_in_row = 0
        self.full = 0
        self.wal_pages = 0
        self.ticks = 0
        self._busy_taken = 0

    def take_busy(self) -> bool:
        """Tell whether the lock was met since the last call."""
        met = self.busy > self._busy_taken
        self._busy_taken = self.busy
        return met


class Writer:
    """The one writer of this process. `run` it in a task group; `append` and `do` from anywhere."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        quarantine_bytes_max: int,
        queue_bytes_max: int,
        queue_events_max: int,
    ) -> None:
        self.stats = WriterStats()
        self._path = path
        self._clock = clock
        self._quarantine_bytes_max = quarantine_bytes_max
        self._queue_bytes_max = queue_bytes_max
        self._queue_events_max = queue_events_max
        self._arrivals: deque[_Waiting] = deque()
        self._works: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._committing = False
        self._database: Database | None = None
        self._since_checkpoint_bytes = 0
        self._since_checkpoint = 0
        self.on_stored: Callable[[], None] = lambda: None
        """Called after a commit that stored new events."""

    async def open(self) -> None:
        """Open the connection; call before `run`."""
        self._database = await connect_writer(self._path)

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing waits for a commit."""
        return not (self._arrivals or self._works or self._committing)

    def has_room(self, body_bytes: int) -> bool:
        """Tell whether another arrival may wait."""
        return (
            len(self._arrivals) < self._queue_events_max
            and self._queued_bytes + body_bytes <= self._queue_bytes_max
        )

    def append(self, arrival: Arrival) -> asyncio.Future[Kept]:
        """Queue an arrival; the future resolves once it is durable, or raises `StoreError`.

        Cancel the future to stop waiting: if its commit has not begun, the
        arrival is dropped; if it has, it is kept, and a repeat will be a duplicate.
        """
        future: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._arrivals.append((arrival, future))
        self._queued_bytes += len(arrival.body)
        self._wake.set()
        return future

    async def do(self, work: Callable[[Connection], T]) -> T:
        """Run ``work(connection)`` inside the next transaction and wait until it is durable.

        ``work`` may run again when a transaction had to be repeated, so it
        must not touch anything but the database. What it raises undoes its
        own changes alone.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._works.append((work, future))
        self._wake.set()
        return await future

    async def maintain(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` between transactions, for what cannot run inside one (vacuum steps)."""
        assert self._database is not None
        try:
            return await self._database.run(work)
        except sqlite.Error as error:
            raise sqlite.map_error(error) from error

    def stop(self) -> None:
        """Commit what is queued, then let `run` return."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Commit until stopped; raises `StoreDamaged` when the disk keeps failing."""
        assert self._database is not None
        while not (self._stopping and not self._arrivals and not self._works):
            self.stats.ticks += 1
            if self._arrivals or self._works:
                self._committing = True
                await self._commit_waiting()
                self._committing = False
            else:
                await self._wake.wait()
                self._wake.clear()

    async def aclose(self) -> None:
        """Fail whoever still waits and close the connection."""
        for _, future in [*self._arrivals, *self._works]:
            _fail(future, StoreError("the service is stopping"))
        self._arrivals.clear()
        self._works.clear()
        if self._database is not None:
            await self._database.aclose()
            self._database = None

    async def _commit_waiting(self) -> None:
        """Take what is waiting, commit it, release those who wait for it."""
        assert self._database is not None
        arrivals = self._take(self._arrivals, COMMIT_EVENTS_MAX)
        works = self._take(self._works, COMMIT_EVENTS_MAX)
        if not arrivals and not works:
            return
        group = Group(
            [arrival for arrival, _ in arrivals],
            [work for work, _ in works],
            self._quarantine_bytes_max,
        )
        try:
            kept, done = await self._database.run(group.commit)
        except sqlite.Error as error:
            await self._failed(sqlite.map_error(error), arrivals, works)
            return
        self._release(arrivals, kept, works, done)
        self._since_checkpoint += 1
        if (
            self._since_checkpoint_bytes >= CHECKPOINT_BYTES
            or self._since_checkpoint >= CHECKPOINT_TRANSACTIONS
        ):
            await self.checkpoint()

    def _take(self, waiting: deque[_Waiting], most: int) -> list[_Waiting]:
        """Take those from the front whose waiter has not given up."""
        taken: list[_Waiting] = []
        while waiting and len(taken) < most:
            one = waiting.popleft()
            if waiting is self._arrivals:
                self._queued_bytes -= len(one[0].body)
            if not one[1].done():
                taken.append(one)
        return taken

    def _put_back(self, waiting: deque[_Waiting], taken: Sequence[_Waiting]) -> None:
        waiting.extendleft(reversed(taken))
        if waiting is self._arrivals:
            self._queued_bytes += sum(len(one[0].body) for one in taken)

    def _release(
        self,
        arrivals: Sequence[_Waiting],
        kept: Sequence[Kept],
        works: Sequence[_Waiting],
        done: Sequence[Any],
    ) -> None:
        self.stats.transactions += 1
        self.stats.disk_errors_in_row = 0
        stored = False
        for (arrival, future), became in zip(arrivals, kept, strict=True):
            if not future.done():
                future.set_result(became)
            self._since_checkpoint_bytes += len(arrival.body)
            stored = stored or became is Kept.STORED
        for (_, future), result in zip(works, done, strict=True):
            if isinstance(result, Exception):
                _fail(future, result)
            elif not future.done():
                future.set_result(result)
        if stored:
            self.on_stored()

    async def _failed(
        self, error: StoreError, arrivals: Sequence[_Waiting], works: Sequence[_Waiting]
    ) -> None:
        if isinstance(error, StoreBusy):
            self.stats.busy += 1
            self._put_back(self._arrivals, arrivals)
            self._put_back(self._works, works)
            return
        for _, future in [*arrivals, *works]:
            _fail(future, error)
        if not isinstance(error, StoreDamaged):
            self.stats.full += 1
            return
        self.stats.disk_errors_in_row += 1
        if self.stats.disk_errors_in_row >= FSYNC_ERRORS_IN_A_ROW_MAX:
            raise error
        await self._reopen()

    async def _reopen(self) -> None:
        """Forget what the failed connection believes to be on the disk."""
        assert self._database is not None
        old, self._database = self._database, None
        await old.aclose()
        self._database = await connect_writer(self._path)

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


class Group:
    """What one transaction commits together."""

    def __init__(
        self,
        arrivals: Sequence[Arrival],
        works: Sequence[Callable[[Connection], object]],
        quarantine_bytes_max: int,
    ) -> None:
        self._arrivals = arrivals
        self._works = works
        self._quarantine_bytes_max = quarantine_bytes_max

    def commit(self, db: Connection) -> tuple[list[Kept], list[object]]:
        """Store the arrivals and do the works in one transaction, on the connection's thread."""
        db.execute("BEGIN IMMEDIATE")
        try:
            kept = self._append(db)
            done = [_do_alone(db, work) for work in self._works]
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return kept, done

    def _append(self, db: Connection) -> list[Kept]:
        most = self._quarantine_bytes_max
        try:
            return outbox.append(db, self._arrivals, quarantine_bytes_max=most)
        except sqlite.ROW_ERRORS:
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            return [_append_alone(db, arrival, most) for arrival in self._arrivals]


def _append_alone(db: Connection, arrival: Arrival, quarantine_bytes_max: int) -> Kept:
    """Store one arrival under a savepoint; what cannot be stored as an event goes to quarantine."""
    db.execute("SAVEPOINT row")
    try:
        kept = outbox.append(db, [arrival], quarantine_bytes_max=quarantine_bytes_max)
    except sqlite.ROW_ERRORS as error:
        db.execute("ROLLBACK TO row")
        call = UnreadableCall(
            source=arrival.source,
            reason="unstorable",
            detail=f"the database refused the row ({type(error).__name__})",
            received_at=arrival.received_at,
            body=arrival.body,
        )
        kept = outbox.append(db, [call], quarantine_bytes_max=quarantine_bytes_max)
    db.execute("RELEASE row")
    return kept[0]


def _do_alone(db: Connection, work: Callable[[Connection], object]) -> object:
    """Do one work under a savepoint; return what it raised, so that the others are not hurt."""
    db.execute("SAVEPOINT work")
    result: object
    try:
        result = work(db)
    except (sqlite.OperationalError, sqlite.DatabaseError) as error:
        if not isinstance(error, sqlite.ROW_ERRORS):
            raise  # the disk's fault, not the work's: the whole transaction fails
        result = error
    except Exception as error:
        result = error
    if isinstance(result, Exception):
        db.execute("ROLLBACK TO work")
    db.execute("RELEASE work")
    return result


def _checkpoint(db: Connection) -> tuple[int, int, int]:
    """Copy what readers allow; never wait for them, never block them."""
    return cast(tuple[int, int, int], db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone())


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # a waiter that has gone away is no reason for a warning

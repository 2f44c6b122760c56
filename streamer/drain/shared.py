"""What the tracks of one destination share: the way out, and what an operator wants."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import TypeVar

import msgspec
import structlog

from streamer.clock import Clock
from streamer.core.errors import StoreError
from streamer.core.intervals import (
    SEND_MARGIN_SECONDS,
    SETTLE_RETRY_SECONDS,
    SETTLE_RETRY_SECONDS_MAX,
    TRACK_TICK_SECONDS,
)
from streamer.core.pace import Pace
from streamer.core.retry import RetryPolicy
from streamer.core.selection import Selection
from streamer.destinations.base import Destination
from streamer.drain.telling import Teller
from streamer.observe.board import Board
from streamer.observe.log import where
from streamer.store import cursors, destinations, lag, sqlite
from streamer.store.connection import Database
from streamer.store.destinations import Known
from streamer.store.sqlite import Connection
from streamer.store.writer import Writer

T = TypeVar("T")

_log = structlog.get_logger("streamer.drain")


class WriteRefused(StoreError):
    """The database is there, and refuses what was to be written: no use in trying again.

    A constraint or a schema that does not fit, a damaged page, or a bug of ours.
    """


class DrainPolicy(msgspec.Struct, frozen=True):
    """How a destination is to be drained."""

    selection: Selection
    retry: RetryPolicy = RetryPolicy()
    batch_events_max: int = 100
    batch_bytes_max: int = 2**20
    linger_ms: int = 0
    rate_per_second: float = 0
    lanes: int = 1


class Shared:
    """The destination and everything that its tracks have in common."""

    def __init__(
        self,
        destination: Destination,
        policy: DrainPolicy,
        *,
        writer: Writer,
        reader: Database,
        clock: Clock,
        board: Board,
    ) -> None:
        self.destination = destination
        self.policy = policy
        self.writer = writer
        self.reader = reader
        self.clock = clock
        self.board = board
        self.pace = Pace(policy.rate_per_second)
        self.paused = False
        self.blocked = False
        """The disk is too full even for settling."""
        self.stopping = False
        self.moment = 0
        """Batches begun since the start, on whatever track."""
        self.proof = 0
        """The moment at which the newest of those began of which something was accepted."""
        self.teller = Teller(destination.name, destination.kind, clock=clock, board=board)
        self.retries = 0
        """Times since the start that a transaction had to be tried again."""
        self.on_settled: Callable[[], None] = lambda: None
        self._turn = asyncio.Lock()
        self._wakers: set[asyncio.Event] = set()

    @property
    def halted(self) -> bool:
        """Nothing is to be sent for now."""
        return self.paused or self.blocked

    @property
    def send_seconds_max(self) -> float:
        """A send that takes longer than this has stalled."""
        return self.destination.send_seconds_max + SEND_MARGIN_SECONDS

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Let one track at a time send and settle, where the destination demands it."""
        return self._turn if self.destination.exclusive else nullcontext()

    def join(self) -> asyncio.Event:
        """Give a track an event that `wake` sets."""
        waker = asyncio.Event()
        self._wakers.add(waker)
        return waker

    def leave(self, waker: asyncio.Event) -> None:
        """Forget a track that has ended."""
        self._wakers.discard(waker)

    async def wait(self, waker: asyncio.Event, seconds: float) -> bool:
        """Wait on the clock until woken; False when ``seconds`` have passed first."""
        if not waker.is_set():
            timer = asyncio.ensure_future(self.clock.sleep(seconds))
            woken = asyncio.ensure_future(waker.wait())
            try:
                await asyncio.wait((timer, woken), return_when=asyncio.FIRST_COMPLETED)
            finally:
                timer.cancel()
                woken.cancel()
        was_woken = waker.is_set()
        waker.clear()
        return was_woken

    def wake(self) -> None:
        """Let every track look again: a resume, a stop, a change by an operator."""
        for waker in self._wakers:
            waker.set()

    def forgotten(self) -> None:
        """Let every track end: an operator has dropped the destination."""
        self.stopping = True
        self.wake()

    async def write(self, work: Callable[[Connection], T], tick: Callable[[float], None]) -> T:
        """Do ``work`` in a transaction, again and again while the database cannot take it.

        Raises `WriteRefused` when it is the work itself that the database refuses.
        """
        name, tries = self.destination.name, 0
        while True:
            tick(math.inf)  # the writer answers for those who wait for it, at a lock for ever
            try:
                done = await self.writer.do(partial(_do, work))
            except WriteRefused as error:
                cause = error.__cause__ or error
                _log.error("drain.write_refused", destination=name, raised=where(cause))
                raise
            except StoreError as error:
                tries += 1
                self.retries += 1
                if tries & (tries - 1) == 0:  # 1, 2, 4, 8 …: a full disk may stay full for days
                    _log.warning(
                        "drain.write_failed", destination=name, tries=tries, error=str(error)
                    )
            else:
                if tries:
                    _log.info("drain.written", destination=name, tries=tries)
                return done
            finally:
                tick(self.send_seconds_max)
            seconds = min(SETTLE_RETRY_SECONDS_MAX, SETTLE_RETRY_SECONDS * 2 ** min(tries - 1, 30))
            tick(seconds + TRACK_TICK_SECONDS)
            await self.clock.sleep(seconds)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do ``work`` on the reading connection; raises `StoreError` when it cannot be read."""
        try:
            return await self.reader.run(work)
        except sqlite.Error as error:
            raise sqlite.map_error(error) from error

    async def lag_events(self) -> int | None:
        """Count what is not settled yet, for people; None when it cannot be read."""
        name = self.destination.name

        def measure(db: Connection) -> int:
            known = destinations.find(db, name)
            if known is None:
                return 0
            return lag.measure(db, known, cursors.load(db, name), lag.extent(db)).events

        try:
            return await self.read(measure)
        except StoreError:
            return None

    async def open(self) -> Known | None:
        """Open the destination, or open it again, with the mark that is stored; return its row.

        None when it was forgotten: then there is nothing to drain any more.

        An exclusive one undoes what the mark does not cover, so its turn must
        be held. What operators want of it counts from here on: a pause is
        older than a drain that a start or a reload has just begun.
        """
        name = self.destination.name
        known = await self.read(lambda db: destinations.find(db, name))
        if known is None:
            self.forgotten()
            return None
        self.paused = known.paused_at is not None
        await self.destination.open(known.mark)
        return known


def _do(work: Callable[[Connection], T], db: Connection) -> T:
    """Tell what the database cannot do now from what it will never do."""
    try:
        return work(db)
    except Exception as error:
        if sqlite.may_pass(error):
            raise
        told = f": {error}" if isinstance(error, sqlite.Error) else ""
        raise WriteRefused(
            f"the database refused to write it down ({type(error).__name__}{told})",
            hint="See STR-309 in operating.md.",
        ) from error

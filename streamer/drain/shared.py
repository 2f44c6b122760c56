"""What the tracks of one destination share: the way out, and what an operator wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol, TypeVar

import msgspec
import structlog

from streamer.clock import Clock
from streamer.core.alarms import Alarm
from streamer.core.errors import StoreError
from streamer.core.limits import SETTLE_RETRY_SECONDS, TRACK_TICK_SECONDS
from streamer.core.pace import Pace
from streamer.core.retry import RetryPolicy
from streamer.core.selection import Selection
from streamer.destinations.base import Destination
from streamer.store import destinations, sqlite
from streamer.store.connection import Database
from streamer.store.sqlite import Connection
from streamer.store.writer import Writer

T = TypeVar("T")

_log = structlog.get_logger("streamer.drain")


class AlarmBoard(Protocol):
    """Where alarms are raised and cleared (`streamer.observe.board`)."""

    def note(self, alarm: Alarm, subject: str, message: str) -> None:
        """Raise an alarm."""
        ...

    def clear(self, alarm: Alarm, subject: str) -> None:
        """Say that a condition is over."""
        ...


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
        board: AlarmBoard,
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
        self.held: set[int] = set()
        """Cursors whose track is held."""
        self.on_settled: Callable[[], None] = lambda: None
        self._turn = asyncio.Lock()
        self._wakers: set[asyncio.Event] = set()

    @property
    def halted(self) -> bool:
        """Nothing is to be sent for now."""
        return self.paused or self.blocked

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
        """Let every track look again: an append, a resume, a change by an operator."""
        for waker in self._wakers:
            waker.set()

    async def write(self, work: Callable[[Connection], T], tick: Callable[[float], None]) -> T:
        """Do ``work`` in a transaction, again and again until the database takes it."""
        while True:
            try:
                return await self.writer.do(work)
            except StoreError as error:
                name = self.destination.name
                _log.warning("drain.settle_failed", destination=name, error=str(error))
            tick(SETTLE_RETRY_SECONDS + TRACK_TICK_SECONDS)
            await self.clock.sleep(SETTLE_RETRY_SECONDS)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do ``work`` on the reading connection; raises `StoreError` when it cannot be read."""
        try:
            return await self.reader.run(work)
        except sqlite.Error as error:
            raise sqlite.map_error(error) from error

    async def open(self) -> str | None:
        """Open the destination, or open it again, with the mark that is stored; return that.

        An exclusive one undoes what the mark does not cover, so its turn must
        be held.
        """
        name = self.destination.name
        known = await self.read(lambda db: destinations.load(db, name))
        await self.destination.open(known.mark)
        return known.mark

"""What the tracks of one destination share: the way out, and what an operator wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

import msgspec

from streamer.clock import Clock
from streamer.core.alarms import Alarm
from streamer.core.pace import Pace
from streamer.core.retry import RetryPolicy
from streamer.core.selection import Selection
from streamer.destinations.base import Destination
from streamer.store.connection import Database
from streamer.store.writer import Writer


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
    send_seconds_max: float = 330.0
    """The longest that one `send` can take; a drain that takes longer is not alive."""


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
        self.stopping = False
        self.blocked = False
        """The disk is too full even for settling."""
        self.accepted = 0
        """Events accepted since the start, on whatever track: the proof that others are taken."""
        self.on_settled: Callable[[], None] = lambda: None
        self._turn = asyncio.Lock()
        self._wakers: set[asyncio.Event] = set()

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
        """Wait until woken; False when ``seconds`` have passed first."""
        try:
            async with asyncio.timeout(seconds):
                await waker.wait()
        except TimeoutError:
            return False
        waker.clear()
        return True

    def wake(self) -> None:
        """Let every track look again: an append, a resume, a change by an operator."""
        for waker in self._wakers:
            waker.set()

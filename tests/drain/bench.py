"""A drain on a bench: a virtual clock, a real database and writer, a scripted destination.

The clock moves only when everything that can run has run: `Bench.settle_down`
lets the loops and the database's threads go on until nobody has anything to
do, and `Bench.advance` then moves the time to the next moment that somebody
waits for.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from streamer.clock import Clock
from streamer.core.alarms import Alarm
from streamer.core.errors import StoreError
from streamer.core.event import Event, StoredEvent
from streamer.core.outcome import ACCEPTED, Outcome
from streamer.core.selection import Selection
from streamer.destinations.base import Destination, Finding
from streamer.drain.feed import LiveFeed
from streamer.drain.shared import DrainPolicy, Shared
from streamer.drain.track import TrackLoop
from streamer.observe.board import Board
from streamer.store import cursors, destinations, migrate, outbox, sqlite
from streamer.store.arrival import Kept
from streamer.store.connection import Database, connect_reader
from streamer.store.cursors import Cursor
from streamer.store.destinations import Declared
from streamer.store.sqlite import Connection
from streamer.store.writer import Writer
from tests.store.build import transact

T = TypeVar("T")
EVERYTHING = Selection(include=(), exclude=())
POLICY = DrainPolicy(selection=EVERYTHING, batch_events_max=4)
START_MS = 1_800_000_000_000
NAME = "hook"


class VirtualClock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.wall_shift_ms = 0
        self.jitters: list[float] = []
        self.on_sleep: Callable[[float], None] = lambda seconds: None
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def now(self) -> int:
        return START_MS + self.wall_shift_ms + round(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds

    def boottime(self) -> float:
        return self.seconds

    def jitter(self) -> float:
        return self.jitters.pop(0) if self.jitters else 0.5

    async def sleep(self, seconds: float) -> None:
        self.on_sleep(seconds)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.seconds + seconds, next(self._numbers), future))
        await future

    def move_to(self, until: float) -> bool:
        """Move to the next moment that somebody waits for, or to ``until``; True if to the former.

        Who is woken has to be let run before the next move.
        """
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if not self._sleepers or self._sleepers[0][0] > until:
            self.seconds = max(self.seconds, until)
            return False
        moment, _, future = heapq.heappop(self._sleepers)
        self.seconds = max(self.seconds, moment)
        future.set_result(None)
        return True


class WatchedBoard(Board):
    """A board that can be asked."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.noted: list[tuple[str, str]] = []

    @property
    def codes(self) -> set[str]:
        """What stands, whatever it is about."""
        return {code for code, _ in self.standing}

    def note(self, alarm: Alarm, subject: str, message: str) -> None:
        super().note(alarm, subject, message)
        self.noted.append((alarm.code, message))


class ScriptedDestination(Destination):
    """Answers as it is told, and writes down what happened to it."""

    kind = "http"
    send_seconds_max = 300.0

    def __init__(self, *, exclusive: bool = False) -> None:
        self.name = NAME
        self.exclusive = exclusive
        self.answer: Callable[[Sequence[StoredEvent]], list[Outcome]] = lambda batch: [
            ACCEPTED for _ in batch
        ]
        self.before_answer: Callable[[Sequence[StoredEvent]], Awaitable[None]] | None = None
        self.before_open: Callable[[], None] = lambda: None
        self.sent: list[tuple[int, ...]] = []
        self.lines: list[int] = []
        """What an exclusive destination has written; its mark is their number."""
        self.opened: list[str | None] = []
        self.closed = 0
        self.hurried = asyncio.Event()
        self.rotated = 0
        self.before_rotate: Callable[[], Awaitable[None]] | None = None
        self.tidied = 0
        self.before_tidy: Callable[[], Awaitable[None]] | None = None
        self.marked: str | None = None
        """What its mark is, whatever it has written."""
        self.under_way = 0
        self.under_way_max = 0

    async def open(self, mark: str | None) -> None:
        self.before_open()
        self.opened.append(mark)
        del self.lines[int(mark or 0) :]

    async def send(self, events: Sequence[StoredEvent]) -> list[Outcome]:
        self.sent.append(tuple(event.position for event in events))
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        try:
            if self.before_answer is not None:
                await self.before_answer(events)
            outcomes = self.answer(events)
        finally:
            self.under_way -= 1
        self.lines += [
            event.position
            for event, said in zip(events, outcomes, strict=False)
            if said is ACCEPTED
        ]
        return outcomes

    def mark(self) -> str | None:
        return self.marked or (str(len(self.lines)) if self.exclusive else None)

    def hurry(self) -> None:
        self.hurried.set()

    async def rotate(self) -> None:
        assert not self.under_way, "it is not exclusive"
        self.rotated += 1
        if self.before_rotate is not None:
            await self.before_rotate()

    async def tidy(self) -> None:
        self.tidied += 1
        if self.before_tidy is not None:
            await self.before_tidy()

    async def probe(self) -> list[Finding]:
        return []

    async def aclose(self) -> None:
        self.closed += 1


class Bench:
    """Everything that a drain stands on, and the hands that move it."""

    def __init__(
        self, writer: Writer, writing: asyncio.Task[None], reader: Database, db: Connection
    ) -> None:
        self.clock = VirtualClock()
        self.board = WatchedBoard(self.clock)
        self.writer = writer
        self._writing = writing
        self.reader = reader
        self.db = db
        """A connection beside the service's, as a command has."""
        self.destination = ScriptedDestination()
        self._tasks: list[asyncio.Task[object]] = []
        self._appended = 0

    def shared(self, policy: DrainPolicy | None = None) -> Shared:
        """Put a new way out together, as a start of the process does."""
        return Shared(
            self.destination,
            policy or POLICY,
            writer=self.writer,
            reader=self.reader,
            clock=self.clock,
            board=self.board,
        )

    def declare(self, *, lanes: int = 1, start: str = "earliest") -> None:
        """Make the destination known."""
        self.transact(
            lambda db: destinations.declare(
                db, [Declared(NAME, "http", lanes, start=start)], now=self.clock.now()
            )
        )

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do what a command does: one transaction on a connection of its own."""
        return transact(self.db, work)

    def append(
        self,
        number: int = 1,
        *,
        metric: str = "sent",
        lane_key: int | None = None,
        one_commit: bool = False,
    ) -> None:
        """Store events, each with its position as its lane key unless one is given."""
        events = [self._new_event(metric, lane_key) for _ in range(number)]
        for some in [events] if one_commit else [[event] for event in events]:
            store = partial(outbox.append, arrivals=some, quarantine_bytes_max=10**6)
            assert set(self.transact(store)) == {Kept.STORED}

    def _new_event(self, metric: str, lane_key: int | None) -> Event:
        self._appended += 1
        return Event(
            source="customerio",
            event_id=f"event-{self._appended}",
            object_type="email",
            metric=metric,
            occurred_at=None,
            received_at=self.clock.now(),
            lane_key=self._appended if lane_key is None else lane_key,
            body=b'{"event_id":"%d"}' % self._appended,
        )

    def cursors(self) -> list[Cursor]:
        """Read the destination's live cursors."""
        return cursors.load(self.db, NAME)

    def cursor(self) -> Cursor:
        """Read the only cursor."""
        (found,) = self.cursors()
        return found

    def buried(self) -> dict[int, str]:
        """Read the dead letters: position and reason."""
        return dict(self.db.execute("SELECT position, reason FROM dead_letters").fetchall())

    def set_wall_clock(self, milliseconds: int) -> None:
        """Let the wall clock jump."""
        self.clock.wall_shift_ms += milliseconds

    def track(self, shared: Shared, cursor: Cursor | None = None) -> TrackLoop:
        """Make the loop of the only lane."""
        cursor = cursor or self.cursor()
        feed = LiveFeed(shared.policy.selection, cursor.lane)
        return TrackLoop(shared, cursor, feed)

    def start(self, work: Coroutine[object, object, object]) -> asyncio.Task[object]:
        """Run something beside the test; it is cancelled at the end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        return task

    async def settle_down(self) -> None:
        """Let everything run that can, the threads of the connections included.

        That is so when all tasks wait for the same things as before, after
        both connections have done whatever was queued.
        """
        before: dict[asyncio.Task[Any], object] = {}
        for _ in range(10_000):
            for _ in range(5):
                await asyncio.sleep(0)
            await self.reader.run(lambda db: None)
            with suppress(StoreError):  # a test may have filled the disk
                await self.writer.do(lambda db: None)
            waits: dict[asyncio.Task[Any], object] = {
                task: getattr(task, "_fut_waiter", None)
                for task in asyncio.all_tasks() - {self._writing, asyncio.current_task()}
            }
            if waits == before and None not in waits.values():
                return
            before = waits
        raise AssertionError("it never comes to rest")

    async def advance(self, seconds: float) -> None:
        """Let time pass, moment by moment."""
        await self.settle_down()
        until = self.clock.seconds + seconds
        while self.clock.move_to(until):
            await self.settle_down()
        await self.settle_down()

    async def stop_tasks(self) -> None:
        """Cancel what was started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def bench(path: Path) -> AsyncIterator[Bench]:
    """Set up a database with one destination, and everything around it."""
    db = sqlite.open_writer(path)
    migrate.migrate(db, path, now=START_MS)
    writer = Writer(
        path,
        VirtualClock(),
        quarantine_bytes_max=10**6,
        queue_bytes_max=10**7,
        queue_events_max=1_000,
    )
    await writer.open()
    writing = asyncio.get_running_loop().create_task(writer.run())
    reader = await connect_reader(path)
    one = Bench(writer, writing, reader, db)
    one.declare()
    try:
        yield one
    finally:
        await one.stop_tasks()
        writer.stop()
        await asyncio.gather(writing, return_exceptions=True)
        await writer.aclose()
        await reader.aclose()
        db.close()

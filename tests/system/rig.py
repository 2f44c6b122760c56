"""The real parts of a service in one process, and a destination that a check can script.

The ingest front, the writer with a database on disk, and a drain are joined as the service joins
them; there is no HTTP server, and nothing runs that the check did not start.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from streamer.app.control import Control
from streamer.clock import SystemClock
from streamer.core.event import StoredEvent
from streamer.core.outcome import ACCEPTED, Outcome
from streamer.core.retry import RetryPolicy
from streamer.core.selection import Selection
from streamer.core.signature import Verifier, sign
from streamer.destinations.base import Destination, Finding
from streamer.drain.shared import DrainPolicy, Shared
from streamer.drain.supervisor import DestinationDrain
from streamer.ingest.front import Front
from streamer.ingest.source import Source
from streamer.observe.board import Board
from streamer.store import destinations, migrate, sources, sqlite
from streamer.store.connection import connect_reader
from streamer.store.destinations import Declared
from streamer.store.writer import Writer

KEY = b"key"
DEADLINE_SECONDS = 0.4
WAIT_SECONDS = float(os.environ.get("STREAMER_WAIT_SECONDS", "10"))
BATCH_EVENTS = 5
SOURCE = Source("customerio", Verifier([KEY]), body_bytes_max=2**16, age_warn_seconds=300)

Answers = Callable[[int, Sequence[StoredEvent]], list[Outcome]]


class Scripted(Destination):
    """A destination that notes what it is offered and answers by a function."""

    name, kind, send_seconds_max = "hook", "scripted", 300.0

    def __init__(self) -> None:
        self.answers: Answers = accept
        self.hangs = False
        self.offered: list[list[int]] = []
        self.accepted: list[int] = []
        self.batches: list[tuple[list[int], list[int]]] = []
        """What was offered together and answered, and what of it was accepted."""
        self.arrived = asyncio.Event()

    async def send(self, events: Sequence[StoredEvent]) -> list[Outcome]:
        """Note the batch, and hang or answer."""
        self.offered.append([event.position for event in events])
        self.arrived.set()
        if self.hangs:
            await asyncio.Event().wait()
        outcomes = self.answers(len(self.offered), events)
        taken = [
            event.position
            for event, said in zip(events, outcomes, strict=False)
            if said is ACCEPTED
        ]
        self.accepted += taken
        self.batches.append((self.offered[-1], taken))
        return outcomes

    async def probe(self) -> list[Finding]:
        """Find nothing."""
        return []

    async def aclose(self) -> None:
        """Hold nothing."""


def accept(attempt: int, events: Sequence[StoredEvent]) -> list[Outcome]:
    """Take everything."""
    return [ACCEPTED for _ in events]


class Rig:
    """The parts of a service, joined for one check."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "streamer.db"
        self.clock = SystemClock()
        self.board = Board(self.clock)
        self.destination = Scripted()
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        db = sqlite.open_writer(self.path)
        migrate.migrate(db, self.path, now=self.clock.now())
        sources.ensure(db, ["customerio"])
        destinations.declare(db, [Declared("hook", "scripted")], now=self.clock.now())
        db.close()
        self.writer = Writer(
            self.path,
            self.clock,
            quarantine_bytes_max=2**20,
            queue_bytes_max=2**20,
            queue_events_max=100,
        )
        await self.writer.open()
        self._open.push_async_callback(self.writer.aclose)
        self.reader = await connect_reader(self.path)
        self._open.push_async_callback(self.reader.aclose)
        self.front = Front(
            _nothing_behind,
            sources={"customerio": SOURCE},
            writer=self.writer,
            clock=self.clock,
            board=self.board,
            deadline_seconds=DEADLINE_SECONDS,
            body_memory_bytes_max=2**20,
        )
        self.tasks = await self._open.enter_async_context(anyio.create_task_group())
        self.tasks.start_soon(self.writer.run)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.tasks.cancel_scope.cancel()
        await self._open.__aexit__(None, None, None)

    async def post(self, body: bytes, *, key: bytes = KEY) -> int:
        """Make a webhook call; return the status of the answer."""
        timestamp = str(self.clock.now() // 1000)
        signature = sign(key, timestamp, body).encode()
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/webhooks/customerio",
            "http_version": "1.1",
            "headers": [
                (b"content-length", b"%d" % len(body)),
                (b"x-cio-timestamp", timestamp.encode()),
                (b"x-cio-signature", signature),
            ],
        }
        said: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(part: dict[str, Any]) -> None:
            said.append(part)

        await self.front(scope, receive, send)
        return int(said[0]["status"])

    async def fill(self, events: int) -> None:
        """Take some events in."""
        for number in range(1, events + 1):
            assert await self.post(event(number)) == 200

    def drain(self) -> tuple[DestinationDrain, Control]:
        """Begin to drain."""
        shared = Shared(
            self.destination,
            DrainPolicy(
                Selection(include=(), exclude=()),
                RetryPolicy(base_seconds=0.01, max_seconds=1.0),
                batch_events_max=BATCH_EVENTS,
            ),
            writer=self.writer,
            reader=self.reader,
            clock=self.clock,
            board=self.board,
        )
        drain = DestinationDrain("hook", shared)
        self.tasks.start_soon(drain.run)
        return drain, Control(self.reader, self.clock, {"hook": drain})

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Look from outside, over a connection of its own.

        By the same SQLite: a second one in the process would break the locks of the first.
        """
        connection = sqlite.open_reader(self.path)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    async def settled(self, position: int) -> None:
        """Wait until the live cursor has come to a position."""
        await self.until("SELECT position FROM cursors WHERE replay_id = 0", position)

    async def until(self, statement: str, value: object) -> None:
        """Wait until a statement gives a value."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while self.rows(statement) != [(value,)]:
                    await self.clock.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"{self.rows(statement)} is not {value}: {statement}") from None


def event(number: int, text: str = "") -> bytes:
    """Make a body."""
    return b'{"event_id":"event-%d","metric":"sent","data":{"a":"%s"}}' % (number, text.encode())


async def _nothing_behind(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
    raise AssertionError("nothing but webhook calls is made")

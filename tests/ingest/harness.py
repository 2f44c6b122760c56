"""The ingest side of the service, running for a test: real server, writer and database file.

The server is a parameter, an `Engine`: the suite says what senders may rely on,
whichever program speaks HTTP to them.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from streamer.clock import SystemClock
from streamer.core import limits
from streamer.core.signature import Verifier
from streamer.ingest.front import Application, Front, Scope, Send
from streamer.ingest.request import Receive
from streamer.ingest.source import Source
from streamer.observe.board import Board
from streamer.store import facts, migrate, sources, sqlite
from streamer.store.sqlite import Connection
from streamer.store.writer import Writer
from streamer.web.health import Health
from streamer.web.public import make_public
from tests.support import raw_http
from tests.support.raw_http import KEY, Address, Answer, Header, connect

OLD_KEY = "the-key-before-this-one"


class Engine(Protocol):
    """Serves an ASGI application on a bound socket until told to stop."""

    async def __call__(
        self,
        application: Application,
        listener: socket.socket,
        *,
        stop: Callable[[], Awaitable[Any]],
        graceful_seconds: float,
        connections_max: int = ...,
        on_full: Callable[[str], None] = ...,
    ) -> None:
        """Serve until ``stop`` returns."""
        ...


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a test may want to be different."""

    deadline_seconds: float = 3.0
    body_bytes_max: int = limits.BODY_BYTES_MAX
    body_memory_bytes_max: int = limits.INGEST_QUEUE_BYTES_MAX
    queue_bytes_max: int = limits.INGEST_QUEUE_BYTES_MAX
    queue_events_max: int = limits.INGEST_QUEUE_EVENTS_MAX
    refuse_bad_signature: bool = False
    age_limit_seconds: float | None = None
    unix: bool = False
    wrap: Callable[[Application], Application] = lambda inner: inner
    """Replaces what stands behind the front."""
    writer: type[Writer] = Writer


class Ingest:
    """A running ingest side, and what is in its database."""

    def __init__(
        self, path: Path, address: Address, front: Front, writer: Writer, board: Board
    ) -> None:
        self.path = path
        self.address = address
        self.front = front
        self.writer = writer
        self.board = board
        self.application: Application = front
        """What the server calls; a test may put something in between."""

    async def post(
        self,
        body: bytes,
        *,
        method: str = "POST",
        path: str = "/webhooks/customerio",
        headers: Iterable[Header] | None = None,
        further: Iterable[Header] = (),
    ) -> Answer:
        """Send one call, signed unless ``headers`` are given, on a connection of its own."""
        request = raw_http.call(body, method=method, path=path, headers=headers, further=further)
        return await self.raw(request)

    async def raw(self, request: bytes) -> Answer:
        """Send bytes on a connection of their own and read the answer."""
        return await raw_http.exchange(self.address, request)

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Ask the database, as an operator beside the service would."""
        with closing(sqlite.open_reader(self.path)) as db:
            return db.execute(statement, values).fetchall()

    def bodies(self) -> list[bytes]:
        """Return the body of every event in the outbox, in order."""
        rows = self.rows("SELECT body FROM outbox ORDER BY position")
        return [row[0].encode() for row in rows]

    def quarantined(self) -> list[tuple[str, bytes]]:
        """Return reason and bytes of every call in quarantine."""
        return [tuple(row) for row in self.rows("SELECT reason, body FROM quarantine ORDER BY id")]

    def is_empty(self) -> bool:
        """Tell whether nothing at all was kept."""
        return not self.bodies() and not self.quarantined()

    def counts(self, source: str = "customerio") -> Mapping[str, int]:
        """Return a source's counters from the database."""
        names = ("received", "duplicates", "quarantined", "unknown_types")
        [row] = self.rows(
            "SELECT received, duplicates, quarantined, unknown_types FROM sources WHERE name = ?",
            source,
        )
        return dict(zip(names, row, strict=True))

    def alarmed(self, code: str) -> int:
        """Return how often an alarm was raised."""
        return sum(times for (raised, _), times in self.board.counts.items() if raised == code)

    @contextmanager
    def locked(self) -> Iterator[Connection]:
        """Hold the database's write lock, as a foreign program would."""
        with closing(sqlite.open_writer(self.path)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield db

    async def settled(self) -> None:
        """Wait until the writer has nothing left to commit."""
        await eventually(lambda: self.writer.is_idle)


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the loop run until something has become true."""
    async with asyncio.timeout(raw_http.SECONDS_MAX):
        while not condition():  # noqa: ASYNC110 - the thing waited for knows no event
            await asyncio.sleep(POLL_SECONDS)


POLL_SECONDS = 0.005


def make_database(path: Path) -> None:
    """Make an empty database."""
    with closing(sqlite.open_writer(path)) as db:
        migrate.migrate(db, path, now=0)
        sources.ensure(db, ["customerio", "second"])


def listen(directory: Path, *, unix: bool = False) -> tuple[socket.socket, Address]:
    """Listen somewhere that is free."""
    address: Address
    if unix:
        address = directory / "ingest.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(address))
    else:
        listener = socket.socket(socket.AF_INET)
        listener.bind(("127.0.0.1", 0))
        address = listener.getsockname()
    listener.listen(limits.LISTEN_BACKLOG)
    listener.setblocking(False)
    return listener, address


def make_front(writer: Writer, board: Board, settings: Settings) -> Front:
    """Join the parts as the service does."""
    clock = SystemClock()

    async def write_probe() -> None:
        await writer.do(lambda db: facts.write(db, facts.PROBED_AT, clock.now()))

    def refuses() -> str | None:
        if front.gate.leaving:
            return "stopping"
        return "the disk is full" if front.gate.disk_full else None

    health = Health(clock, is_alive=lambda: True, refuses=refuses, write_probe=write_probe)
    front = Front(
        settings.wrap(make_public(health)),
        sources={name: _source(name, settings) for name in ("customerio", "second")},
        writer=writer,
        clock=clock,
        board=board,
        deadline_seconds=settings.deadline_seconds,
        body_memory_bytes_max=settings.body_memory_bytes_max,
    )
    return front


def _source(name: str, settings: Settings) -> Source:
    return Source(
        name=name,
        verifier=Verifier([KEY.encode(), OLD_KEY.encode()]),
        refuse_bad_signature=settings.refuse_bad_signature,
        body_bytes_max=settings.body_bytes_max,
        age_warn_seconds=300,
        age_limit_seconds=settings.age_limit_seconds,
    )


@asynccontextmanager
async def run_ingest(
    engine: Engine, template: Path, directory: Path, settings: Settings
) -> AsyncIterator[Ingest]:
    """Run an ingest side; it must have ended cleanly when the block is left."""
    path = directory / "streamer.db"
    shutil.copy(template, path)
    board = Board(SystemClock())
    writer = settings.writer(
        path,
        SystemClock(),
        quarantine_bytes_max=limits.QUARANTINE_BYTES_MAX,
        queue_bytes_max=settings.queue_bytes_max,
        queue_events_max=settings.queue_events_max,
    )
    await writer.open()
    listener, address = listen(directory, unix=settings.unix)
    ingest = Ingest(path, address, make_front(writer, board, settings), writer, board)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await ingest.application(scope, receive, send)

    stop = asyncio.Event()
    writing = asyncio.create_task(writer.run())
    serving = asyncio.create_task(
        engine(application, listener, stop=stop.wait, graceful_seconds=2.0)
    )
    try:
        async with connect(address):  # once it is accepted, the server runs
            yield ingest
    finally:
        stop.set()
        async with asyncio.timeout(raw_http.SECONDS_MAX):  # a server that hangs is a failure too
            await serving
        listener.close()
        writer.stop()
        await writing
        await writer.aclose()


def hold(db: Connection) -> None:
    """Give the lock back."""
    db.execute("ROLLBACK")

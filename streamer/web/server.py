"""The HTTP server: the one module that knows Hypercorn.

What it serves is plain ASGI and would run under any other server. Hypercorn's
connections are used, and its own `serve` is not, for three reasons. It closes
connections that it has just accepted when it is told to stop, without an
answer; here nothing new is accepted any more and those that came are heard
first. And it keeps a connection that the sender has closed until the
keep-alive time is over, which costs a descriptor for each. And it accepts
until there are no descriptors left (`streamer.web.acceptor`).

Only HTTP/1.1 is spoken. Hypercorn switches to HTTP/2 on a plaintext preface or
an ``Upgrade: h2c`` header, before any application is asked, and to WebSocket on
an upgrade; each brings its own attacks and none is of use here. Its protocol
class is therefore replaced by one that never switches: an upgrade is ignored,
as HTTP allows, and the request is served as what it otherwise is.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import h11
import hypercorn.protocol
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Event, Updated
from hypercorn.protocol.h11 import H11Protocol

from streamer.core.limits import (
    ACCEPT_AT_ONCE_MAX,
    CONNECTION_REQUESTS_MAX,
    CONNECTIONS_MAX,
    FAREWELL_SECONDS,
    HEADER_BYTES_MAX,
    IDLE_SECONDS_MIN,
    KEEP_ALIVE_SECONDS,
    LISTEN_BACKLOG,
    NEWCOMER_SECONDS,
    NEWCOMER_STEPS,
    ROOM_DIVISOR,
)
from streamer.web.acceptor import Acceptor

Application = Callable[[Any, Any, Any], Awaitable[None]]


class PlainProtocol(H11Protocol):
    """HTTP/1.1 and nothing else."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Switch to no other protocol."""

    async def _create_stream(self, request: h11.Request) -> None:
        if any(name == b"upgrade" for name, _ in request.headers):
            request = h11.Request(
                method=request.method,
                target=request.target,
                headers=[pair for pair in request.headers if pair[0] != b"upgrade"],
                http_version=request.http_version,
            )
        await super()._create_stream(request)

    async def _maybe_recycle(self) -> None:
        """End a stream whose application has answered, and let go whoever still brings it a body.

        Both the reader of the connection and Hypercorn's own farewell to the application wait for
        room in a queue that nobody empties any more.
        """
        bring: Any = getattr(self.stream, "app_put", None)
        if bring is not None:
            queue: asyncio.Queue[object] = bring.__self__
            while not queue.empty():
                queue.get_nowait()
        await super()._maybe_recycle()


hypercorn.protocol.H11Protocol = PlainProtocol  # type: ignore[attr-defined]  # not exported


class Connection(TCPServer):
    """One connection, which ends when the sender has ended it and has its answers."""

    _ended = False
    idle_since: float | None = None
    """Loop time since when nothing is asked and nothing is to be answered."""

    async def run(self) -> None:
        """Serve it to its end."""
        self.idle_since = self.loop.time()
        await super().run()

    async def close_idle(self) -> None:
        """Close it as if it had been idle for too long."""
        self.idle_since = None
        await self._initiate_server_close()

    async def _read_data(self) -> None:
        await super()._read_data()
        self._ended = True
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        """Pass on what the protocol wants done, but await nothing from a sender that is gone."""
        if isinstance(event, Updated):
            self.idle_since = self.loop.time() if event.idle else None
        if not (self._ended and isinstance(event, Updated)):
            await super().protocol_send(event)


class Connections:
    """All connections of one listener."""

    def __init__(
        self,
        application: Application,
        listener: socket.socket,
        *,
        connections_max: int,
        on_full: Callable[[str], None],
        accept_at_once_max: int = ACCEPT_AT_ONCE_MAX,
    ) -> None:
        self._application = ASGIWrapper(application)
        self._config = _make_config()
        self._context = WorkerContext(None)
        self._connections_max = connections_max
        self._open: set[Connection] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._acceptor = Acceptor(
            listener,
            self._serve,
            connections_max=connections_max,
            make_room=self._make_room,
            on_full=on_full,
            at_once_max=accept_at_once_max,
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        loop = asyncio.get_running_loop()
        connection = Connection(
            self._application, loop, self._config, self._context, {}, reader, writer
        )
        self._open.add(connection)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)

    def _make_room(self) -> None:
        """Close some of those that have been idle for longest; a new call is soon heard of."""
        loop = asyncio.get_running_loop()
        latest = loop.time() - IDLE_SECONDS_MIN
        idle = [
            (one.idle_since, one)
            for one in self._open
            if one.idle_since is not None and one.idle_since <= latest
        ]
        idle.sort(key=lambda pair: pair[0])
        for _, connection in idle[: max(1, self._connections_max // ROOM_DIVISOR)]:
            task = loop.create_task(connection.close_idle())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def stop_accepting(self) -> None:
        """Leave whoever comes in the listener's queue."""
        self._acceptor.stop()

    async def end(self, graceful_seconds: float) -> None:
        """Close each connection once it is idle; cancel what takes longer than it may."""
        for _ in range(NEWCOMER_STEPS):
            await self._wait(NEWCOMER_SECONDS / NEWCOMER_STEPS)
        await self._context.terminated.set()
        await self._wait(graceful_seconds)
        self.cancel()
        await self._wait(FAREWELL_SECONDS)

    def cancel(self) -> None:
        """Give up whatever is left."""
        for task in self._acceptor.tasks:
            task.cancel()

    async def _wait(self, seconds: float | None) -> None:
        if self._acceptor.tasks:
            await asyncio.wait(self._acceptor.tasks, timeout=seconds)


async def run_server(
    application: Application,
    listener: socket.socket,
    *,
    stop: Callable[[], Awaitable[object]],
    graceful_seconds: float,
    connections_max: int = CONNECTIONS_MAX,
    on_full: Callable[[str], None] = lambda reason: None,
    accept_at_once_max: int = ACCEPT_AT_ONCE_MAX,
) -> None:
    """Serve ``application`` on a bound socket until ``stop`` returns.

    Requests under way then have ``graceful_seconds`` to end. The listener
    itself stays open: its owner closes it, or its service manager keeps it,
    with those who wait there to be accepted; so do those for whom there is no
    place among ``connections_max``, or no descriptor: ``on_full`` is told which.
    """
    listener.setblocking(False)
    listener.listen(LISTEN_BACKLOG)
    connections = Connections(
        application,
        listener,
        connections_max=connections_max,
        on_full=on_full,
        accept_at_once_max=accept_at_once_max,
    )
    try:
        await stop()
        connections.stop_accepting()
        await connections.end(graceful_seconds)
    finally:
        connections.stop_accepting()
        connections.cancel()


def _make_config() -> Config:
    config = Config()
    config.include_server_header = False
    config.h11_max_incomplete_size = HEADER_BYTES_MAX
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.keep_alive_max_requests = CONNECTION_REQUESTS_MAX
    log = logging.getLogger("streamer.server")
    log.setLevel(logging.WARNING)
    config.errorlog = log
    return config

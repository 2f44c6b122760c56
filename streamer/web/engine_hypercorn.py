"""HTTP as Hypercorn speaks it: the one module that knows Hypercorn.

Its connections are used, and its own `serve` is not, for three reasons. It
closes connections that it has just accepted when it is told to stop, without
an answer. It accepts until there are no descriptors left. And it keeps a
connection that the sender has closed until the keep-alive time is over, which
costs a descriptor for each.

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
from collections.abc import Collection
from typing import Any

import h11
import hypercorn.protocol
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, Updated
from hypercorn.protocol.h11 import H11Protocol

from streamer.core.limits import CONNECTION_REQUESTS_MAX, HEADER_BYTES_MAX, KEEP_ALIVE_SECONDS
from streamer.web import heads
from streamer.web.engine import Application


class PlainProtocol(H11Protocol):
    """HTTP/1.1 and nothing else."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Switch to no other protocol."""

    async def _create_stream(self, request: h11.Request) -> None:
        try:
            request = _as_served(request)
        except heads.Refused as refused:
            await self._send_error_response(refused.status)
            await self.send(Closed())
        else:
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


def _as_served(request: h11.Request) -> h11.Request:
    """Return a request by its path and without an upgrade; raise `heads.Refused` for some."""
    version = request.http_version.decode()
    headers = list(request.headers)
    heads.check(request.method, request.target, version, headers)
    path = heads.path_of(request.target)
    kept = [pair for pair in headers if pair[0] != b"upgrade"]
    if path == request.target and len(kept) == len(headers):
        return request
    return h11.Request(method=request.method, target=path, headers=kept, http_version=version)


hypercorn.protocol.H11Protocol = PlainProtocol  # type: ignore[attr-defined]  # not exported


class HypercornConnection(TCPServer):
    """One connection, which ends when the sender has ended it and has its answers."""

    _ended = False
    idle_since: float | None = None

    async def run(self) -> None:
        """Serve it to its end."""
        self.idle_since = self.loop.time()
        await super().run()

    def close_idle(self) -> None:
        """Close it, which the reader of it hears of as of any other end."""
        self.idle_since = None
        self.writer.close()

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


class HypercornEngine:
    """Speaks HTTP on the connections of one listener (see `streamer.web.engine.Engine`)."""

    def __init__(self, application: Application) -> None:
        self._application = ASGIWrapper(application)
        self._config = _make_config()
        self._context = WorkerContext(None)
        self._open: set[HypercornConnection] = set()

    @property
    def connections(self) -> Collection[HypercornConnection]:
        """Those that are being served."""
        return self._open

    async def serve(self, accepted: socket.socket) -> None:
        """Serve one connection to its end."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport: Any
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        connection = HypercornConnection(
            self._application, loop, self._config, self._context, {}, reader, writer
        )
        self._open.add(connection)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)

    async def leave(self) -> None:
        """From now on, close each connection as soon as it is idle."""
        await self._context.terminated.set()


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

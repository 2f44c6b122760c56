"""The HTTP server: the one module that knows Hypercorn.

What it serves is plain ASGI and would run under any other server. Hypercorn
runs as a task of ours and is told when to stop; it is never run by its own
command, which starts a child process even for one worker.

Only HTTP/1.1 is spoken. Hypercorn switches to HTTP/2 on a plaintext preface or
an ``Upgrade: h2c`` header, before any application is asked, and to WebSocket on
an upgrade; each brings its own attacks and none is of use here. Its protocol
class is therefore replaced by one that never switches: an upgrade is ignored,
as HTTP allows, and the request is served as what it otherwise is.

When it stops, Hypercorn closes at once each connection that has no request
under way, also one that it has just taken and whose call is on the wire. To a
sender that is a connection reset, which costs an hour. Its connection class is
therefore replaced by one that waits for such a call a moment longer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import h11
import hypercorn.asyncio.run
import hypercorn.protocol
from hypercorn.asyncio import serve
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from hypercorn.protocol.h11 import H11Protocol

from streamer.core.limits import (
    CONNECTION_REQUESTS_MAX,
    FAREWELL_SECONDS,
    HEADER_BYTES_MAX,
    KEEP_ALIVE_SECONDS,
    LISTEN_BACKLOG,
)

FAREWELL_STEPS = 10

Application = Callable[[Any, Any, Any], Awaitable[None]]

_serving: set[asyncio.Task[None]] = set()
"""The tasks of all connections. Hypercorn's own list misses those taken just before it stops."""


class PatientServer(TCPServer):
    """A connection that is let go only when no call can be on its way through it any more."""

    async def run(self) -> None:
        """Serve the connection to its end."""
        task = asyncio.current_task()
        assert task is not None
        _serving.add(task)
        try:
            await super().run()
        finally:
            _serving.discard(task)

    async def _idle_timeout(self) -> None:
        """Close a connection without a request when it is time, or some time after the stop."""
        try:
            await asyncio.wait_for(self.context.terminated.wait(), self.config.keep_alive_timeout)
        except TimeoutError:
            pass
        else:
            # In steps: a machine that stood still must not find the whole wait over, and what
            # came in meanwhile still unread.
            for _ in range(FAREWELL_STEPS):
                await asyncio.sleep(FAREWELL_SECONDS / FAREWELL_STEPS)
        await asyncio.shield(self._initiate_server_close())


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


hypercorn.asyncio.run.TCPServer = PatientServer  # type: ignore[attr-defined]  # not exported
hypercorn.protocol.H11Protocol = PlainProtocol  # type: ignore[attr-defined]  # not exported


async def run_server(
    application: Application,
    listener: socket.socket,
    *,
    stop: Callable[[], Awaitable[None]],
    graceful_seconds: float,
) -> None:
    """Serve ``application`` on a bound socket until ``stop`` returns.

    Requests under way then have ``graceful_seconds`` to end. The listener
    itself stays open: its owner closes it, or its service manager keeps it.
    """
    config = Config()
    # Hypercorn closes the descriptor that it is given.
    config.bind = [f"fd://{os.dup(listener.fileno())}"]
    config.backlog = LISTEN_BACKLOG
    config.include_server_header = False
    config.h11_max_incomplete_size = HEADER_BYTES_MAX
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.keep_alive_max_requests = CONNECTION_REQUESTS_MAX
    config.graceful_timeout = graceful_seconds
    config.shutdown_timeout = graceful_seconds
    log = logging.getLogger("streamer.server")
    log.setLevel(logging.WARNING)  # "Running on" with a descriptor's number tells nobody anything
    config.errorlog = log
    await serve(application, config, shutdown_trigger=stop, mode="asgi")
    if _serving:
        await asyncio.wait(_serving, timeout=graceful_seconds)

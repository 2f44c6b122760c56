"""The HTTP server: lets senders in, and ends without leaving one of them unanswered.

It runs beside the other loops of the service and takes part in their stop,
which no library's own server does well enough: those that were accepted are
heard first, whoever comes later stays in the listener's queue, and only then
each connection is closed as soon as nothing is under way on it. What is spoken
on a connection is an engine's business (`streamer.web.engine`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from streamer.core.limits import (
    CONNECTIONS_MAX,
    FAREWELL_SECONDS,
    IDLE_SECONDS_MIN,
    LISTEN_BACKLOG,
    NEWCOMER_SECONDS,
    NEWCOMER_STEPS,
    ROOM_DIVISOR,
)
from streamer.web.acceptor import Acceptor
from streamer.web.engine import Application, Engine, EngineName, make_engine


class Connections:
    """All connections of one listener."""

    def __init__(
        self,
        engine: Engine,
        listener: socket.socket,
        *,
        connections_max: int,
        on_full: Callable[[str], None],
        shared: bool = False,
    ) -> None:
        self._engine = engine
        self._connections_max = connections_max
        self._acceptor = Acceptor(
            listener,
            engine.serve,
            connections_max=connections_max,
            make_room=self._make_room,
            on_full=on_full,
            shared=shared,
        )

    def _make_room(self) -> None:
        """Close some of those that have been idle for longest; a new call is soon heard of."""
        latest = asyncio.get_running_loop().time() - IDLE_SECONDS_MIN
        idle = [
            (one.idle_since, one)
            for one in self._engine.connections
            if one.idle_since is not None and one.idle_since <= latest
        ]
        idle.sort(key=lambda pair: pair[0])
        for _, connection in idle[: max(1, self._connections_max // ROOM_DIVISOR)]:
            connection.close_idle()

    def stop_accepting(self) -> None:
        """Leave whoever comes in the listener's queue."""
        self._acceptor.stop()

    async def end(self, graceful_seconds: float) -> None:
        """Close each connection once it is idle; cancel what takes longer than it may."""
        for _ in range(NEWCOMER_STEPS):
            await self._wait(NEWCOMER_SECONDS / NEWCOMER_STEPS)
        await self._engine.leave()
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
    engine: EngineName = "hypercorn",
    connections_max: int = CONNECTIONS_MAX,
    on_full: Callable[[str], None] = lambda reason: None,
    shared: bool = False,
) -> None:
    """Serve ``application`` on a bound socket until ``stop`` returns.

    Requests under way then have ``graceful_seconds`` to end. The listener
    itself stays open: its owner closes it, or its service manager keeps it,
    with those who wait there to be accepted; so do those for whom there is no
    place among ``connections_max``, or no descriptor: ``on_full`` is told which.
    A listener that other processes serve as well is to be ``shared``.
    """
    made = make_engine(engine, application)
    listener.setblocking(False)
    listener.listen(LISTEN_BACKLOG)
    connections = Connections(
        made,
        listener,
        connections_max=connections_max,
        on_full=on_full,
        shared=shared,
    )
    try:
        await stop()
        connections.stop_accepting()
        await connections.end(graceful_seconds)
    finally:
        connections.stop_accepting()
        connections.cancel()

"""Takes connections from a listener, as many as there is room for.

Whoever comes when all places are taken waits in the kernel's queue, where a
sender waits without harm, and not on a descriptor that the database or a
destination needs. Connections that have been kept open for nothing make room
first. Accepting is one step of the loop: what it has taken is always served,
and a stop leaves the rest in the queue for the next process.

It must not know what is spoken on a connection.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from streamer.core.intervals import ACCEPT_PAUSE_SECONDS, ROOM_SECONDS
from streamer.core.limits import ACCEPT_AT_ONCE_MAX, ACCEPT_AT_ONCE_SHARED
from streamer.observe.log import where

_log = structlog.get_logger("streamer.server")

Serve = Callable[[socket.socket], Coroutine[Any, Any, None]]


class Acceptor:
    """The connections of one listener, from the moment they are accepted."""

    def __init__(
        self,
        listener: socket.socket,
        serve: Serve,
        *,
        connections_max: int,
        make_room: Callable[[], None],
        on_full: Callable[[str], None],
        shared: bool = False,
    ) -> None:
        """Begin to accept from a listening socket that blocks nobody.

        Where it is ``shared`` by several processes, fewer are taken in one step, and after each
        there is a pause in which others are woken: or whoever wakes first takes all that come.

        ``make_room`` is called while newcomers have to wait; ``on_full`` is told why they do,
        again and again while the system refuses another descriptor.
        """
        self.tasks: set[asyncio.Task[None]] = set()
        self._listener = listener
        self._serve = serve
        self._connections_max = connections_max
        self._make_room = make_room
        self._on_full = on_full
        self._shared = shared
        self._at_once_max = ACCEPT_AT_ONCE_SHARED if shared else ACCEPT_AT_ONCE_MAX
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._loop.add_reader(listener.fileno(), self._take)

    def stop(self) -> None:
        """Accept nobody any more."""
        if not self._stopped:
            self._stopped = True
            self._loop.remove_reader(self._listener.fileno())
            if self._timer is not None:
                self._timer.cancel()

    def _take(self) -> None:
        """Accept those who wait; somebody does, or this would not be called."""
        before = len(self.tasks)
        places = self._connections_max - before
        if places <= 0:
            self._on_full(f"{self._connections_max} connections are open")
            self._wait_for_room()
        for _ in range(min(places, self._at_once_max)):
            try:
                accepted, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:  # no descriptors, or no memory for another
                self._on_full(f"no connection can be accepted: {error.strerror}")
                self._wait_for_room()
                return
            accepted.setblocking(False)
            task = self._loop.create_task(self._serve(accepted))
            self.tasks.add(task)
            task.add_done_callback(self._forget)
        if self._shared and len(self.tasks) > before:
            self._pause(ACCEPT_PAUSE_SECONDS)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("server.connection_failed", raised=where(error))

    def _wait_for_room(self) -> None:
        """Leave newcomers in the queue, and look again soon."""
        self._make_room()
        self._pause(ROOM_SECONDS)

    def _pause(self, seconds: float) -> None:
        """Accept nobody for a while."""
        self._loop.remove_reader(self._listener.fileno())
        self._timer = self._loop.call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        if len(self.tasks) >= self._connections_max:
            self._wait_for_room()
        else:
            self._loop.add_reader(self._listener.fileno(), self._take)

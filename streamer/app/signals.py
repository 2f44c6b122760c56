"""Signals, heard from the first moment to the last.

A signal that nobody catches kills, SIGHUP too, so one that comes while the
service still starts must be kept until there is somebody to obey it. And the
event loop gives its handlers up before the process ends, so these are the
process's own: they stay.

It must not know what a signal asks for.
"""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import AsyncIterator
from types import FrameType

import structlog

_log = structlog.get_logger("streamer.service")


class Signals:
    """Those that were caught, in the order in which they came."""

    def __init__(self) -> None:
        self._heard: deque[signal.Signals] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()

    def catch(self, *numbers: signal.Signals) -> None:
        """Keep these from now on; call on the main thread."""
        for number in numbers:
            signal.signal(number, self._hear)

    async def heard(self) -> AsyncIterator[signal.Signals]:
        """Give out what was caught, and then whatever comes."""
        self._loop = asyncio.get_running_loop()
        while True:
            while self._heard:
                yield self._heard.popleft()
            self._news.clear()
            if not self._heard:
                await self._news.wait()

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        """Take note; Python calls this between two of its steps, on the main thread."""
        self._heard.append(signal.Signals(number))
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)


def die_of(number: signal.Signals) -> None:
    """End at once: somebody at a terminal is out of patience, and every crash is safe.

    A service manager that says SIGTERM twice is not: that must not cost a call its answer.
    """
    _log.warning("service.cut_short")
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)

"""The only door to time and chance.

Whatever depends on the time of day, on waiting or on luck takes a `Clock`, so
that a test can drive it. Wall time is in whole milliseconds since 1970 and is
used for what people read and for what is stored; waits run on monotonic time,
because the wall clock may be set back under a running service.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Protocol

import anyio

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux has the first one alone."""


_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_number() -> int:
    """Return a number that is another one after each boot; 0 where the system gives none."""
    try:
        return int(_BOOT_ID.read_text(encoding="ascii").replace("-", "")[:15], 16)
    except (OSError, ValueError):
        return 0


class Clock(Protocol):
    """Time and chance."""

    def now(self) -> int:
        """Wall time in milliseconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; the zero means nothing."""
        ...

    def boottime(self) -> float:
        """Seconds on a clock that nobody sets and that goes on while the machine is suspended."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait on the monotonic clock."""
        ...

    def jitter(self) -> float:
        """Return a random number in [0, 1)."""
        ...


class SystemClock:
    """The machine's clock and Python's generator."""

    def now(self) -> int:
        """Wall time in milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def boottime(self) -> float:
        """Seconds since some fixed moment, a suspended machine's included where it counts them."""
        return time.clock_gettime(_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Wait on the monotonic clock."""
        await anyio.sleep(seconds)

    def jitter(self) -> float:
        """Return a random number in [0, 1)."""
        return random.random()  # noqa: S311 - spreads retries out; nothing secret depends on it

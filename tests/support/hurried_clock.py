"""The machine's clock for a stand-in beside real processes: nobody waits an hour for it."""

from __future__ import annotations

import anyio

from streamer.clock import SystemClock

REAL_SECONDS_MAX = 0.02
"""How long a wait really takes; the rest of it is skipped."""


class HurriedClock(SystemClock):
    """Skips most of each wait on its monotonic clock; the time of day stays that of the machine."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def monotonic(self) -> float:
        """Seconds, those that were skipped included."""
        return super().monotonic() + self._skipped

    async def sleep(self, seconds: float) -> None:
        """Wait a moment, and let the whole time have passed."""
        real = min(seconds, REAL_SECONDS_MAX)
        await anyio.sleep(real)
        self._skipped += seconds - real

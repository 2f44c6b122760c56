"""A clock that a test moves by hand."""

from __future__ import annotations

import anyio

START = 1_790_000_000_000


class ManualClock:
    """Stands still until it is moved; a sleep moves it and lets others run."""

    def __init__(self, now: int = START) -> None:
        self.wall_ms = now
        self.seconds = 1_000.0
        self.slept: list[float] = []

    def now(self) -> int:
        return self.wall_ms

    def monotonic(self) -> float:
        return self.seconds

    def boottime(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.move(seconds)
        await anyio.lowlevel.checkpoint()

    def jitter(self) -> float:
        return 0.5

    def move(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.seconds += seconds
        self.leap(seconds)

    def leap(self, seconds: float) -> None:
        """Set the wall clock, forward or back."""
        self.wall_ms += round(seconds * 1000)

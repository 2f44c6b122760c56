"""Tells a wall clock that leapt from time that has passed.

Pruning goes by the date, and a wrong year would delete everything. So the
wall clock is held against one that nobody can set, as often as anybody likes:
the two go apart only when the wall clock is set. What the wall clock ought to
say is known as long as this process lives, and stored now and then for the
next one, with what the other clock said: within one boot that tells how long
the service was off. After another boot nobody knows, so the first look
believes any time within retention.

A doubt is stored too. It ends when the clock says again what it ought to, or
when an operator confirms it; a restart alone does not end it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from streamer.clock import Clock
from streamer.core.limits import CLOCK_JUMP_SECONDS_MAX, DAY_SECONDS
from streamer.store import facts
from streamer.store.sqlite import Connection

_LEAP_MS = CLOCK_JUMP_SECONDS_MAX * 1000


class _Known(msgspec.Struct, frozen=True):
    """What the wall clock ought to have said at a moment."""

    wall_ms: int
    boottime: float
    doubted: bool = False
    """It said something else, and that is stored."""

    def expected(self, boottime: float) -> int:
        return self.wall_ms + round((boottime - self.boottime) * 1000)


Transact: TypeAlias = Callable[[Callable[[Connection], _Known]], Awaitable[_Known]]
"""Does something in a transaction; raises `StoreError`."""


class ClockWatch:
    """Knows whether the wall clock can be believed."""

    def __init__(self, clock: Clock, *, boot: int = 0) -> None:
        self._clock = clock
        self._boot = boot
        """Which boot of the machine this is; 0 when nobody knows."""
        self._known: _Known | None = None

    def look(self) -> None:
        """Follow the wall clock while it can be believed; touches nothing but memory."""
        known, now, boottime = self._known, self._clock.now(), self._clock.boottime()
        if known and not known.doubted and abs(now - known.expected(boottime)) <= _LEAP_MS:
            self._known = _Known(now, boottime)

    async def compare(self, do: Transact, *, retention_days: int) -> bool:
        """Say whether the wall clock is to be believed, and store it; raises `StoreError`."""
        known, now, boottime = self._known, self._clock.now(), self._clock.boottime()
        idle_ms = retention_days * DAY_SECONDS * 1000

        def judge(db: Connection) -> _Known:
            seen = facts.read(db, facts.CLOCK_SEEN)
            doubted = facts.read(db, facts.CLOCK_DOUBTED) is not None
            later_ms = _LEAP_MS
            passed_ms = None if known else self._passed_since_stored(db, boottime)
            if seen is not None and passed_ms is not None:
                seen += passed_ms
            elif known and (doubted or not known.doubted):
                seen = known.expected(boottime)
            elif not (known or doubted):
                later_ms = idle_ms  # a service that was off for a week meets a clock a week on
            if seen is None or seen - _LEAP_MS <= now <= seen + later_ms:
                facts.remove(db, facts.CLOCK_DOUBTED)
                self._store(db, now, boottime)
                return _Known(now, boottime)
            facts.write(db, facts.CLOCK_DOUBTED, now)
            self._store(db, seen, boottime)
            return _Known(seen, boottime, doubted=True)

        self._known = await do(judge)
        return not self._known.doubted

    def _store(self, db: Connection, seen: int, boottime: float) -> None:
        facts.write(db, facts.CLOCK_SEEN, seen)
        facts.write(db, facts.CLOCK_BOOT, self._boot)
        facts.write(db, facts.CLOCK_BOOTTIME, round(boottime * 1000))

    def _passed_since_stored(self, db: Connection, boottime: float) -> int | None:
        """Return the ms since the wall time was stored; None when that was in another boot."""
        stored = facts.read(db, facts.CLOCK_BOOTTIME)
        if stored is None or not self._boot or facts.read(db, facts.CLOCK_BOOT) != self._boot:
            return None
        return round(boottime * 1000) - stored

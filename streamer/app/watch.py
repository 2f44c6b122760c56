"""Proof of life: the loop, the writer and every drain tick, or the watchdog is not fed.

Alive means that a loop came round again in the time that its present work may
take. It does not mean that a commit or a delivery succeeded: a full disk or a
dead destination is no reason to be killed and started again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from streamer.app import systemd
from streamer.clock import Clock
from streamer.core.intervals import TURNS_TOLD_SECONDS, WATCH_SECONDS, WRITER_STALL_SECONDS
from streamer.store.writer import Writer

_log = structlog.get_logger("streamer.watch")


class Watch:
    """Asks everybody whether they are alive, and tells the service manager if all are."""

    def __init__(
        self,
        clock: Clock,
        writer: Writer,
        *,
        alive_until: Callable[[], Mapping[str, float]],
        status: Callable[[], str],
    ) -> None:
        """Ask ``alive_until`` for the monotonic deadline of each loop, by name."""
        self.loop_lag_seconds = 0.0
        self._clock = clock
        self._writer = writer
        self._alive_until = alive_until
        self._status = status
        self._writer_ticks = -1
        self._writer_moved_at = clock.monotonic()
        self._turns_missed = 0
        self._turns_told_at = float("-inf")

    def stalled(self) -> list[str]:
        """Name the loops that have not come round in time."""
        now = self._clock.monotonic()
        found = [name for name, until in self._alive_until().items() if now > until]
        if not self._writer.is_idle and self._writer.stats.ticks == self._writer_ticks:
            if now - self._writer_moved_at > WRITER_STALL_SECONDS:
                found.append("writer")
        else:
            self._writer_ticks = self._writer.stats.ticks
            self._writer_moved_at = now
        return found

    async def run(self, interval_seconds: float | None) -> None:
        """Look for as long as the service runs; feed the watchdog if there is one.

        A stall is logged once, and then silence tells the service manager.
        """
        period = WATCH_SECONDS
        if interval_seconds is not None:
            period = min(period, interval_seconds / 3)
        said: list[str] = []
        while True:
            before = self._clock.monotonic()
            await self._clock.sleep(period)
            self.loop_lag_seconds = max(0.0, self._clock.monotonic() - before - period)
            stalled = self.stalled()
            if stalled and stalled != said:
                _log.error("watch.stalled", loops=stalled)
            said = stalled
            self._tell_missed_turns()
            if not stalled and interval_seconds is not None:
                systemd.notify_watchdog()
                systemd.notify_status(self._status())

    def _tell_missed_turns(self) -> None:
        """Log, once a minute at most, that commits went on without waiting for their turn."""
        count, reason = self._writer.turns_missed
        now = self._clock.monotonic()
        if count > self._turns_missed and now - self._turns_told_at >= TURNS_TOLD_SECONDS:
            _log.warning(
                "writer.turns_missed",
                times=count - self._turns_missed,
                reason=reason,
                hint="Nothing is lost; a writer may have to wait longer than others. Look for a "
                "command or a process of streamer that stands still: fuser -v writer.lock",
            )
            self._turns_missed, self._turns_told_at = count, now

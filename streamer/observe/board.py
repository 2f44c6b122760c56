"""The board of alarms: raised from anywhere in the service, written down once a second.

Raising an alarm touches only memory, because it happens on the hot path and
when the database itself is what fails. Whoever runs the service takes what has
changed and stores it, so that commands beside the service can show it. Each
alarm logs at most one line a minute.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import structlog

from streamer.clock import Clock
from streamer.core.alarms import Alarm, Severity
from streamer.core.intervals import ALARM_LOG_SECONDS

_log = structlog.get_logger("streamer.alarm")

Key = tuple[str, str]


class Change(msgspec.Struct, frozen=True):
    """An alarm that was raised, or a condition that is over, since the last look."""

    code: str
    subject: str
    message: str
    times: int
    """How often it was raised; 0: it was cleared."""


class Board:
    """Alarms of this process."""

    def __init__(self, clock: Clock, *, logs: bool = True) -> None:
        """Log what is raised, unless the board of another process that is told does so."""
        self._logs = logs
        self.counts: dict[Key, int] = {}
        """How often each alarm was raised since the start, for the metrics."""
        self._clock = clock
        self._raised: dict[Key, Change] = {}
        self._cleared: set[Key] = set()
        self._standing: set[Key] = set()
        self._logged_at: dict[Key, float] = {}

    @property
    def standing(self) -> frozenset[Key]:
        """Everything that was raised and not cleared, by this process or those before it."""
        return frozenset(self._standing)

    def restore(self, standing: Iterable[Key], *, raised: Iterable[Key] = ()) -> None:
        """Take over what an earlier process left standing, and what was raised before the board."""
        self._standing.update(standing)
        for key in raised:
            self.counts[key] = self.counts.get(key, 0) + 1

    def note(self, alarm: Alarm, subject: str, message: str) -> None:
        """Raise an alarm about ``subject``, a source or a destination or nothing."""
        self.merge(alarm, Change(alarm.code, subject, message, 1))

    def merge(self, alarm: Alarm, raised: Change) -> None:
        """Take over that an alarm was raised, once here or several times in another process."""
        key = (raised.code, raised.subject)
        self.counts[key] = self.counts.get(key, 0) + raised.times
        before = self._raised.get(key)
        times = raised.times if before is None else before.times + raised.times
        self._raised[key] = Change(raised.code, raised.subject, raised.message, times)
        self._cleared.discard(key)
        self._standing.add(key)
        if self._logs:
            self._log(alarm, key, raised.message)

    def clear(self, alarm: Alarm, subject: str) -> None:
        """Say that a condition is over; costs nothing when it did not hold."""
        key = (alarm.code, subject)
        if key not in self._standing:
            return
        self._standing.discard(key)
        self._raised.pop(key, None)
        self._cleared.add(key)
        _log.info("alarm.cleared", code=alarm.code, subject=subject, title=alarm.title)

    def take(self) -> list[Change]:
        """Return what has changed since the last call."""
        changes = list(self._raised.values())
        changes += [Change(code, subject, "", 0) for code, subject in self._cleared]
        self._raised.clear()
        self._cleared.clear()
        return changes

    def put_back(self, changes: list[Change]) -> None:
        """Keep changes that could not be stored, unless something newer is known."""
        for change in changes:
            key = (change.code, change.subject)
            if key in self._raised or key in self._cleared:
                continue
            if change.times:
                self._raised[key] = change
            else:
                self._cleared.add(key)

    def _log(self, alarm: Alarm, key: Key, message: str) -> None:
        now = self._clock.monotonic()
        last = self._logged_at.get(key)
        if last is not None and now - last < ALARM_LOG_SECONDS:
            return
        self._logged_at[key] = now
        write = _log.error if alarm.severity is Severity.CRITICAL else _log.warning
        write("alarm.raised", code=alarm.code, title=alarm.title, subject=key[1], message=message)

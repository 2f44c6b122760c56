"""What operators hear of one destination: its alarms, and what the log says of an outage.

All tracks of a destination share a teller, because an operator asks how the
destination is and not how a lane is: one lane's success does not end another
one's hold. Reasons are codes of ours; no detail, address or body is logged.

An outage is told at once, then ever more rarely, and once more when it is over
if it was told at all. A destination that comes and goes is held to the same
intervals, so that it does not fill the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import structlog

from streamer.clock import Clock
from streamer.core import alarms
from streamer.core.conclusion import Conclusion
from streamer.core.drain import Phase
from streamer.core.intervals import DEFERRAL_LOG_SECONDS_MAX, DEFERRAL_LOG_SECONDS_MIN
from streamer.core.limits import OUTAGE_ALARM_SECONDS
from streamer.core.outcome import Outcome, Verdict
from streamer.observe.board import Board

_log = structlog.get_logger("streamer.drain")

_STATUS = re.compile(r"http_(\d{3})")


class Outage:
    """When a destination began to defer, and when the log is to hear of it again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_at: float | None = None
        self._told = False
        self._quiet_until = float("-inf")
        self._gap_seconds = float(DEFERRAL_LOG_SECONDS_MIN)

    def go_on(self) -> str | None:
        """Note an attempt in vain; return the log's word for it, or None to stay quiet."""
        now = self._clock.monotonic()
        if self._began_at is None:
            self._began_at = now
            if now >= self._quiet_until + self._gap_seconds:  # all was well for long
                self._gap_seconds = float(DEFERRAL_LOG_SECONDS_MIN)
        if now < self._quiet_until:
            return None
        self._quiet_until = now + self._gap_seconds
        self._gap_seconds = min(self._gap_seconds * 2, DEFERRAL_LOG_SECONDS_MAX)
        word = "drain.still_deferred" if self._told else "drain.deferred"
        self._told = True
        return word

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return 0.0 if self._began_at is None else self._clock.monotonic() - self._began_at

    def end(self) -> float | None:
        """Note that it is over; return how long it was if the log knows of it."""
        seconds, told = self.seconds, self._told
        self._began_at, self._told = None, False
        return seconds if told else None


class Teller:
    """Tells of one destination; tracks are known by their cursors' numbers."""

    def __init__(self, name: str, kind: str, *, clock: Clock, board: Board) -> None:
        self._name = name
        self._kind = kind
        self._clock = clock
        self._board = board
        self._held: set[int] = set()
        self._unsettled: set[int] = set()
        self._deferring: set[int] = set()
        self._outage = Outage(clock)

    def leave(self, cursor_id: int) -> None:
        """Forget a track that there is no more, and end the alarms that only it kept up."""
        for troubled, alarm in (
            (self._held, alarms.HELD),
            (self._unsettled, alarms.UNSETTLED),
            (self._deferring, alarms.OUTAGE),
        ):
            if cursor_id not in troubled:
                continue
            troubled.remove(cursor_id)
            if not troubled:
                self._board.clear(alarm, self._name)
        if not self._deferring:
            self._outage.end()

    def tell_unopened(self, message: str) -> None:
        """Raise the alarm that nothing can be sent, because the destination cannot be opened."""
        self._board.note(alarms.HELD, self._name, f"it cannot be opened: {message}")

    def tell_opened(self, held: Iterable[int]) -> None:
        """Note that it is open, and which tracks are held as the database has it.

        Whatever an earlier drain said of opening it is over; what these are held for is not.
        """
        self._held.update(held)
        if not self._held:
            self._board.clear(alarms.HELD, self._name)

    def tell(
        self, cursor_id: int, conclusion: Conclusion, outcomes: Sequence[Outcome]
    ) -> float | None:
        """Tell what an attempt came to; return the seconds of a told outage that it has ended."""
        track, name = conclusion.track, self._name
        for burial in conclusion.buried:
            position = burial.event.position
            message = f"{burial.reason} (position {position})"
            self._board.note(alarms.DEAD_LETTER, name, message)
        if track.phase is Phase.HELD:
            self._held.add(cursor_id)
            self._board.note(alarms.HELD, name, track.last_error)
        elif conclusion.accepted:
            self._held.discard(cursor_id)
            if not self._held:
                self._board.clear(alarms.HELD, name)
        if track.phase is Phase.WAITING:
            self._tell_deferral(cursor_id, conclusion, outcomes)
            return None
        self._deferring.discard(cursor_id)
        if not conclusion.accepted or self._deferring:
            return None
        self._board.clear(alarms.OUTAGE, name)
        return self._outage.end()

    def _tell_deferral(
        self, cursor_id: int, conclusion: Conclusion, outcomes: Sequence[Outcome]
    ) -> None:
        track, now = conclusion.track, self._clock.now()
        self._deferring.add(cursor_id)
        first = track.first_deferred_at
        lasts_long = first is not None and now - first >= OUTAGE_ALARM_SECONDS * 1000
        if lasts_long and not conclusion.accepted:
            self._board.note(alarms.OUTAGE, self._name, track.last_error)
        word = self._outage.go_on()
        if word is None:
            return
        reason = next(said.reason for said in outcomes if said.verdict is Verdict.DEFERRED)
        status = _STATUS.fullmatch(reason)
        _log.warning(
            word,
            destination=self._name,
            kind=self._kind,
            reason=reason,
            http_status=int(status[1]) if status else None,
            attempt=track.attempt,
            next_try_seconds=round(max(0, (track.next_attempt_at or now) - now) / 1000, 1),
            out_seconds=round(self._outage.seconds),
        )

    def tell_recovery(self, out_seconds: float, lag_events: int | None) -> None:
        """Say that an outage is over, and how many events wait after it."""
        _log.info(
            "drain.recovered",
            destination=self._name,
            kind=self._kind,
            out_seconds=round(out_seconds),
            waiting_events=lag_events,
        )

    def tell_refusal(self, cursor_id: int, message: str) -> None:
        """Raise the alarm that the database refuses what a track has to write down."""
        self._unsettled.add(cursor_id)
        self._board.note(alarms.UNSETTLED, self._name, message)

    def tell_progress(self, cursor_id: int) -> None:
        """Note that a track's progress was written down, as it should."""
        self._unsettled.discard(cursor_id)
        if not self._unsettled:
            self._board.clear(alarms.UNSETTLED, self._name)

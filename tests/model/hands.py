"""Drains one cursor by hand: what `streamer.drain.track` does, without a loop and without waiting.

Everything that decides or stores is the program's own; only the order in
which it is called, and whether a crash comes in between, is the test's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from streamer.core import drain
from streamer.core.conclusion import Conclusion, conclude
from streamer.core.drain import Phase, Track
from streamer.core.event import StoredEvent
from streamer.core.outcome import Outcome
from streamer.core.retry import RetryPolicy
from streamer.core.settlement import Window, runs, settle
from streamer.drain.feed import Feed
from streamer.store import settling
from streamer.store.cursors import Cursor, CursorState
from streamer.store.sqlite import Connection

POLICY = RetryPolicy(exhausted_attempts=3, exhausted_seconds=30)
BATCH = 3
READ = 5
"""Events read at once: few, so that windows end in the middle of things."""


class Hand:
    """One cursor and what its drain would remember of it."""

    def __init__(self, cursor: Cursor, feed: Feed, *, bury_at_once: bool = False) -> None:
        state = cursor.state
        self.cursor = cursor
        self.feed = feed
        self.progress = cursor.progress
        self.window = Window((), cursor.progress.position)
        self.caught_up = False
        self.track = Track(
            phase=Phase(state.state),
            attempt=state.attempt,
            first_deferred_at=state.first_deferred_at,
            next_attempt_at=state.next_attempt_at,
            redo_until=max(cursor.progress.ahead, default=0),
            holding=state.state == "held",
        )
        self._bury_at_once = bury_at_once
        self._ledger_id = 0

    @property
    def is_through(self) -> bool:
        """A replay has nothing left to send."""
        return self.feed.ends and self.caught_up and not self.window.events

    def batch(self, db: Connection) -> tuple[StoredEvent, ...]:
        """Read on and choose what to send."""
        while not drain.has_candidates(self.track, self.window):
            if not self._read_on(db) and self.caught_up:
                break
        return drain.choose(self.track, self.window, events_max=BATCH, bytes_max=10**6)

    def _read_on(self, db: Connection) -> bool:
        scan = self.feed.read(db, self.window.through, READ, 10**6)
        fresh = tuple(at for at in scan.events if at.position not in self.progress.ahead)
        self.window = Window(self.window.events + fresh, scan.through)
        self.caught_up = scan.caught_up
        return bool(fresh)

    def attempt(
        self,
        db: Connection,
        batch: Sequence[StoredEvent],
        outcomes: Sequence[Outcome],
        *,
        now: int,
        moment: int,
        proof: int,
    ) -> tuple[Conclusion, Callable[[Connection], int | None], Callable[[int], None]]:
        """Conclude; return the transaction to be made, and what to do once it is durable."""
        while len(drain.candidates(self.track, self.window)) <= len(batch):
            if not self._read_on(db) and self.caught_up:
                break
        before = self.track
        conclusion = conclude(
            drain.begin(before),
            self.window,
            batch,
            outcomes,
            policy=POLICY,
            now=now,
            jitter=0.5,
            moment=moment,
            proof=proof,
            bury_at_once=self._bury_at_once,
        )
        window, progress = settle(self.window, self.progress, conclusion.settled)
        assert progress.position >= self.progress.position
        track = conclusion.track
        by_position = {event.position: event for event in conclusion.accepted}
        found = runs(by_position, self.window, self.progress.ahead)
        at_head = bool(found) and found[0][0] == self.window.events[0].position
        settlement = settling.Settlement(
            cursor=self.cursor,
            progress=progress,
            state=CursorState(
                track.phase.value,
                track.attempt,
                track.first_deferred_at,
                track.next_attempt_at,
                track.last_error,
            ),
            now=now,
            accepted_runs=tuple(tuple(by_position[at] for at in run) for run in found),
            buried=conclusion.buried,
            attempt=before.attempt + 1,
            fold_into=self._ledger_id if at_head and not self.progress.ahead else 0,
        )

        def remember(ledger_id: int) -> None:
            self._ledger_id = 0 if self.progress.ahead else ledger_id
            self.cursor = replace(self.cursor, progress=progress, state=settlement.state)
            self.track, self.window, self.progress = track, window, progress

        return conclusion, lambda db: settling.settle(db, settlement), remember

    def look_again(self, db: Connection) -> bool:
        """Let a new event wake a destination that is held for want of one."""
        if not (self.track.lonely and self._read_on(db)):
            return False
        self.track = drain.wake(self.track)
        return True

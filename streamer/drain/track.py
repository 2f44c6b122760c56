"""One track of a drain: read behind the cursor, send, settle, again.

A track is a lane of the live order or a replay. What to send and what an
answer means is decided by `streamer.core.drain`; this loop carries it out and
waits. Progress is written only after the destination's answer is known, so a
crash in between sends a batch again: at least once.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from streamer.core import alarms, drain
from streamer.core.drain import Conclusion, Phase, Track
from streamer.core.errors import StoreError
from streamer.core.event import StoredEvent
from streamer.core.limits import (
    OUTAGE_ALARM_SECONDS,
    SAVE_SKIPPED_POSITIONS,
    SAVE_SKIPPED_SECONDS,
    SETTLE_RETRY_SECONDS,
    TRACK_TICK_SECONDS,
    WINDOW_BATCHES,
    WINDOW_BYTES_MAX,
)
from streamer.core.outcome import Outcome, deferred
from streamer.core.retry import remaining_seconds
from streamer.core.settlement import Progress, Window, runs, settle
from streamer.drain.feed import Feed
from streamer.drain.shared import Shared
from streamer.store import settling
from streamer.store.cursors import Cursor, CursorState

_log = structlog.get_logger("streamer.drain")


class TrackLoop:
    """Drains one cursor, until its replay is through or the cursor is not ours any more."""

    def __init__(
        self, shared: Shared, cursor: Cursor, feed: Feed, *, bury_at_once: bool = False
    ) -> None:
        self.cursor = cursor
        self.alive_until = 0.0
        """Monotonic time by which the loop will have ticked again, if it is alive."""
        self.poked = False
        self.stale = False
        """An operator has changed the cursor: end, and be begun again."""
        self._shared = shared
        self._feed = feed
        self._bury_at_once = bury_at_once
        self._waker = shared.join()
        self._window = Window((), cursor.progress.position)
        self._progress = cursor.progress
        self._caught_up = False
        self._track = _restore(cursor.state)
        self._due = shared.clock.monotonic() + remaining_seconds(
            shared.policy.retry, cursor.state.next_attempt_at, shared.clock.now()
        )
        self._saved_at = shared.clock.monotonic()
        self._ledger_id = 0
        self._proof_base: int | None = None
        self._first_refused_at: int | None = None

    @property
    def track(self) -> Track:
        """What the track remembers; for status and tests."""
        return self._track

    async def run(self) -> bool:
        """Drain until there is nothing left to do for this cursor.

        True: a replay is through. False: the service is stopping, or an
        operator has changed the cursor and it must be read again.
        """
        try:
            while not (self.stale or self._shared.stopping):
                self._tick(TRACK_TICK_SECONDS * 4)
                if self.poked:
                    self._poke()
                if self._shared.paused or self._shared.blocked or not self._is_due():
                    await self._rest()
                    continue
                await self._fill()
                batch = self._choose()
                if not batch:
                    if self._is_through():
                        return True
                    await self._idle()
                elif not await self._attempt(batch):
                    break
            return False
        finally:
            self._shared.leave(self._waker)

    def _poke(self) -> None:
        self.poked = False
        self._track = drain.poke(self._track)

    def _is_due(self) -> bool:
        if self._track.phase is Phase.READY:
            return True
        return self._shared.clock.monotonic() >= self._due

    def _is_through(self) -> bool:
        return self._feed.ends and self._caught_up and not self._window.events

    async def _rest(self) -> None:
        """Wait for the next attempt, an operator, or a new event that may prove something."""
        seconds = TRACK_TICK_SECONDS
        if not (self._shared.paused or self._shared.blocked):
            seconds = min(seconds, max(0.0, self._due - self._shared.clock.monotonic()))
        if await self._sleep(seconds) and self._track.phase is Phase.HELD and self._track.suspects:
            await self._fill(further=True)
            if drain.has_candidates(self._track, self._window):
                self._track = drain.wake(self._track)

    async def _idle(self) -> None:
        """Nothing to send: save how far the filter was passed, and wait for an append."""
        await self._save_skipped()
        await self._sleep(TRACK_TICK_SECONDS)

    async def _sleep(self, seconds: float) -> bool:
        """Wait; True when woken before the time was over."""
        return await self._shared.wait(self._waker, seconds)

    async def _fill(self, *, further: bool = False) -> None:
        """Read on when the window has nothing more to send."""
        if self._window.events and not further and drain.has_candidates(self._track, self._window):
            return
        policy = self._shared.policy
        scan = await self._shared.reader.run(
            lambda db: self._feed.read(
                db,
                self._window.through,
                policy.batch_events_max * WINDOW_BATCHES,
                min(WINDOW_BYTES_MAX, policy.batch_bytes_max * WINDOW_BATCHES),
            )
        )
        fresh = tuple(at for at in scan.events if at.position not in self._progress.ahead)
        self._window = Window(self._window.events + fresh, scan.through)
        self._caught_up = scan.caught_up
        if not fresh and not scan.caught_up:
            self._waker.set()  # a filter let nothing through so far: look on at once

    def _choose(self) -> tuple[StoredEvent, ...]:
        if self._track.phase is Phase.HELD:
            self._track = drain.start_probe(self._track)
        policy = self._shared.policy
        return drain.choose(
            self._track,
            self._window,
            events_max=policy.batch_events_max,
            bytes_max=policy.batch_bytes_max,
        )

    async def _attempt(self, batch: tuple[StoredEvent, ...]) -> bool:
        """Send one batch and make its outcome final; False when the cursor is not ours any more."""
        batch = await self._linger(batch)
        wait = self._shared.pace.wait_seconds(len(batch), self._shared.clock.monotonic())
        if wait > 0:
            self._tick(wait + TRACK_TICK_SECONDS)
            await self._shared.clock.sleep(wait)
        self._tick(self._shared.policy.send_seconds_max)
        async with self._shared.turn():
            self._track = drain.begin(self._track)
            began = self._shared.clock.monotonic()
            outcomes = await self._send(batch)
            duration_ms = round((self._shared.clock.monotonic() - began) * 1000)
            return await self._conclude(batch, outcomes, duration_ms)

    async def _linger(self, batch: tuple[StoredEvent, ...]) -> tuple[StoredEvent, ...]:
        """Wait a moment for a fuller batch, where the destination is set up that way."""
        policy = self._shared.policy
        if not policy.linger_ms or len(batch) >= policy.batch_events_max or not self._caught_up:
            return batch
        if self._track.attempt or self._track.holding or self._track.suspects:
            return batch
        left_ms = policy.linger_ms - (self._shared.clock.now() - batch[0].received_at)
        if left_ms <= 0 or left_ms > policy.linger_ms:
            return batch
        self._tick(left_ms / 1000 + TRACK_TICK_SECONDS)
        await self._shared.clock.sleep(left_ms / 1000)
        await self._fill(further=True)
        return self._choose()

    async def _send(self, batch: Sequence[StoredEvent]) -> list[Outcome]:
        try:
            outcomes = await self._shared.destination.send(batch)
            if len(outcomes) == len(batch):
                return outcomes
            reason = f"{len(outcomes)} outcomes for {len(batch)} events"
        except Exception as error:  # a bug in a destination must not end the drain
            reason = type(error).__name__
        _log.error("drain.destination_bug", destination=self.cursor.destination, reason=reason)
        return [deferred("internal", reason)] * len(batch)

    async def _conclude(
        self, batch: tuple[StoredEvent, ...], outcomes: Sequence[Outcome], duration_ms: int
    ) -> bool:
        shared = self._shared
        attempt = self._track.attempt + 1
        conclusion = drain.conclude(
            self._track,
            self._window,
            batch,
            outcomes,
            policy=shared.policy.retry,
            now=shared.clock.now(),
            jitter=shared.clock.jitter(),
            accepted_elsewhere=(
                self._proof_base is not None and shared.accepted > self._proof_base
            ),
            bury_at_once=self._bury_at_once,
        )
        window, progress = settle(self._window, self._progress, conclusion.settled)
        settlement = self._settlement(conclusion, progress, attempt, duration_ms)
        if settlement is not None:
            ledger_id = await self._write(settlement)
            if ledger_id is None:
                return False
            self._ledger_id = ledger_id
        self._track, self._window, self._progress = conclusion.track, window, progress
        self._after(conclusion)
        return True

    def _settlement(
        self, conclusion: Conclusion, progress: Progress, attempt: int, duration_ms: int
    ) -> settling.Settlement | None:
        """Put together what is to be written; None when nothing has changed that is stored."""
        state = _stored_state(conclusion.track)
        if not conclusion.settled and state == self.cursor.state:
            return None
        by_position = {event.position: event for event in conclusion.accepted}
        accepted_runs = tuple(
            tuple(by_position[at] for at in run) for run in runs(by_position, self._window)
        )
        starts_at_head = bool(accepted_runs) and accepted_runs[0][0] is self._window.events[0]
        return settling.Settlement(
            cursor=self.cursor,
            progress=progress,
            state=state,
            now=self._shared.clock.now(),
            accepted_runs=accepted_runs,
            buried=conclusion.buried,
            attempt=attempt,
            duration_ms=duration_ms,
            receipt=" ".join(conclusion.receipts) or None,
            mark=self._shared.destination.mark(),
            fold_into=self._ledger_id if starts_at_head else 0,
        )

    async def _write(self, settlement: settling.Settlement) -> int | None:
        """Write a settlement, however long the database takes: nothing is sent before it is."""
        while True:
            try:
                ledger_id = await self._shared.writer.do(lambda db: settling.settle(db, settlement))
            except StoreError as error:
                _log.warning(
                    "drain.settle_failed", destination=self.cursor.destination, error=str(error)
                )
                self._tick(SETTLE_RETRY_SECONDS + TRACK_TICK_SECONDS)
                await self._shared.clock.sleep(SETTLE_RETRY_SECONDS)
                continue
            self.cursor = replace(self.cursor, progress=settlement.progress, state=settlement.state)
            self._saved_at = self._shared.clock.monotonic()
            return ledger_id

    def _after(self, conclusion: Conclusion) -> None:
        """Remember the proof, set the next moment, and tell the operator what matters."""
        shared, track = self._shared, conclusion.track
        shared.accepted += len(conclusion.accepted)
        if conclusion.settled:
            shared.on_settled()
        if not (track.suspects or track.holding):
            self._proof_base = None
        elif self._proof_base is None:
            self._proof_base = shared.accepted
        if track.next_attempt_at is not None:
            self._due = shared.clock.monotonic() + remaining_seconds(
                shared.policy.retry, track.next_attempt_at, shared.clock.now()
            )
        self._tell(conclusion)

    def _tell(self, conclusion: Conclusion) -> None:
        board, name, track = self._shared.board, self.cursor.destination, conclusion.track
        for burial in conclusion.buried:
            position = burial.event.position
            board.note(alarms.DEAD_LETTER, name, f"{burial.reason} (position {position})")
        if track.phase is Phase.HELD:
            board.note(alarms.HELD, name, track.last_error)
        elif conclusion.accepted:
            board.clear(alarms.HELD, name)
            board.clear(alarms.OUTAGE, name)
        first = track.first_deferred_at
        if (
            track.phase is Phase.WAITING
            and first is not None
            and self._shared.clock.now() - first >= OUTAGE_ALARM_SECONDS * 1000
        ):
            board.note(alarms.OUTAGE, name, track.last_error)

    async def _save_skipped(self) -> None:
        """Write down that filtered events were passed, now and then: it lets them be pruned."""
        if self._window.events or self._window.through <= self._progress.position:
            return
        skipped = self._window.through - self.cursor.progress.position
        age = self._shared.clock.monotonic() - self._saved_at
        self._progress = settle(self._window, self._progress, frozenset())[1]
        if skipped >= SAVE_SKIPPED_POSITIONS or (skipped and age >= SAVE_SKIPPED_SECONDS):
            await self._write(
                settling.Settlement(
                    cursor=self.cursor,
                    progress=self._progress,
                    state=_stored_state(self._track),
                    now=self._shared.clock.now(),
                )
            )

    def _tick(self, seconds: float) -> None:
        """Tell the watchdog that the loop is alive, and by when it will be here again."""
        self.alive_until = self._shared.clock.monotonic() + seconds


def _restore(state: CursorState) -> Track:
    """Take up where the last process left off; a held destination is probed at once."""
    track = Track(
        phase=Phase(state.state),
        attempt=state.attempt,
        first_deferred_at=state.first_deferred_at,
        next_attempt_at=state.next_attempt_at,
        last_error=state.last_error,
    )
    return drain.poke(track) if track.phase is Phase.HELD else track


def _stored_state(track: Track) -> CursorState:
    return CursorState(
        state=track.phase.value,
        attempt=track.attempt,
        first_deferred_at=track.first_deferred_at,
        next_attempt_at=track.next_attempt_at,
        last_error=track.last_error,
    )

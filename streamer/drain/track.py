"""One track of a drain: read behind the cursor, send, settle, again.

A track is a lane of the live order or a replay. What to send and what an
answer means is decided by `streamer.core.drain` and `streamer.core.conclusion`;
this loop carries it out and waits. Progress is written only after the
destination's answer is known, so a crash in between sends a batch again: at
least once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial

import structlog
from msgspec.structs import replace

from streamer.core import drain
from streamer.core.conclusion import Conclusion, conclude
from streamer.core.drain import Phase, Track
from streamer.core.event import StoredEvent
from streamer.core.intervals import (
    SAVE_SKIPPED_SECONDS,
    TRACK_ROUND_SECONDS,
    TRACK_TICK_SECONDS,
)
from streamer.core.limits import SAVE_SKIPPED_POSITIONS
from streamer.core.outcome import Outcome, Scope, all_taken, deferred, held
from streamer.core.retry import remaining_seconds
from streamer.core.settlement import Progress, runs
from streamer.drain.feed import Feed
from streamer.drain.remembering import restore, stored_state
from streamer.drain.shared import Shared, WriteRefused
from streamer.drain.window import Reading
from streamer.store import cursors, settling
from streamer.store.cursors import Cursor

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
        self._reading = Reading(shared, feed, cursor.progress)
        self._bury_at_once = bury_at_once
        self._waker = shared.join()
        self._track = restore(cursor)
        self._due = shared.clock.monotonic() + remaining_seconds(
            shared.policy.retry, cursor.state.next_attempt_at, shared.clock.now()
        )
        self._saved_at = shared.clock.monotonic()
        self._ledger_id = 0
        self._tick(TRACK_ROUND_SECONDS)

    @property
    def track(self) -> Track:
        """What the track remembers; for status and tests."""
        return self._track

    def hear_of(self, lane_keys: Collection[int]) -> None:
        """New events were stored: wake up if they may change what is to be done."""
        if drain.wants_news(self._track) and self._reading.concerns(lane_keys):
            self._waker.set()

    @property
    def is_sending(self) -> bool:
        """A batch is with the destination, or its outcome is not written down yet."""
        return self._track.phase is Phase.SENDING

    async def run(self) -> bool:
        """Drain until there is nothing left to do for this cursor.

        True: a replay is through. False: the service is stopping, or an
        operator has changed the cursor and it must be read again.
        """
        try:
            while not (self.stale or self._shared.stopping):
                self._tick(TRACK_ROUND_SECONDS)
                self._heed_operator()
                if self._track.phase is Phase.PAUSED or not self._is_due():
                    await self._rest()
                    continue
                if not await self._reading.fill(self._track):
                    self._waker.set()  # look on at once
                batch = self._reading.choose(self._track)
                if not batch:
                    if self._reading.is_through:
                        return True
                    await self._idle()
                elif not await self._attempt(batch):
                    break
            return False
        finally:
            self._reading.close()
            self._shared.leave(self._waker)

    def _heed_operator(self) -> None:
        if self._shared.halted and self._track.phase is not Phase.PAUSED:
            self._track = drain.pause(self._track)
        elif self._track.phase is Phase.PAUSED and not self._shared.halted:
            self._track = drain.resume(self._track)
        if self.poked and self._track.phase is not Phase.PAUSED:
            self._track = drain.poke(self._track)
        self.poked = False

    @property
    def _is_called_off(self) -> bool:
        """Something has to be looked at before anything more is sent."""
        return self.stale or self._shared.stopping or self._shared.halted

    def _is_due(self) -> bool:
        if self._track.phase is Phase.READY:
            return True
        return self._shared.clock.monotonic() >= self._due

    async def _rest(self) -> None:
        """Wait for the next attempt, an operator, or a new event that may prove something."""
        seconds = TRACK_TICK_SECONDS
        if self._track.phase is not Phase.PAUSED:
            seconds = min(seconds, max(0.0, self._due - self._shared.clock.monotonic()))
        if await self._sleep(seconds) and self._track.lonely and await self._reading.read_on():
            self._track = drain.wake(self._track)

    async def _idle(self) -> None:
        """Nothing to send: save how far the filter was passed, and wait for an append."""
        await self._save_skipped()
        await self._sleep(TRACK_TICK_SECONDS)

    async def _sleep(self, seconds: float) -> bool:
        """Wait; True when woken before the time was over."""
        return await self._shared.wait(self._waker, seconds)

    async def _attempt(self, batch: tuple[StoredEvent, ...]) -> bool:
        """Send one batch and make its outcome final; False when the cursor is not ours any more."""
        shared = self._shared
        batch = await self._linger(batch)
        await self._wait_out(shared.pace.wait_seconds(len(batch), shared.clock.monotonic()))
        self._tick(math.inf)  # whoever has the turn answers for those who wait for it
        async with shared.turn():
            self._tick(shared.send_seconds_max)
            if self._is_called_off:
                shared.pace.give_back(len(batch))
                return True
            shared.moment += 1
            moment = shared.moment
            self._track = drain.begin(self._track)
            self._reading.look_ahead(batch)
            began = shared.clock.monotonic()
            outcomes = await self._send(batch)
            shared.pace.give_back(sum(said.scope is Scope.UNSENT for said in outcomes))
            duration_ms = round((shared.clock.monotonic() - began) * 1000)
            if await self._conclude(batch, outcomes, moment, duration_ms):
                return True
            if shared.destination.exclusive:
                await shared.open()
            return False

    async def _wait_out(self, seconds: float) -> None:
        """Wait, whoever wakes the track, unless the batch is called off."""
        until = self._shared.clock.monotonic() + seconds
        while not self._is_called_off and (left := until - self._shared.clock.monotonic()) > 0:
            self._tick(left + TRACK_TICK_SECONDS)
            await self._sleep(left)

    async def _linger(self, batch: tuple[StoredEvent, ...]) -> tuple[StoredEvent, ...]:
        """Wait a moment for a fuller batch, where the destination is set up that way."""
        policy, clock = self._shared.policy, self._shared.clock
        waited_ms = clock.now() - batch[0].received_at
        if not 0 <= waited_ms < policy.linger_ms or self._is_in_trouble:
            return batch
        until = clock.monotonic() + (policy.linger_ms - waited_ms) / 1000
        while self._is_short(batch) and (left := until - clock.monotonic()) > 0:
            self._tick(left + TRACK_TICK_SECONDS)
            if await self._sleep(left):
                await self._reading.read_on()
                batch = self._reading.choose(self._track)
        return batch

    @property
    def _is_in_trouble(self) -> bool:
        track = self._track
        return bool(track.attempt or track.holding or track.suspects or track.limit)

    def _is_short(self, batch: Sequence[StoredEvent]) -> bool:
        """Tell whether a batch is all there is, and more would fit."""
        return (
            not self._is_called_off
            and len(batch) < self._shared.policy.batch_events_max
            and len(batch) == len(self._reading.window.events)
        )

    async def _send(self, batch: Sequence[StoredEvent]) -> list[Outcome]:
        try:
            outcomes = await self._shared.destination.send(batch)
            if len(outcomes) == len(batch):
                return outcomes
            reason = f"{len(outcomes)} outcomes for {len(batch)} events"
        except Exception as error:  # a bug in a destination must not end the drain
            reason = type(error).__name__
        _log.error("drain.destination_bug", destination=self.cursor.destination, reason=reason)
        if self._shared.destination.exclusive:
            await self._shared.open()  # whatever was half done is undone
        return [deferred("internal", reason)] * len(batch)

    async def _conclude(
        self,
        batch: tuple[StoredEvent, ...],
        outcomes: Sequence[Outcome],
        moment: int,
        duration_ms: int,
    ) -> bool:
        shared = self._shared
        if not all_taken(outcomes):
            await self._reading.read_beyond(
                self._track, batch, partial(self._tick, TRACK_ROUND_SECONDS)
            )
        attempt = self._track.attempt + 1
        conclusion = self._judge(batch, outcomes, moment)
        settled = conclusion.settled
        window, progress = self._reading.after(settled)
        settlement = self._settlement(conclusion, progress, attempt, duration_ms)
        if settlement is not None:
            try:
                ledger_id = await self._write(settlement)
            except WriteRefused as refusal:
                await self._hold_unsettled(batch, moment, refusal)
                return True
            if ledger_id is None:
                return False
            # A row that fills a gap is not the last one: nothing may be folded into it.
            self._ledger_id = 0 if self._reading.progress.ahead else ledger_id
        self._track = conclusion.track
        self._reading.move(window, progress)
        if conclusion.accepted:
            shared.proof = max(shared.proof, moment)
        if settled:
            shared.on_settled()
        self._set_due()
        out_seconds = shared.teller.tell(self.cursor.id, conclusion, outcomes)
        if out_seconds is not None:
            shared.teller.tell_recovery(out_seconds, await shared.lag_events())
        return True

    def _judge(
        self, batch: Sequence[StoredEvent], outcomes: Sequence[Outcome], moment: int
    ) -> Conclusion:
        shared = self._shared
        return conclude(
            self._track,
            self._reading.window,
            batch,
            outcomes,
            policy=shared.policy.retry,
            now=shared.clock.now(),
            jitter=shared.clock.jitter(),
            moment=moment,
            proof=shared.proof,
            bury_at_once=self._bury_at_once,
        )

    async def _hold_unsettled(
        self, batch: Sequence[StoredEvent], moment: int, refusal: WriteRefused
    ) -> None:
        """Hold the destination whose answer cannot be written down: each probe tries both again."""
        shared, cursor = self._shared, self.cursor
        said = held("unsettled", str(refusal))
        self._track = self._judge(batch, [said] * len(batch), moment).track
        self._set_due()
        shared.teller.tell_refusal(cursor.id, str(refusal))
        state = stored_state(self._track)
        now = shared.clock.now()
        with suppress(WriteRefused):  # then the alarm alone has to tell
            await shared.write(
                lambda db: cursors.save(
                    db, cursor.id, cursor.generation, progress=cursor.progress, state=state, now=now
                ),
                tick=self._tick,
            )
            self.cursor = replace(cursor, state=state)
        if shared.destination.exclusive:
            await shared.open()  # whatever the stored mark does not cover is undone

    def _settlement(
        self, conclusion: Conclusion, progress: Progress, attempt: int, duration_ms: int
    ) -> settling.Settlement | None:
        """Put together what is to be written; None when nothing has changed that is stored."""
        state = stored_state(conclusion.track)
        taken = (*conclusion.accepted, *conclusion.passed)
        if not (taken or conclusion.buried) and state == self.cursor.state:
            return None
        window, ahead = self._reading.window, self._reading.progress.ahead
        by_position = {event.position: event for event in taken}
        accepted_runs = tuple(
            tuple(by_position[at] for at in run) for run in runs(by_position, window, ahead)
        )
        starts_at_head = bool(accepted_runs) and accepted_runs[0][0] is window.events[0]
        return settling.Settlement(
            cursor=self.cursor,
            progress=progress,
            state=state,
            now=self._shared.clock.now(),
            accepted_runs=accepted_runs,
            buried=conclusion.buried,
            attempt=attempt,
            duration_ms=duration_ms,
            receipts=conclusion.receipts,
            mark=self._shared.destination.mark(),
            fold_into=self._ledger_id if starts_at_head and not ahead else 0,
        )

    async def _write(self, settlement: settling.Settlement) -> int | None:
        """Write a settlement, however long the database takes: nothing is sent before it is."""
        ledger_id = await self._shared.write(
            lambda db: settling.settle(db, settlement), tick=self._tick
        )
        if ledger_id is not None:
            if settlement.progress != self.cursor.progress:
                self._shared.teller.tell_progress(self.cursor.id)
            self.cursor = replace(self.cursor, progress=settlement.progress, state=settlement.state)
            self._saved_at = self._shared.clock.monotonic()
        return ledger_id

    def _set_due(self) -> None:
        """Set the moment of the next attempt, if there is to be a wait."""
        shared, next_attempt_at = self._shared, self._track.next_attempt_at
        if next_attempt_at is not None:
            self._due = shared.clock.monotonic() + remaining_seconds(
                shared.policy.retry, next_attempt_at, shared.clock.now()
            )

    async def _save_skipped(self) -> None:
        """Write down that filtered events were passed, now and then: it lets them be pruned."""
        if self._reading.window.events:
            return
        progress = self._reading.pass_filtered()
        skipped = progress.position - self.cursor.progress.position
        age = self._shared.clock.monotonic() - self._saved_at
        if skipped >= SAVE_SKIPPED_POSITIONS or (skipped and age >= SAVE_SKIPPED_SECONDS):
            settlement = settling.Settlement(
                cursor=self.cursor,
                progress=progress,
                state=stored_state(self._track),
                now=self._shared.clock.now(),
            )
            try:
                self.stale = await self._write(settlement) is None
            except WriteRefused as refusal:
                self._saved_at = self._shared.clock.monotonic()
                self._shared.teller.tell_refusal(self.cursor.id, str(refusal))

    def _tick(self, seconds: float) -> None:
        """Tell the watchdog that the loop is alive, and by when it will be here again."""
        self.alive_until = self._shared.clock.monotonic() + seconds

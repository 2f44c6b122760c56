"""What an answer means: the half of the drain's state machine that judges outcomes.

`conclude` takes the track that sent a batch and what the destination said of
each event, and returns the track's next state and what is settled by it. The
rules stand at the top of `streamer.core.drain`. It must not know how progress
is stored, nor who else drains to the same destination; of the latter it only
learns when one of the others was last accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from streamer.core.drain import (
    UNTROUBLED,
    Burial,
    Deferral,
    Isolation,
    Phase,
    Suspect,
    Track,
    Trigger,
    candidates,
    doubt,
)
from streamer.core.event import StoredEvent
from streamer.core.limits import PROBED_EVENTS_MIN, REFUSALS_MAX, TRIED_EVENTS_MAX
from streamer.core.outcome import NOT_ATTEMPTED, Outcome, Verdict, all_taken
from streamer.core.passing import Pair, go_by, is_to_prove, let_pass, skip
from streamer.core.retry import RetryPolicy, is_exhausted, next_attempt_at, next_probe_at
from streamer.core.settlement import Window


class Conclusion(msgspec.Struct, frozen=True):
    """What an answer means: the next state of the track, and what is settled by it."""

    track: Track
    accepted: tuple[StoredEvent, ...] = ()
    receipts: Mapping[int, str] = {}
    """What the destination gave in return, by position."""
    buried: tuple[Burial, ...] = ()
    passed: tuple[StoredEvent, ...] = ()
    """Settled without having been sent: the destination has nothing to say of these."""

    @property
    def settled(self) -> frozenset[int]:
        """Positions that the cursor may pass now."""
        return frozenset(
            [event.position for event in (*self.accepted, *self.passed)]
            + [burial.event.position for burial in self.buried]
        )


class _Answer(msgspec.Struct, frozen=True):
    """The outcomes of one batch, sorted, with the circumstances that judging them takes."""

    batch: tuple[StoredEvent, ...]
    accepted: tuple[StoredEvent, ...]
    refused: Outcome | None
    """The first that says that we are refused altogether."""
    rejected: tuple[Pair, ...]
    deferred: tuple[Pair, ...]
    policy: RetryPolicy
    now: int
    jitter: float

    @property
    def refused_whole(self) -> list[Pair]:
        """What was refused together with others: one that was alone is its own culprit."""
        return [pair for pair in self.rejected if pair[1].whole]

    @property
    def asked_seconds(self) -> float | None:
        """The longest wait that the destination asked for."""
        asked = [s.retry_after_seconds for _, s in self.deferred if s.retry_after_seconds]
        return max(asked, default=None)

    def is_exhausted(self, deferral: Deferral | None) -> bool:
        """Tell whether an event was deferred too often and too long."""
        return deferral is not None and is_exhausted(
            self.policy, deferral.attempts, deferral.first_at, self.now
        )


def conclude(
    track: Track,
    window: Window,
    batch: Sequence[StoredEvent],
    outcomes: Sequence[Outcome],
    *,
    policy: RetryPolicy,
    now: int,
    jitter: float,
    moment: int = 0,
    proof: int = 0,
    bury_at_once: bool = False,
) -> Conclusion:
    """Say what the outcomes of one batch mean.

    ``window`` must reach beyond the batch if the outbox does. Moments count
    the batches begun on all tracks of the destination: ``moment`` is the
    present one, and ``proof`` that at which the newest of those began of which
    something was accepted, this one aside. ``bury_at_once`` is for retries of
    dead letters, which return to where they came from.
    """
    assert track.phase is Phase.SENDING, track.phase
    assert len(batch) == len(outcomes) > 0, (len(batch), len(outcomes))
    pairs = [pair for pair in zip(batch, outcomes, strict=True) if pair[1] != NOT_ATTEMPTED]
    assert pairs, "a destination attempts at least the first event"
    receipts = {event.position: said.receipt for event, said in pairs if said.receipt}
    if track == UNTROUBLED and all_taken(outcomes):
        return Conclusion(track.move(Trigger.GO_ON), tuple(batch), receipts)
    if is_to_prove(track) and pairs[0][1].passed:
        return Conclusion(skip(track, window, pairs[0][0], now=now, jitter=jitter))
    track, window, pairs, passed = let_pass(track, window, pairs)
    if not pairs:
        track = go_by(track, window, now=now, jitter=jitter)
        return Conclusion(track, receipts=receipts, passed=passed)
    track, window, pairs, unfit = _bury_unfit(track, window, pairs)
    answer = _sort(pairs, policy=policy, now=now, jitter=jitter)
    concluded = _judge(track, window, answer, moment=moment, proof=proof, bury_at_once=bury_at_once)
    buried = (*unfit, *concluded.buried)
    return replace(concluded, receipts=receipts, passed=passed, buried=buried)


def _judge(
    track: Track, window: Window, answer: _Answer, *, moment: int, proof: int, bury_at_once: bool
) -> Conclusion:
    """Say what an answer means for what was sent, and for what was not fit to be if all was not."""
    if answer.refused is not None:
        track = replace(track, deferrals=())  # what kept them waiting may have been this
        return Conclusion(_hold(track, answer.refused, answer), answer.accepted)
    if len(answer.refused_whole) > 1:
        return Conclusion(_halve(track, window, answer), answer.accepted)
    at_once = bool(answer.accepted) or bury_at_once
    suspects = _suspects(track, answer, moment)
    proven = [suspect for suspect in suspects if at_once or suspect.refused_at < proof]
    counts = _count(track, window, answer)
    buried = [_bury_rejected(suspect, counts) for suspect in proven]
    buried += _bury_exhausted(track, answer, counts)
    kept = track.suspects + tuple(suspect for suspect in suspects if suspect not in proven)
    settled = {event.position for event in answer.accepted}
    settled |= {burial.event.position for burial in buried}
    track = _next(_remember(track, kept, settled, counts), window, settled, answer)
    track = _count_head(track, window, settled)
    return Conclusion(track, answer.accepted, buried=tuple(buried))


def _sort(pairs: Sequence[Pair], *, policy: RetryPolicy, now: int, jitter: float) -> _Answer:
    by = {verdict: tuple(at for at in pairs if at[1].verdict is verdict) for verdict in Verdict}
    return _Answer(
        batch=tuple(event for event, _ in pairs),
        accepted=tuple(event for event, _ in by[Verdict.ACCEPTED]),
        refused=next((said for _, said in by[Verdict.HELD]), None),
        rejected=by[Verdict.REJECTED],
        deferred=by[Verdict.DEFERRED],
        policy=policy,
        now=now,
        jitter=jitter,
    )


def _bury_unfit(
    track: Track, window: Window, pairs: list[Pair]
) -> tuple[Track, Window, list[Pair], tuple[Burial, ...]]:
    """Bury what we could not bring into form when others of the batch could be.

    What came of those is judged as if it had never been there. When nothing could be, the fault may
    be ours (a broken mapping): the rules are then those for a destination that rejects everything.
    """
    unfit = [pair for pair in pairs if pair[1].unfit]
    if len(unfit) == len(pairs) or not unfit:
        return track, window, pairs, ()
    counts = {deferral.position: deferral for deferral in track.deferrals}
    head = candidates(track, window)[0].position
    gone = {event.position for event, _ in unfit}
    buried = tuple(_bury_rejected(Suspect(event, said, 0), counts) for event, said in unfit)
    if head in gone:
        track = replace(track, attempt=0, first_deferred_at=None)
    window = Window(tuple(at for at in window.events if at.position not in gone), window.through)
    track = _remember(track, track.suspects, gone, counts)
    return track, window, [pair for pair in pairs if not pair[1].unfit], buried


def _halve(track: Track, window: Window, answer: _Answer) -> Track:
    """Offer half of what was refused as a whole next.

    Besides, only what was accepted is final: whatever else was said of the batch will be said again
    when its turn comes, and until then nothing beyond the batch is sent.
    """
    refused = answer.refused_whole
    settled = {event.position for event in answer.accepted}
    track = _remember(track, track.suspects, settled, _count(track, window, answer))
    return replace(
        _count_head(track, window, settled).move(Trigger.GO_ON),
        limit=len(refused) // 2,
        limit_until=refused[-1][0].position,
        redo_until=max(track.redo_until, answer.batch[-1].position),
        last_error=describe(refused[0][1]),
    )


def _hold(track: Track, said: Outcome, answer: _Answer, *, refusals: int = REFUSALS_MAX) -> Track:
    """Hold the destination; few refusals say that a new event may tell more.

    How often events were deferred is kept: each would have to wait for its full time again after
    every hold that others cause, and what lies behind it would never be tried.
    """
    return replace(
        doubt(track).move(Trigger.REFUSE),
        attempt=0,
        first_deferred_at=None,
        next_attempt_at=next_probe_at(track.probes, answer.now, answer.jitter),
        last_error=describe(said),
        probes=track.probes + 1,
        holding=True,
        lonely=refusals < REFUSALS_MAX,
        refusals=refusals,
        isolation=Isolation.NONE,
        outages=0,
    )


def _suspects(track: Track, answer: _Answer, moment: int) -> tuple[Suspect, ...]:
    """Suspect those that were rejected now; who was suspected before is so from then on."""
    before = dict(track.refused)
    return tuple(
        Suspect(event, said, before.get(event.position, moment)) for event, said in answer.rejected
    )


def _count(track: Track, window: Window, answer: _Answer) -> dict[int, Deferral]:
    """Count this attempt for the events that it deferred, unless it only tells of an outage."""
    counts = {deferral.position: deferral for deferral in track.deferrals}
    if not counts and track.first_deferred_at is not None:  # after a restart
        head = candidates(track, window)[0].position
        counts[head] = Deferral(head, track.attempt, track.first_deferred_at)
    if track.isolation is Isolation.NEXT:
        return counts
    for event, _ in answer.deferred:
        at = event.position
        before = counts.get(at)
        if before is None:
            counts[at] = Deferral(at, 1, answer.now)
        elif not answer.is_exhausted(before):
            counts[at] = replace(before, attempts=before.attempts + 1)
    return counts


def _bury_rejected(suspect: Suspect, counts: dict[int, Deferral]) -> Burial:
    said, before = suspect.outcome, counts.get(suspect.event.position)
    attempts = 1 if before is None else before.attempts + 1
    return Burial(suspect.event, said.reason or "rejected", said.detail, attempts)


def _bury_exhausted(track: Track, answer: _Answer, counts: dict[int, Deferral]) -> list[Burial]:
    """Bury what was deferred too often, when another event was accepted in the same breath."""
    if not answer.accepted and track.isolation is not Isolation.AGAIN:
        return []
    return [
        Burial(
            event,
            "exhausted",
            f"others were accepted meanwhile; last: {describe(said)}",
            counts[event.position].attempts,
        )
        for event, said in answer.deferred
        if answer.is_exhausted(counts.get(event.position))
    ]


def _remember(
    track: Track,
    suspects: tuple[Suspect, ...],
    settled: set[int],
    counts: dict[int, Deferral],
) -> Track:
    """Bring what the track knows of single events up to date."""
    gone = settled | {suspect.event.position for suspect in suspects}
    return replace(
        track,
        suspects=suspects,
        deferrals=tuple(count for at, count in counts.items() if at not in gone),
        refused=tuple(pair for pair in track.refused if pair[0] not in settled),
    )


def _count_head(track: Track, window: Window, settled: set[int]) -> Track:
    """Show how often the event at the head was deferred: it is what outlives the process."""
    head = next((at for at in candidates(track, window) if at.position not in settled), None)
    count = next((at for at in track.deferrals if head and at.position == head.position), None)
    return replace(
        track,
        attempt=count.attempts if count is not None else 0,
        first_deferred_at=count.first_at if count is not None else None,
    )


def _next(track: Track, window: Window, settled: set[int], answer: _Answer) -> Track:
    """Find what to do after the answer; ``track`` knows already what became of single events."""
    rest = [event for event in candidates(track, window) if event.position not in settled]
    deferred = [pair for pair in answer.deferred if pair[0].position not in settled]
    head = next((at for at in track.deferrals if rest and at.position == rest[0].position), None)
    isolated = Isolation.HEAD if answer.is_exhausted(head) else Isolation.NONE
    if deferred:
        return _defer(track, rest, deferred, isolated, answer)
    if track.suspects and not settled:
        return _refuse(track, rest, isolated, answer)
    if track.isolation is Isolation.NEXT and isolated is Isolation.HEAD:
        isolated = Isolation.AGAIN
    rest = [event for event in window.events if event.position not in settled]
    return _go_on(doubt(track), rest, isolated, answer)


def _defer(
    track: Track,
    rest: Sequence[StoredEvent],
    deferred: Sequence[Pair],
    isolated: Isolation,
    answer: _Answer,
) -> Track:
    asked = answer.asked_seconds
    outage = track.isolation is Isolation.NEXT
    if outage:
        track = replace(track, outages=track.outages + 1)
    else:
        until = max(track.redo_until, *(event.position for event, _ in deferred))
        track = replace(track, redo_until=until)
    if not outage and isolated is Isolation.HEAD and len(answer.batch) == 1 and len(rest) > 1:
        isolated = Isolation.NEXT
    track = replace(
        track,
        last_error=describe(deferred[0][1]),
        refusals=0,
        isolation=isolated,
    )
    if isolated is Isolation.NEXT and asked is None:
        return track.move(Trigger.GO_ON)  # no news: a hold goes on, and looks further each time
    track = replace(track, probes=0, holding=False)
    # A head that was rejected since it was deferred waits as after a first attempt.
    counted = (at.attempts for at in track.deferrals if at.position == rest[0].position)
    attempts = next(counted, 1)
    wait_until = next_attempt_at(answer.policy, attempts, answer.now, answer.jitter, asked)
    return replace(doubt(track).move(Trigger.DEFER), next_attempt_at=wait_until)


def _refuse(
    track: Track, rest: Sequence[StoredEvent], isolated: Isolation, answer: _Answer
) -> Track:
    """Everything in this attempt was refused, and nothing says whose fault it is."""
    said = track.suspects[-1].outcome
    if track.holding:
        known = dict(track.refused)
        refusals = track.refusals + any(at.position not in known for at, _ in answer.rejected)
        probed_max = min(TRIED_EVENTS_MAX, PROBED_EVENTS_MIN * 2 ** max(0, track.probes - 1))
        patient = len(track.suspects) < probed_max
    else:
        refusals = track.refusals + 1
        patient = refusals < REFUSALS_MAX
    if not rest:
        return _hold(track, said, answer, refusals=min(refusals, REFUSALS_MAX))
    if not patient:
        return _hold(track, said, answer)
    return replace(
        track.move(Trigger.GO_ON),
        refusals=track.refusals if track.holding else refusals,
        last_error=describe(said),
        isolation=Isolation.NEXT if track.isolation is Isolation.NEXT else isolated,
    )


def _go_on(
    track: Track, rest: Sequence[StoredEvent], isolated: Isolation, answer: _Answer
) -> Track:
    """Something was settled: go on, with full batches once the culprit is behind us."""
    head = rest[0].position if rest else 0
    limited = 0 < head <= track.limit_until
    outages = track.outages if isolated is Isolation.AGAIN else 0
    if not answer.accepted:
        outages = max(0, track.outages - 1)  # the head is buried, and one of those behind it gone
    return replace(
        track.move(Trigger.GO_ON),
        last_error=track.last_error if limited or track.deferrals else "",
        probes=0,
        holding=False,
        limit=track.limit if limited else 0,
        limit_until=track.limit_until if limited else 0,
        redo_until=track.redo_until if 0 < head <= track.redo_until else 0,
        refusals=0,
        isolation=isolated,
        outages=outages,
    )


def describe(said: Outcome) -> str:
    """One line for the operator."""
    return f"{said.reason}: {said.detail}" if said.detail else said.reason

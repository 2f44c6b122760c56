"""The drain's state machine: what to send next, and what an answer means.

Pure: a drain's loop (`streamer.drain`) asks `choose` for a batch, sends it,
and hands the outcomes to `conclude`; it then stores what was concluded. No
function here waits, looks at a clock or draws a random number.

The rules, in the order in which they bite:

1. A destination that refuses us altogether is *held*: probed with one event,
   every 1 to 15 minutes, and nothing is buried.
2. A batch that is refused as a whole is halved until the culprit stands alone.
3. A rejected event is a *suspect* until another event is accepted, in the same
   batch or later. Only then is it buried. Without that rule a destination
   whose mapping broke would have its whole backlog poured into dead letters.
4. A deferred event is retried with backoff, and nothing beyond its batch is
   sent. What was settled beyond it in its batch is not sent again.
5. An event deferred ten times within an hour or more is sent alone, then the
   next one: if that is accepted, the first was the culprit and is buried; if
   not, it is an outage, which burns nobody's attempts.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from streamer.core.event import StoredEvent
from streamer.core.outcome import Outcome, Verdict
from streamer.core.retry import RetryPolicy, is_exhausted, next_attempt_at, next_probe_at
from streamer.core.settlement import Window

REFUSALS_MAX = 5
"""Attempts in a row that were only refused, before the destination is held. One would hold it for
a lone bad event; many would offer it a whole broken mapping."""

PROBED_EVENTS_MAX = 5
"""Events tried one by one in a probe of a destination that rejects, until one is accepted."""


class Phase(enum.Enum):
    """What a drain is doing."""

    READY = "ready"
    SENDING = "sending"
    WAITING = "waiting"
    HELD = "held"
    PAUSED = "paused"


class Trigger(enum.Enum):
    """What moves a drain from one phase to another."""

    SEND = "a batch goes out"
    GO_ON = "something was settled, or the batch is to be halved"
    DEFER = "an event was deferred"
    REFUSE = "the destination refuses everything"
    FRESH = "a new event may prove that others are taken"
    POKE = "resume, reload or an operator's retry"
    PAUSE = "an operator pauses the destination"
    RESUME = "an operator resumes it"


TRANSITIONS: dict[Phase, dict[Trigger, Phase]] = {
    Phase.READY: {
        Trigger.SEND: Phase.SENDING,
        Trigger.POKE: Phase.READY,
        Trigger.PAUSE: Phase.PAUSED,
    },
    Phase.SENDING: {
        Trigger.GO_ON: Phase.READY,
        Trigger.DEFER: Phase.WAITING,
        Trigger.REFUSE: Phase.HELD,
    },
    Phase.WAITING: {
        Trigger.SEND: Phase.SENDING,
        Trigger.POKE: Phase.READY,
        Trigger.PAUSE: Phase.PAUSED,
    },
    Phase.HELD: {
        Trigger.SEND: Phase.SENDING,
        Trigger.FRESH: Phase.READY,
        Trigger.POKE: Phase.READY,
        Trigger.PAUSE: Phase.PAUSED,
    },
    Phase.PAUSED: {Trigger.RESUME: Phase.READY},
}


class Isolation(enum.Enum):
    """Which step of telling a culprit from an outage comes next."""

    NONE = "none"
    HEAD = "head"
    NEXT = "next"


class Suspect(msgspec.Struct, frozen=True):
    """An event that was rejected while nothing proved that others are taken."""

    event: StoredEvent
    outcome: Outcome


class Burial(msgspec.Struct, frozen=True):
    """An event that becomes a dead letter, and why."""

    event: StoredEvent
    reason: str
    detail: str
    attempts: int


class Track(msgspec.Struct, frozen=True):
    """What a drain remembers between attempts; a lane or a replay has one."""

    phase: Phase = Phase.READY
    attempt: int = 0
    """Deferred attempts of the events at the head."""
    first_deferred_at: int | None = None
    next_attempt_at: int | None = None
    last_error: str = ""
    probes: int = 0
    """Probes in a row that a held destination has refused."""
    holding: bool = False
    """A hold is not over yet: whatever is sent is a probe."""
    limit: int = 0
    """Batches up to ``limit_until`` have at most this many events; 0: no limit."""
    limit_until: int = 0
    redo_until: int = 0
    """After a deferral nothing beyond this position is sent until all before it is settled."""
    suspects: tuple[Suspect, ...] = ()
    refusals: int = 0
    isolation: Isolation = Isolation.NONE

    def move(self, trigger: Trigger) -> Track:
        """Change the phase by the table; a trigger that it does not know there is a bug."""
        return replace(self, phase=TRANSITIONS[self.phase][trigger])


class Conclusion(msgspec.Struct, frozen=True):
    """What an answer means: the next state of the track, and what is settled by it."""

    track: Track
    accepted: tuple[StoredEvent, ...] = ()
    receipts: tuple[str, ...] = ()
    buried: tuple[Burial, ...] = ()

    @property
    def settled(self) -> frozenset[int]:
        """Positions that the cursor may pass now."""
        return frozenset(
            [event.position for event in self.accepted]
            + [burial.event.position for burial in self.buried]
        )


def choose(
    track: Track, window: Window, *, events_max: int, bytes_max: int
) -> tuple[StoredEvent, ...]:
    """Pick the events of the next batch, in order; empty when there is nothing to send."""
    candidates = _candidates(track, window)
    if not candidates:
        return ()
    if track.holding:
        return (_probe_candidate(track, candidates),)
    if track.isolation is Isolation.HEAD:
        return tuple(candidates[:1])
    if track.isolation is Isolation.NEXT:
        return tuple(candidates[1:2])
    if track.redo_until:
        redo = [event for event in candidates if event.position <= track.redo_until]
        candidates = redo or candidates
    if track.limit and candidates[0].position <= track.limit_until:
        events_max = min(events_max, track.limit)
    return _fit(candidates, events_max, bytes_max)


def has_candidates(track: Track, window: Window) -> bool:
    """Tell whether the window holds anything but suspects."""
    return len(window.events) > len(track.suspects)


def _candidates(track: Track, window: Window) -> list[StoredEvent]:
    """List what may be sent: everything but the suspects, which wait for a proof."""
    suspected = {suspect.event.position for suspect in track.suspects}
    return [event for event in window.events if event.position not in suspected]


def _probe_candidate(track: Track, candidates: list[StoredEvent]) -> StoredEvent:
    """The head first; once it was refused in this probe, another one further on each time."""
    if not track.suspects:
        return candidates[0]
    return candidates[(track.probes * PROBED_EVENTS_MAX) % len(candidates)]


def _fit(
    candidates: Sequence[StoredEvent], events_max: int, bytes_max: int
) -> tuple[StoredEvent, ...]:
    """Take from the front what fits; one event always does, however large."""
    total = 0
    for count, event in enumerate(candidates[:events_max]):
        total += len(event.body)
        if total > bytes_max and count:
            return tuple(candidates[:count])
    return tuple(candidates[:events_max])


def begin(track: Track) -> Track:
    """Note that a batch goes out."""
    return track.move(Trigger.SEND)


def start_probe(track: Track) -> Track:
    """Begin a probe of a held destination: the head is tried first, whatever was suspected."""
    return replace(track, holding=True, suspects=(), isolation=Isolation.NONE)


def poke(track: Track) -> Track:
    """Try again at once: an operator, a reload or a restart says that things may have changed."""
    held = track.phase is Phase.HELD
    track = replace(track.move(Trigger.POKE), next_attempt_at=None)
    return start_probe(track) if held else track


def wake(track: Track) -> Track:
    """A new event has come: send it at once if it may prove that a suspect is alone at fault."""
    if track.phase is Phase.HELD and track.suspects and track.refusals < REFUSALS_MAX:
        return replace(track.move(Trigger.FRESH), next_attempt_at=None, holding=False)
    return track


def conclude(
    track: Track,
    window: Window,
    batch: Sequence[StoredEvent],
    outcomes: Sequence[Outcome],
    *,
    policy: RetryPolicy,
    now: int,
    jitter: float,
    accepted_elsewhere: bool = False,
    bury_at_once: bool = False,
) -> Conclusion:
    """Say what the outcomes of one batch mean.

    ``accepted_elsewhere`` tells that another lane or a replay was accepted
    since this track met its first suspect; ``bury_at_once`` is for retries of
    dead letters, which return to where they came from.
    """
    assert track.phase is Phase.SENDING, track.phase
    assert len(batch) == len(outcomes) > 0, (len(batch), len(outcomes))
    pairs = list(zip(batch, outcomes, strict=True))
    if len(batch) > 1 and all(said.whole and said.verdict is Verdict.REJECTED for said in outcomes):
        return Conclusion(_halve(track, batch, outcomes[0]))
    accepted = tuple(event for event, said in pairs if said.verdict is Verdict.ACCEPTED)
    receipts = tuple(dict.fromkeys(said.receipt for said in outcomes if said.receipt))
    refused = next((said for said in outcomes if said.verdict is Verdict.HELD), None)
    if refused is not None:
        return Conclusion(_hold(track, refused, now, jitter), accepted, receipts)
    rejected = tuple(
        Suspect(event, said) for event, said in pairs if said.verdict is Verdict.REJECTED
    )
    deferred = [(event, said) for event, said in pairs if said.verdict is Verdict.DEFERRED]
    buried: list[Burial] = []
    suspects = track.suspects + rejected
    proven = bool(accepted) or accepted_elsewhere or bury_at_once
    if proven and suspects:
        buried += [_bury_rejected(suspect, track.attempt + 1) for suspect in suspects]
        suspects = ()
    if accepted:
        buried += _bury_exhausted(track, window, deferred, policy, now)
        exhausted = {burial.event.position for burial in buried}
        deferred = [pair for pair in deferred if pair[0].position not in exhausted]
    track = replace(track, suspects=suspects)
    if deferred:
        track = _defer(track, window, batch, deferred, policy=policy, now=now, jitter=jitter)
    elif suspects:
        track = _suspect(track, window, now, jitter)
    else:
        track = _go_on(track, window, batch)
    return Conclusion(track, accepted, receipts, tuple(buried))


def _halve(track: Track, batch: Sequence[StoredEvent], said: Outcome) -> Track:
    return replace(
        track.move(Trigger.GO_ON),
        limit=len(batch) // 2,
        limit_until=max(track.limit_until, batch[-1].position),
        last_error=describe(said),
    )


def _hold(track: Track, said: Outcome, now: int, jitter: float) -> Track:
    return replace(
        track.move(Trigger.REFUSE),
        attempt=0,
        first_deferred_at=None,
        next_attempt_at=next_probe_at(track.probes, now, jitter),
        last_error=describe(said),
        probes=track.probes + 1,
        holding=True,
        suspects=(),
        refusals=REFUSALS_MAX,
        isolation=Isolation.NONE,
    )


def _bury_rejected(suspect: Suspect, attempts: int) -> Burial:
    said = suspect.outcome
    return Burial(suspect.event, said.reason or "rejected", said.detail, attempts)


def _bury_exhausted(
    track: Track,
    window: Window,
    deferred: Sequence[tuple[StoredEvent, Outcome]],
    policy: RetryPolicy,
    now: int,
) -> list[Burial]:
    """Bury what was deferred too often, now that another event was accepted in the same breath."""
    if not is_exhausted(policy, track.attempt, track.first_deferred_at, now):
        return []
    if track.isolation is Isolation.NEXT:
        return [_exhausted(_candidates(track, window)[0], track.last_error, track.attempt)]
    return [_exhausted(event, describe(said), track.attempt + 1) for event, said in deferred]


def _exhausted(event: StoredEvent, last_error: str, attempts: int) -> Burial:
    return Burial(
        event, "exhausted", f"others were accepted meanwhile; last: {last_error}", attempts
    )


def _defer(
    track: Track,
    window: Window,
    batch: Sequence[StoredEvent],
    deferred: Sequence[tuple[StoredEvent, Outcome]],
    *,
    policy: RetryPolicy,
    now: int,
    jitter: float,
) -> Track:
    said = deferred[0][1]
    asked = max((s.retry_after_seconds or 0.0 for _, s in deferred), default=0.0) or None
    outage = track.isolation is Isolation.NEXT
    attempt = track.attempt if outage else track.attempt + 1
    first = track.first_deferred_at if track.first_deferred_at is not None else now
    suspected = is_exhausted(policy, attempt, first, now) and not outage
    candidates = _candidates(track, window)
    alone = len(batch) == 1 and batch[0].position == candidates[0].position
    track = replace(
        track,
        attempt=attempt,
        first_deferred_at=first,
        last_error=describe(said),
        redo_until=max(track.redo_until, *(event.position for event, _ in deferred)),
        probes=0,
        holding=False,
    )
    if suspected and alone and len(candidates) > 1:
        return replace(track.move(Trigger.GO_ON), isolation=Isolation.NEXT)
    return replace(
        track.move(Trigger.DEFER),
        isolation=Isolation.HEAD if suspected or outage else Isolation.NONE,
        next_attempt_at=next_attempt_at(policy, attempt, now, jitter, asked),
    )


def _suspect(track: Track, window: Window, now: int, jitter: float) -> Track:
    """Everything in this attempt was refused, and nothing says whose fault it is."""
    said = track.suspects[-1].outcome
    others = len(window.events) > len(track.suspects)
    if track.holding:
        if others and len(track.suspects) < PROBED_EVENTS_MAX:
            return replace(track.move(Trigger.GO_ON), last_error=describe(said))
        return _hold(track, said, now, jitter)
    refusals = track.refusals + 1
    if others and refusals < REFUSALS_MAX:
        return replace(track.move(Trigger.GO_ON), refusals=refusals, last_error=describe(said))
    if refusals >= REFUSALS_MAX:
        return _hold(track, said, now, jitter)
    kept = track.suspects  # nothing left to prove it with: the next new event will tell
    return replace(_hold(track, said, now, jitter), suspects=kept, refusals=refusals)


def _go_on(track: Track, window: Window, batch: Sequence[StoredEvent]) -> Track:
    last = batch[-1].position
    passed_limit = last >= track.limit_until
    return replace(
        track.move(Trigger.GO_ON),
        attempt=0,
        first_deferred_at=None,
        next_attempt_at=None,
        last_error=track.last_error if track.limit and not passed_limit else "",
        probes=0,
        holding=False,
        limit=0 if passed_limit else track.limit,
        limit_until=0 if passed_limit else track.limit_until,
        redo_until=0 if last >= track.redo_until else track.redo_until,
        refusals=0,
        isolation=Isolation.NONE,
    )


def describe(said: Outcome) -> str:
    """One line for the operator."""
    return f"{said.reason}: {said.detail}" if said.detail else said.reason

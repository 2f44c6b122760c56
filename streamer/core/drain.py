"""The drain's state machine: its phases, what it remembers, and what it sends next.

Pure: a drain's loop (`streamer.drain`) asks `choose` for a batch, sends it,
and hands the outcomes to `streamer.core.conclusion.conclude`; it then stores
what was concluded. No function here waits, looks at a clock or draws a random
number.

The rules, in the order in which they bite:

1. A destination that refuses us altogether is *held*: probed every 1 to 15
   minutes, with one event after the other while each is rejected, of which each
   probe in vain offers more; nothing is buried before one is accepted.
2. An event that we cannot bring into form is buried when others of its batch
   could be, whatever became of those. If none could, it counts as rejected.
   What was refused as a whole is halved until the culprit stands alone.
3. A rejected event is buried when another of its batch was accepted. If none
   was, it is a *suspect*, and the next event is tried. When one is accepted,
   the suspect is sent once more, because the destination may have been mended
   between the two, and is buried when it is rejected again. Without that rule
   a destination whose mapping broke would have its backlog poured into dead
   letters. Nothing but single events is sent while anybody is suspected, and
   a wait ends all suspicion.
4. A deferred event is retried with backoff, and nothing beyond its batch is
   sent. What was settled beyond it in its batch is not sent again.
5. An event deferred ten times within an hour or more is sent alone, then the
   next one. If that is deferred too, it is an outage, which burns nobody's
   attempts; the time after, the one behind it is tried, lest two bad events
   side by side pass for an outage. If it is accepted, the first is sent once
   more, because the outage may have ended between the two, and is buried when
   it is deferred again.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from streamer.core.event import StoredEvent
from streamer.core.limits import SILENT_EVENTS_MAX, TRIED_EVENTS_MAX
from streamer.core.outcome import Outcome
from streamer.core.settlement import Window, up_to


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
    GO_ON = "something was settled, or there is something else to try at once"
    DEFER = "an event was deferred"
    REFUSE = "the destination refuses everything"
    FRESH = "a new event may prove that others are taken"
    POKE = "resume, reload or an operator's retry"
    PAUSE = "an operator pauses the destination, or the disk is full"
    RESUME = "an operator resumes it, or the disk has room again"


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
    """The event that was deferred too often goes alone."""
    NEXT = "next"
    """It was deferred: one behind it goes alone."""
    AGAIN = "again"
    """That one was accepted: the first goes once more, for the last time."""


class Suspect(msgspec.Struct, frozen=True):
    """An event that was rejected while nothing proved that others are taken."""

    event: StoredEvent
    outcome: Outcome
    refused_at: int
    """The moment (see `conclude`) at which it was rejected first."""


class Deferral(msgspec.Struct, frozen=True):
    """How often one event was deferred, and since when."""

    position: int
    attempts: int
    first_at: int


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
    """How often the event at the head was deferred."""
    first_deferred_at: int | None = None
    """When the event at the head was deferred first, ms since 1970."""
    next_attempt_at: int | None = None
    last_error: str = ""
    probes: int = 0
    """Probes in a row that a held destination has refused."""
    holding: bool = False
    """A hold is not over yet: whatever is sent is a probe."""
    lonely: bool = False
    """Held for want of another event that could prove whose fault a rejection is."""
    limit: int = 0
    """Batches up to ``limit_until`` have at most this many events; 0: no limit."""
    limit_until: int = 0
    """Where the smallest batch ended that was refused as a whole: the culprit is not beyond."""
    redo_until: int = 0
    """After a deferral nothing beyond this position is sent until all before it is settled."""
    deferrals: tuple[Deferral, ...] = ()
    """Of the events of the batch that is being redone; empty after a restart."""
    suspects: tuple[Suspect, ...] = ()
    refused: tuple[tuple[int, int], ...] = ()
    """Position and first moment of former suspects, which go alone when they are sent again."""
    silent: tuple[int, ...] = ()
    """Positions tried to prove something, of which there was nothing to send: passed over for now,
    and not settled, so that what is ahead of the cursor stays as small as a batch."""
    refusals: int = 0
    """Attempts in a row that were only refused."""
    isolation: Isolation = Isolation.NONE
    outages: int = 0
    """Times in a row that the head and another event were both deferred alone."""

    def move(self, trigger: Trigger) -> Track:
        """Change the phase by the table; a trigger that it does not know there is a bug."""
        return replace(self, phase=TRANSITIONS[self.phase][trigger])


UNTROUBLED = Track(phase=Phase.SENDING)
"""A track that sends, and remembers nothing of earlier attempts, as nearly all do nearly always."""


def choose(
    track: Track, window: Window, *, events_max: int, bytes_max: int
) -> tuple[StoredEvent, ...]:
    """Pick the events of the next batch, in order; empty when there is nothing to send."""
    events = candidates(track, window)
    if not events:
        return ()
    may_prove = len(events) > 1 and len(track.silent) < SILENT_EVENTS_MAX
    if track.isolation is Isolation.NEXT and may_prove:
        number = 1 + track.outages % min(TRIED_EVENTS_MAX, len(events) - 1)
        return tuple(events[number : number + 1])
    if track.holding or track.suspects or track.isolation is not Isolation.NONE:
        return tuple(events[:1])
    if any(position == events[0].position for position, _ in track.refused):
        return tuple(events[:1])
    redo = up_to(events, track.redo_until)
    events = redo or events
    if track.limit and events[0].position <= track.limit_until:
        events = up_to(events, track.limit_until)
        events_max = min(events_max, track.limit)
    return _fit(events, events_max, bytes_max)


def candidates(track: Track, window: Window) -> Sequence[StoredEvent]:
    """List what may be sent: all but the suspects, which wait for a proof, and what proves none."""
    if not (track.suspects or track.silent):
        return window.events
    waiting = {suspect.event.position for suspect in track.suspects}.union(track.silent)
    return [event for event in window.events if event.position not in waiting]


def has_candidates(track: Track, window: Window) -> bool:
    """Tell whether the window holds anything that may be sent."""
    return len(window.events) > len(track.suspects) + len(track.silent)


def _fit(events: Sequence[StoredEvent], events_max: int, bytes_max: int) -> tuple[StoredEvent, ...]:
    """Take from the front what fits; one event always does, however large."""
    total = 0
    for count, event in enumerate(events[:events_max]):
        total += len(event.body)
        if total > bytes_max and count:
            return tuple(events[:count])
    return tuple(events[:events_max])


def begin(track: Track) -> Track:
    """Note that a batch goes out; a held destination gets it as a probe."""
    return replace(track.move(Trigger.SEND), next_attempt_at=None, lonely=False)


def poke(track: Track) -> Track:
    """Try again at once: an operator, a reload or a restart says that things may have changed."""
    return replace(track.move(Trigger.POKE), next_attempt_at=None, lonely=False)


def wake(track: Track) -> Track:
    """Probe at once when a new event has come that may prove whose fault the rejection is.

    The rejected event goes first again: the destination may have been mended
    while nothing was sent.
    """
    if track.phase is Phase.HELD and track.lonely:
        return replace(track.move(Trigger.FRESH), next_attempt_at=None, lonely=False)
    return track


def wants_news(track: Track) -> bool:
    """Tell whether a new event may change what is to be done, and not only add to what waits."""
    return track.lonely or track.phase in (Phase.READY, Phase.SENDING)


def pause(track: Track) -> Track:
    """Stop; whatever was about to be proven has to be proven anew afterwards."""
    isolated = Isolation.NONE if track.isolation is Isolation.NONE else Isolation.HEAD
    return replace(doubt(track).move(Trigger.PAUSE), isolation=isolated, lonely=False)


def resume(track: Track) -> Track:
    """Go on at once, with a probe if the destination was held."""
    return replace(track.move(Trigger.RESUME), next_attempt_at=None)


def doubt(track: Track) -> Track:
    """Suspect nobody any more, but remember who was rejected when."""
    first = dict(track.refused)
    first |= {suspect.event.position: suspect.refused_at for suspect in track.suspects}
    return replace(track, suspects=(), silent=(), refused=tuple(sorted(first.items())))

"""Events that a destination has nothing to say of: they are settled, and prove nothing.

Such an event was never sent. It must not be taken for a sign that the
destination takes events: a hold would end by it, an outage would look like the
fault of the event at the head, and refused events would be buried for it. So it
is taken out before an answer is judged, as if it had never been there.

While somebody is under suspicion single events are tried from behind. Of those
the ones with nothing to say are not settled but passed over: there may be many,
and the positions that are ahead of the cursor must stay few.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from streamer.core.drain import Isolation, Track, Trigger, candidates, doubt
from streamer.core.event import StoredEvent
from streamer.core.limits import REFUSALS_MAX, SILENT_EVENTS_MAX, WINDOW_BYTES_MAX
from streamer.core.outcome import Outcome
from streamer.core.retry import next_probe_at
from streamer.core.settlement import Window

Pair = tuple[StoredEvent, Outcome]


def is_to_prove(track: Track) -> bool:
    """Tell whether what is being sent is to tell whose fault the trouble of another event is."""
    return bool(track.suspects) or track.isolation is Isolation.NEXT


def let_pass(
    track: Track, window: Window, pairs: Sequence[Pair]
) -> tuple[Track, Window, list[Pair], tuple[StoredEvent, ...]]:
    """Take out what was not sent for want of anything to say; return it last."""
    passed = tuple(event for event, said in pairs if said.passed)
    if not passed:
        return track, window, list(pairs), ()
    gone = {event.position for event in passed}
    if candidates(track, window)[0].position in gone:
        track = replace(track, attempt=0, first_deferred_at=None)
    track = replace(
        track,
        deferrals=tuple(count for count in track.deferrals if count.position not in gone),
        refused=tuple(pair for pair in track.refused if pair[0] not in gone),
    )
    window = Window(tuple(at for at in window.events if at.position not in gone), window.through)
    return track, window, [pair for pair in pairs if not pair[1].passed], passed


def skip(track: Track, window: Window, event: StoredEvent, *, now: int, jitter: float) -> Track:
    """Look for another event that may prove something, if this one cannot.

    When there is none, or after very many, whoever is suspected has to wait for a new one. What was
    deferred too often is sent once more by `choose`, and waits by that. New events end the wait
    some times only: most of them may be silent as well, and each time a suspect is sent again.
    """
    track = replace(track, silent=(*track.silent, event.position))
    few = len(track.silent) < SILENT_EVENTS_MAX and _bytes_in(window) < WINDOW_BYTES_MAX
    if (few and candidates(track, window)) or not track.suspects:
        return track.move(Trigger.GO_ON)
    refusals = min(track.refusals + 1, REFUSALS_MAX)
    track = _hold_on(track, now=now, jitter=jitter)
    return replace(
        track, probes=track.probes + 1, refusals=refusals, lonely=refusals < REFUSALS_MAX
    )


def _bytes_in(window: Window) -> int:
    return sum(len(event.body) for event in window.events)


def go_by(track: Track, window: Window, *, now: int, jitter: float) -> Track:
    """Return what a track is after a batch of which nothing was sent, and that is settled.

    A hold is not over by that: with nothing left to probe with, it waits for a new event.
    """
    if candidates(track, window) or not track.holding:
        return track.move(Trigger.GO_ON)
    return _hold_on(track, now=now, jitter=jitter)


def _hold_on(track: Track, *, now: int, jitter: float) -> Track:
    return replace(
        doubt(track).move(Trigger.REFUSE),
        next_attempt_at=next_probe_at(track.probes, now, jitter),
        holding=True,
        lonely=True,
    )

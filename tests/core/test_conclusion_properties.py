"""What holds of the drain's judgement whatever a destination says."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from streamer.core.conclusion import Conclusion, conclude
from streamer.core.drain import Phase, Track
from streamer.core.event import StoredEvent
from streamer.core.outcome import (
    ACCEPTED,
    NOT_ATTEMPTED,
    NOTHING_TO_SEND,
    Outcome,
    Verdict,
    deferred,
    held,
    rejected,
    unfit,
)
from streamer.core.retry import RetryPolicy
from streamer.core.settlement import Window
from tests.core.simulation import (
    DAY,
    Destination,
    Simulation,
    accepts,
    by_event,
    event,
    whole,
    whole_deferred,
)

VERDICT = st.sampled_from(["a", "a", "a", "d", "r", "w", "h", "t", "u"])


@st.composite
def scripts(draw: st.DrawFn) -> list[list[str]]:
    """Answers of a destination that is out of its mind for a while."""
    return draw(st.lists(st.lists(VERDICT, min_size=1, max_size=6), max_size=40))


def out_of_its_mind(script: list[list[str]]) -> Destination:
    said = {
        "a": ACCEPTED,
        "d": deferred("busy"),
        "t": deferred("http_429", retry_after_seconds=90),
        "r": rejected("invalid"),
        "w": rejected("http_400", whole=True),
        "h": held("http_401"),
        "u": unfit("unmappable"),
    }

    def send(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        number = len(simulation.sent) - 1
        if number >= len(script):
            return accepts(simulation, batch)
        letters = script[number]
        return [said[letters[at % len(letters)]] for at in range(len(batch))]

    return send


@settings(max_examples=300)
@given(
    script=scripts(),
    batch=st.integers(1, 9),
    jitters=st.lists(st.floats(0, 0.999), max_size=60),
    interruptions=st.dictionaries(
        st.integers(0, 30), st.sampled_from(["poke", "pause", "restart"])
    ),
)
@example(  # the head is rejected between two deferrals of the one behind it
    script=[["d"], ["t"], ["d"], ["r"], ["t"], ["d"]], batch=2, jitters=[], interruptions={}
)
def test_whatever_a_destination_says_every_event_is_settled_once_it_behaves(
    script: list[list[str]],
    batch: int,
    jitters: list[float],
    interruptions: dict[int, str],
) -> None:
    """The simulation itself checks cursor, ahead, order of phases and sends without end."""
    policy = RetryPolicy(exhausted_attempts=3, exhausted_seconds=20)
    simulation = Simulation(
        25, out_of_its_mind(script), batch=batch, jitters=jitters, policy=policy
    )
    for step in range(10_000):
        interruption = interruptions.get(step)
        if interruption == "restart":
            simulation.restart()
        elif interruption == "pause":
            simulation.pause()
            simulation.resume()
        elif interruption == "poke":
            simulation.poke()
        if not simulation.step():
            break
    assert sorted([*simulation.accepted, *simulation.buried]) == list(range(1, 26))
    assert simulation.track.attempt == 0
    assert simulation.phase == "ready"


@settings(max_examples=200)
@given(
    poison=st.sets(st.integers(1, 60), max_size=25),
    stuck=st.sets(st.integers(1, 60), max_size=3),
    batch=st.integers(1, 20),
    by_batch=st.booleans(),
    jitters=st.lists(st.floats(0.01, 0.999), max_size=60),
)
# What waits for ever stands between events that are refused, or behind as many as a hold takes.
@example(poison={1, *range(3, 8)}, stuck={2}, batch=1, by_batch=False, jitters=[])
@example(poison={*range(15, 20)}, stuck={20}, batch=1, by_batch=False, jitters=[])
def test_a_constant_destination_takes_exactly_what_it_can_in_order(
    poison: set[int], stuck: set[int], batch: int, *, by_batch: bool, jitters: list[float]
) -> None:
    stuck -= poison

    def send(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        if not by_batch:
            return by_event(poison, stuck)(simulation, batch)
        here = {at.position for at in batch}
        return (
            whole(poison)(simulation, batch)
            if here & poison
            else whole_deferred(stuck)(simulation, batch)
        )

    simulation = Simulation(60, send, batch=batch, jitters=jitters).run(DAY // 2)
    for _ in range(3):  # each proves one more of the last to be at fault itself
        simulation.append()
        simulation.run(DAY // 4)
    assert set(simulation.buried) == poison | stuck
    assert set(simulation.accepted) == set(range(1, 64)) - poison - stuck
    where = {at: number for number, (_, sent) in enumerate(simulation.sent) for at in sent}
    taken = [where[at] for at in sorted(simulation.accepted)]
    if not stuck:
        assert taken == sorted(taken), "accepted out of order across batches"


@given(
    said=st.lists(
        st.sampled_from(
            [ACCEPTED, Outcome(Verdict.ACCEPTED, receipt="r"), NOTHING_TO_SEND, NOT_ATTEMPTED]
        ),
        min_size=1,
        max_size=6,
    ).filter(lambda said: said[0] != NOT_ATTEMPTED),
    behind=st.integers(0, 2),
)
def test_the_short_way_of_a_track_without_trouble_ends_where_the_long_way_does(
    said: list[Outcome], behind: int
) -> None:
    """An old error means nothing to what is concluded, but keeps the short way from being taken."""
    batch = [event(position) for position in range(1, len(said) + 1)]
    events = (*batch, *(event(len(said) + 1 + number) for number in range(behind)))
    window = Window(events, len(events))

    def concluded(track: Track) -> Conclusion:
        found = conclude(
            track, window, batch, said, policy=RetryPolicy(), now=0, jitter=0.5, moment=1
        )
        return replace(found, track=replace(found.track, last_error=""))

    track = Track(phase=Phase.SENDING)
    assert concluded(track) == concluded(replace(track, last_error="of another day"))

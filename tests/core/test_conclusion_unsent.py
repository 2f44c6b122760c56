"""What a batch means of which not everything was sent, or sent in one request."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from streamer.core.conclusion import Conclusion, conclude
from streamer.core.drain import Phase, Track
from streamer.core.event import StoredEvent
from streamer.core.outcome import ACCEPTED, Outcome, Verdict, deferred, rejected, unfit
from streamer.core.retry import RetryPolicy
from streamer.core.settlement import Window
from tests.core.simulation import (
    DAY,
    Destination,
    Simulation,
    accepts,
    defers,
    event,
    refuses,
    rejects,
    rejects_each,
    whole,
)

UNFIT = unfit("unmappable", "a number is missing")


def concluded(outcomes: Sequence[Outcome], track: Track | None = None) -> Conclusion:
    """What a first answer means; the outbox holds ten events, and the batch the first of them."""
    events = [event(at) for at in range(1, 11)]
    return conclude(
        track or Track(phase=Phase.SENDING),
        Window(tuple(events), 10),
        events[: len(outcomes)],
        outcomes,
        policy=RetryPolicy(),
        now=0,
        jitter=0.0,
    )


def fitting(bad: set[int], destination: Destination) -> Destination:
    """A mapping that fails for some events, in front of a destination that never sees them."""

    def send(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        fit = [at for at in batch if at.position not in bad]
        said = iter(destination(simulation, fit) if fit else [])
        return [UNFIT if at.position in bad else next(said) for at in batch]

    return send


@pytest.mark.parametrize("bad", [{1}, {5}, {8}, {1, 2, 3}, {4, 20}, set(range(2, 9))], ids=str)
@pytest.mark.parametrize("culprit", [9, 12])
def test_an_event_that_is_not_fit_to_be_sent_does_not_keep_the_others_from_being_halved(
    bad: set[int], culprit: int
) -> None:
    simulation = Simulation(64, fitting(bad, whole([culprit])), batch=16).run()
    assert {at: one.reason for at, one in simulation.buried.items()} == {
        **dict.fromkeys(bad, "unmappable"), culprit: "http_400",
    }  # fmt: skip
    assert simulation.accepted == [at for at in range(1, 65) if at not in simulation.buried]
    assert len(simulation.sent) <= 4 + 2 * math.log2(16) + 4, "one by one would take more"


@pytest.mark.parametrize(
    "said", [defers, refuses, rejects_each, rejects], ids=lambda at: at.__name__
)
def test_it_is_buried_when_others_were_fit_whatever_the_destination_says_of_those(
    said: Destination,
) -> None:
    simulation = Simulation(8, fitting({1, 3}, said))
    simulation.step()
    assert list(simulation.buried) == [1, 3]
    assert not simulation.accepted


def test_it_takes_no_trouble_of_the_others_away() -> None:
    """Buried events are no success: a destination that rejects the rest is held all the same."""
    bad = set(range(1, 200, 4))
    simulation = Simulation(200, fitting(bad, rejects_each), batch=8).run(DAY // 4)
    assert simulation.track.holding
    assert set(simulation.buried) <= bad
    assert not simulation.accepted


def test_a_mapping_that_fails_for_everything_holds_the_destination_and_buries_nothing() -> None:
    simulation = Simulation(60, fitting(set(range(1, 61)), accepts)).run(DAY // 4)
    assert simulation.track.holding
    assert not simulation.buried


def test_the_attempts_of_a_head_that_is_not_fit_are_not_counted_for_the_next() -> None:
    """After a restart only the head's count is known."""
    track = Track(phase=Phase.SENDING, attempt=7, first_deferred_at=-1000)
    after = concluded([UNFIT, deferred("busy")], track).track
    assert (after.attempt, after.first_deferred_at) == (1, 0)
    assert concluded([deferred("busy"), UNFIT], track).track.attempt == 8


def test_of_two_requests_for_one_batch_only_the_refused_one_is_halved() -> None:
    refused = rejected("http_400", whole=True)
    said = [ACCEPTED, ACCEPTED, refused, refused, refused, refused, deferred("busy"), ACCEPTED]
    conclusion = concluded(said)
    assert [event.position for event in conclusion.accepted] == [1, 2, 8]
    assert not conclusion.buried
    assert (conclusion.track.limit, conclusion.track.limit_until) == (2, 6)
    assert conclusion.track.phase is Phase.READY
    assert conclusion.track.redo_until == 8, "what is ahead of the cursor stays within a batch"
    assert not conclusion.track.suspects


def test_each_receipt_stays_with_its_event() -> None:
    taken = [Outcome(Verdict.ACCEPTED, receipt=name) for name in ("b", "a")]
    conclusion = concluded([taken[0], ACCEPTED, deferred("busy"), taken[1]])
    assert conclusion.receipts == {1: "b", 4: "a"}
    assert conclusion.settled == {1, 2, 4}

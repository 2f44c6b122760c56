"""The drain's judgement, driven against scripted destinations in virtual time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest

from streamer.core.event import StoredEvent
from streamer.core.limits import PROBED_EVENTS_MIN, REFUSALS_MAX
from streamer.core.outcome import ACCEPTED, Outcome, deferred, held, rejected
from tests.core.simulation import (
    DAY,
    HOUR,
    MINUTE,
    Destination,
    Simulation,
    accepts,
    by_event,
    defers,
    refuses,
    rejects,
    rejects_each,
    switched,
    whole,
    whole_deferred,
)


def positions(simulation: Simulation) -> list[tuple[int, ...]]:
    return [sent for _, sent in simulation.sent]


def gaps_seconds(simulation: Simulation) -> list[float]:
    return [(after - before) / 1000 for (before, _), (after, _) in pairwise(simulation.sent)]


# Whole batches refused.


@pytest.mark.parametrize("culprit", [1, 2, 33, 63, 64])
@pytest.mark.parametrize("reason", ["http_400", "http_413"])
def test_a_batch_refused_as_a_whole_is_halved_to_its_culprit(culprit: int, reason: str) -> None:
    simulation = Simulation(66, whole([culprit], reason), batch=64).run()
    assert list(simulation.buried) == [culprit]
    assert simulation.buried[culprit].reason == reason
    assert simulation.accepted == [at for at in range(1, 67) if at != culprit], "out of order"
    assert simulation.now == 0, "nothing had to wait"
    # Each half that is refused and each that is not; the culprit, the proof, the culprit again.
    assert len(simulation.sent) <= 2 * math.log2(64) + 4


def test_a_batch_too_large_as_a_whole_is_cut_until_it_fits() -> None:
    def fits_three(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        return accepts(simulation, batch) if len(batch) <= 3 else rejects(simulation, batch)

    simulation = Simulation(20, fits_three, batch=16).run()
    assert simulation.accepted == list(range(1, 21))
    assert not simulation.buried


@pytest.mark.parametrize("make", [whole, by_event])
@pytest.mark.parametrize(
    "poison",
    [[1], [1, 2], [30], [29, 30], [7, 8, 9], list(range(3, 18)), [10, 20, 30], [1, 15, 30]],
    ids=str,
)
def test_exactly_the_poison_events_are_buried(make: type, poison: list[int]) -> None:
    simulation = Simulation(30, make(poison), batch=4).run()
    simulation.append(1)  # proves that the last ones were at fault themselves
    simulation.run()
    assert sorted(simulation.buried) == poison
    assert sorted(simulation.accepted) == [at for at in range(1, 32) if at not in poison]
    assert simulation.accepted == sorted(simulation.accepted), "order is kept around the poison"


def test_a_last_event_that_is_rejected_is_held_until_a_new_one_is_accepted() -> None:
    simulation = Simulation(3, whole([3]), batch=1)
    simulation.run(HOUR)
    assert simulation.phase == "held"
    assert not simulation.buried
    simulation.append()
    assert simulation.phase == "ready", "a new event is tried at once"
    simulation.run_without_waiting()
    assert list(simulation.buried) == [3]
    assert simulation.accepted == [1, 2, 4]


def test_an_event_rejected_alone_is_accepted_when_the_destination_was_mended_before_the_next() -> (
    None
):
    simulation = Simulation(1, switched((0, rejects), (10 * MINUTE, accepts)))
    simulation.run(9 * MINUTE)
    simulation.now = 10 * MINUTE
    simulation.append()
    simulation.run()
    assert simulation.accepted == [1, 2]
    assert not simulation.buried


def test_new_events_stop_waking_a_destination_that_goes_on_rejecting() -> None:
    simulation = Simulation(1, rejects).run_without_waiting()
    for _ in range(100):
        simulation.append()
        simulation.run_without_waiting()
    assert simulation.now == 0
    assert simulation.phase == "held"
    assert not simulation.track.lonely
    assert len(simulation.sent) < 10 * REFUSALS_MAX


def test_a_suspicion_does_not_outlive_a_wait() -> None:
    """The first is rejected by a broken mapping, which is mended while the second is deferred."""
    answers = iter([rejected("mapping"), deferred("http_503")])

    def send(_: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        return [next(answers, ACCEPTED) for _ in batch]

    simulation = Simulation(3, send, batch=1).run()
    assert simulation.accepted == [1, 2, 3]
    assert not simulation.buried


# Destinations that refuse everything.


@pytest.mark.parametrize("broken", [rejects, rejects_each])
def test_a_destination_that_rejects_everything_is_held_and_buries_nothing(
    broken: Destination,
) -> None:
    simulation = Simulation(200, switched((0, broken), (DAY // 4, accepts)), batch=8)
    simulation.run(DAY // 4 - HOUR)
    assert simulation.track.holding
    assert not simulation.accepted
    simulation.run()
    assert simulation.accepted == list(range(1, 201))
    assert not simulation.buried


@pytest.mark.parametrize("broken", [rejects, rejects_each])
@pytest.mark.parametrize("first_rejected", [1, 8, 9, 20, 100])
def test_a_mapping_that_breaks_in_mid_stream_buries_nothing(
    broken: Destination, first_rejected: int
) -> None:
    def send(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        breaks = len(simulation.sent) >= first_rejected and simulation.now < 2 * HOUR
        return (broken if breaks else accepts)(simulation, batch)

    simulation = Simulation(400, send, batch=4).run()
    assert simulation.accepted == list(range(1, 401))
    assert not simulation.buried


def test_few_events_are_offered_before_a_destination_is_held() -> None:
    simulation = Simulation(500, rejects_each, batch=8)
    while simulation.step() and simulation.phase != "held":
        pass
    assert len(simulation.sent) == REFUSALS_MAX
    assert positions(simulation)[1:] == [(9,), (10,), (11,), (12,)], "no second batch is offered"
    first_probe = len(simulation.sent)
    while simulation.step() and simulation.phase != "held":
        pass
    probe = positions(simulation)[first_probe:]
    assert probe == [(at,) for at in range(1, PROBED_EVENTS_MIN + 1)], "one by one, from the head"


def test_an_unauthorised_destination_is_probed_with_one_event_every_1_to_15_minutes() -> None:
    jitters = [0.0, 0.99] * 100
    simulation = Simulation(50, switched((0, refuses), (DAY, accepts)), jitters=jitters)
    simulation.run(DAY - HOUR)
    assert simulation.phase == "held"
    assert set(positions(simulation)[1:-1]) == {(1,)}
    assert all(60 <= gap <= 900 for gap in gaps_seconds(simulation))
    assert max(gaps_seconds(simulation)) == 900
    simulation.run()
    assert simulation.accepted == list(range(1, 51))
    assert not simulation.buried


def test_a_poke_probes_a_held_destination_at_once_with_one_event() -> None:
    simulation = Simulation(50, refuses)
    simulation.step()
    simulation.poke()
    assert simulation.phase == "ready"
    simulation.step()
    assert simulation.sent[-1] == (0, (1,))
    assert simulation.phase == "held"


def test_what_was_accepted_beside_a_refusal_is_settled() -> None:
    def send(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        if simulation.now:
            return accepts(simulation, batch)
        return [held("http_401") if at.position == 2 else ACCEPTED for at in batch]

    simulation = Simulation(4, send).run()
    assert positions(simulation) == [(1, 2, 3, 4), (2,)]
    assert simulation.accepted == [1, 3, 4, 2]


# Deferrals.


def test_what_was_settled_beyond_a_deferred_event_is_not_sent_again() -> None:
    def send(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        stuck = {3, 6} if len(simulation.sent) < 4 else set()
        return by_event(stuck=stuck)(simulation, batch)

    simulation = Simulation(20, send).run()
    assert positions(simulation)[:4] == [tuple(range(1, 9)), (3, 6), (3, 6), (3, 6)]
    assert positions(simulation)[4] == tuple(range(9, 17)), "nothing beyond the batch before"
    assert not simulation.buried


def test_a_restart_does_not_send_beyond_a_deferred_event() -> None:
    simulation = Simulation(20, by_event(stuck=[3]))
    simulation.step()
    simulation.restart()
    simulation.step()
    assert positions(simulation) == [tuple(range(1, 9)), (3,)]


@pytest.mark.parametrize("stuck_for", [0.4, 2, 96])
def test_an_outage_buries_nobody_and_stops_counting(stuck_for: float) -> None:
    down = switched((0, defers), (round(stuck_for * HOUR), accepts))
    simulation = Simulation(30, down, batch=4)
    seen: list[int] = []
    while simulation.step() and not simulation.accepted:
        seen.append(simulation.track.attempt)
    assert sorted(seen) == seen, "attempts at the head never go down in an outage"
    at_one_hour = [attempt for attempt, (at, _) in zip(seen, simulation.sent, strict=False)
                   if at <= HOUR + 10 * MINUTE]  # fmt: skip
    assert max(seen) <= max(at_one_hour), "an outage burns nobody's attempts"
    simulation.run()
    assert sorted(simulation.accepted) == list(range(1, 31))
    assert not simulation.buried


def test_an_outage_does_not_count_for_the_events_that_were_only_tried_beside_the_head() -> None:
    simulation = Simulation(5, defers, batch=1)
    simulation.run(5 * HOUR)
    assert {(2,), (3,)} <= set(positions(simulation))
    assert [deferral.position for deferral in simulation.track.deferrals] == [1]


def test_an_outage_that_ends_between_the_head_and_the_next_buries_nobody() -> None:
    """Half of the time of an outage is spent waiting for a timeout: it may end in any of them."""

    def send(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        over = simulation.now > 3 * HOUR and (simulation.accepted or batch[0].position == 2)
        return accepts(simulation, batch) if over else defers(simulation, batch)

    simulation = Simulation(5, send, batch=1).run()
    assert sorted(simulation.accepted) == [1, 2, 3, 4, 5]
    assert simulation.accepted[:2] == [2, 1]
    assert not simulation.buried


@pytest.mark.parametrize("make", [whole_deferred, lambda stuck: by_event(stuck=stuck)])
@pytest.mark.parametrize("stuck", [[1], [4], [8], [20], [3, 4, 5]], ids=str)
@pytest.mark.parametrize("jitter", [0.01, 0.5, 0.99])
def test_an_event_that_is_always_deferred_is_buried_after_ten_attempts_and_an_hour(
    make: Destination, stuck: list[int], jitter: float
) -> None:
    simulation = Simulation(40, make(stuck), jitters=[jitter] * 10_000)  # type: ignore[call-arg, arg-type]  # a maker
    while not simulation.buried and simulation.step():
        pass
    first = next(at for at, sent in simulation.sent if stuck[0] in sent)
    assert simulation.now - first >= HOUR
    simulation.run()
    assert sorted(simulation.buried) == stuck
    assert {burial.reason for burial in simulation.buried.values()} == {"exhausted"}
    assert all(burial.attempts >= 10 for burial in simulation.buried.values())
    assert sorted(simulation.accepted) == [at for at in range(1, 41) if at not in stuck]
    # Those of one batch are given up together: their hour is the same hour.
    assert simulation.now - first <= 2 * HOUR


def test_an_always_deferred_last_event_waits_for_another_to_be_accepted() -> None:
    simulation = Simulation(4, by_event(stuck=[4]), batch=1)
    simulation.run(2 * DAY)
    assert simulation.phase == "waiting"
    assert not simulation.buried
    simulation.append()
    simulation.run(HOUR)
    assert list(simulation.buried) == [4]
    assert simulation.accepted == [1, 2, 3, 5]


def test_the_wait_that_was_asked_for_is_kept_before_the_next_event_is_tried() -> None:
    def send(_: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        asked = deferred("http_429", retry_after_seconds=700)
        return [asked if at.position == 1 else ACCEPTED for at in batch]

    simulation = Simulation(3, send, batch=1).run()
    assert list(simulation.buried) == [1]
    gaps = gaps_seconds(simulation)
    after_head = [gap for gap, (_, sent) in zip(gaps, simulation.sent, strict=False) if 1 in sent]
    assert all(gap >= 700 for gap in after_head[:-1]), after_head
    assert simulation.buried[1].attempts >= 10


def test_attempts_are_counted_for_each_event_and_not_for_the_batch() -> None:
    """Event 1 is slow for an hour, then 2 begins to be deferred: it must not inherit its count."""

    def send(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        stuck = {1} if simulation.now < 59 * MINUTE else {2} if simulation.now < 70 * MINUTE else ()
        return by_event(stuck=stuck)(simulation, batch)

    simulation = Simulation(8, send, batch=1).run()
    assert simulation.accepted == list(range(1, 9))
    assert not simulation.buried


def test_a_restart_keeps_the_count_of_the_head() -> None:
    simulation = Simulation(3, by_event(stuck=[1]), batch=1)
    while simulation.now < 50 * MINUTE and simulation.step():
        pass
    attempts = simulation.track.attempt
    simulation.restart()
    simulation.step()
    assert simulation.track.attempt == attempts + 1
    simulation.run()
    assert list(simulation.buried) == [1]
    assert simulation.now < 80 * MINUTE


# Proof from elsewhere, and retries.


def test_an_acceptance_elsewhere_proves_a_rejection_that_came_before_it() -> None:
    simulation = Simulation(1, rejects)
    simulation.step()
    assert simulation.phase == "held"
    simulation.moment += 1
    simulation.proof = simulation.moment
    simulation.step()
    assert list(simulation.buried) == [1]


def test_an_acceptance_elsewhere_that_was_under_way_at_the_rejection_proves_nothing() -> None:
    simulation = Simulation(1, rejects)
    simulation.step()
    simulation.proof = simulation.moment
    simulation.step()
    assert not simulation.buried


def test_an_acceptance_elsewhere_proves_nothing_about_a_later_rejection() -> None:
    simulation = Simulation(40, rejects_each)
    simulation.moment = simulation.proof = 7
    simulation.run(DAY // 4)
    assert not simulation.buried
    assert simulation.track.holding


def test_a_dead_letter_that_is_rejected_again_returns_at_once() -> None:
    simulation = Simulation(3, rejects, bury_at_once=True).run()
    assert sorted(simulation.buried) == [1, 2, 3]
    assert simulation.now == 0

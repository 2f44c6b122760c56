"""Events that a destination has nothing to say of are settled, and prove nothing at all."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core import drain, passing
from streamer.core.conclusion import conclude
from streamer.core.drain import Phase, Track
from streamer.core.event import StoredEvent
from streamer.core.limits import HELD_PROBE_SECONDS_MIN, REFUSALS_MAX
from streamer.core.outcome import ACCEPTED, NOTHING_TO_SEND, Outcome, rejected, unfit
from streamer.core.retry import RetryPolicy
from streamer.core.settlement import Window
from tests.core.simulation import (
    DAY,
    HOUR,
    Destination,
    Simulation,
    accepts,
    by_event,
    defers,
    event,
    refuses,
    rejects,
    rejects_each,
    whole,
)

ODD = range(1, 101, 2)


def quiet_about(silent: Collection[int], destination: Destination) -> Destination:
    """A mapping with nothing to say of some events, in front of a destination."""

    def send(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        loud = [at for at in batch if at.position not in silent]
        said = iter(destination(simulation, loud) if loud else [])
        return [NOTHING_TO_SEND if at.position in silent else next(said) for at in batch]

    return send


@pytest.mark.parametrize("silent", [ODD, {1}, {40}, range(1, 41)], ids=str)
def test_such_events_are_settled_with_all_others(silent: Collection[int]) -> None:
    simulation = Simulation(40, quiet_about(silent, accepts)).run()
    assert simulation.progress.position == 40
    assert simulation.passed == [at for at in range(1, 41) if at in silent]
    assert simulation.accepted == [at for at in range(1, 41) if at not in silent]
    assert len(simulation.sent) == 5


@pytest.mark.parametrize(
    "broken", [rejects, rejects_each, refuses, defers], ids=lambda at: at.__name__
)
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("silent", [ODD, range(2, 101, 2), range(5, 97)], ids=str)
def test_a_destination_that_takes_nothing_costs_no_dead_letter(
    broken: Destination, batch: int, silent: Collection[int]
) -> None:
    simulation = Simulation(100, quiet_about(silent, broken), batch=batch).run(6 * HOUR)
    assert simulation.buried == {}
    assert simulation.accepted == []
    simulation.destination = quiet_about(silent, accepts)
    simulation.run()
    assert len(simulation.accepted) + len(simulation.passed) == 100


def test_a_hold_goes_on_until_something_was_really_sent() -> None:
    simulation = Simulation(100, quiet_about(ODD, refuses), batch=1)
    simulation.run(DAY)
    waits = [later - at for (at, _), (later, _) in itertools.pairwise(simulation.sent)]
    assert simulation.track.holding
    assert simulation.track.probes > 20
    assert max(waits) > 800_000, "the waits between probes grow, whatever passes in between"
    assert len(simulation.passed) <= 1 + simulation.track.probes


def test_an_event_that_is_always_refused_is_buried_for_the_sake_of_one_that_is_taken() -> None:
    simulation = Simulation(100, quiet_about(ODD, whole({4, 50})), batch=8).run()
    assert list(simulation.buried) == [4, 50]


def test_an_event_that_is_always_deferred_is_told_from_an_outage_by_one_that_is_sent() -> None:
    simulation = Simulation(40, quiet_about(ODD, by_event(stuck={2})), batch=1).run(DAY)
    assert {at: one.reason for at, one in simulation.buried.items()} == {2: "exhausted"}
    assert simulation.now >= HOUR
    assert simulation.progress.position == 40


def test_a_suspect_with_nothing_but_silence_behind_it_waits_for_an_event_that_is_sent() -> None:
    simulation = Simulation(6, quiet_about({2, 3, 4, 5, 6}, rejects_each), batch=1)
    simulation.run_without_waiting()
    assert (simulation.phase, simulation.track.lonely) == ("held", True)
    assert (simulation.passed, simulation.buried) == ([], {})
    simulation.destination = quiet_about({2, 3, 4, 5, 6}, by_event({1}))
    simulation.append()
    simulation.run_without_waiting()
    assert simulation.accepted == [7]
    assert simulation.passed == [2, 3, 4, 5, 6]
    assert list(simulation.buried) == [1]


def test_a_bad_event_is_told_from_a_broken_destination_across_many_that_are_silent() -> None:
    """Records of consent are one event in some hundreds."""
    silent = range(2, 1_000)
    simulation = Simulation(1_000, quiet_about(silent, by_event({1})), batch=500)
    simulation.run(HOUR)
    assert list(simulation.buried) == [1]
    assert simulation.progress.position == 1_000


def test_silent_events_that_come_do_not_each_send_the_refused_one_again() -> None:
    asked: list[int] = []

    def send(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        asked.extend(at.position for at in batch if at.position == 1)
        return [rejected("http_400") if at.position == 1 else NOTHING_TO_SEND for at in batch]

    simulation = Simulation(1, send)
    simulation.run_without_waiting()
    for _ in range(100):
        simulation.now += HELD_PROBE_SECONDS_MIN * 10
        simulation.append()
        simulation.run_without_waiting()
    assert len(asked) <= REFUSALS_MAX
    assert simulation.phase == "held"


@pytest.mark.parametrize("broken", [rejects_each, defers], ids=lambda at: at.__name__)
def test_however_many_are_silent_few_are_tried_and_none_is_ahead(
    broken: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (drain, passing):
        monkeypatch.setattr(module, "SILENT_EVENTS_MAX", 160)
    silent = range(2, 400)
    simulation = Simulation(400, quiet_about(silent, broken), batch=1)
    simulation.run(2 * HOUR)
    assert simulation.progress.position == 0
    assert simulation.progress.ahead == frozenset()
    rounds = len({at for at, _ in simulation.sent})
    assert len(simulation.sent) <= rounds * (160 + 2)
    simulation.destination = quiet_about(silent, accepts)
    simulation.run()
    assert simulation.accepted == [1, 400]


def test_a_hold_with_nothing_but_silence_behind_it_waits_for_an_event_that_is_sent() -> None:
    simulation = Simulation(3, quiet_about({2, 3}, refuses), batch=1)
    simulation.step()
    simulation.destination = quiet_about({1, 2, 3}, refuses)
    while simulation.step():
        pass
    assert (simulation.phase, simulation.track.lonely) == ("held", True)
    assert simulation.passed == [1, 2, 3]
    simulation.append()
    simulation.destination = accepts
    simulation.run_without_waiting()
    assert simulation.accepted == [4]
    assert simulation.phase == "ready"


def test_receipts_and_burials_beside_it_are_kept() -> None:
    events = [event(at) for at in range(1, 6)]
    said = [NOTHING_TO_SEND, unfit("unmappable"), Outcome(ACCEPTED.verdict, receipt="r"),
            rejected("http_400"), NOTHING_TO_SEND]  # fmt: skip
    conclusion = conclude(
        Track(phase=Phase.SENDING), Window(tuple(events), 5), events, said,
        policy=RetryPolicy(), now=0, jitter=0.0,
    )  # fmt: skip
    assert [at.position for at in conclusion.passed] == [1, 5]
    assert [at.position for at in conclusion.accepted] == [3]
    assert [burial.event.position for burial in conclusion.buried] == [2, 4]
    assert conclusion.receipts == {1: "nothing-to-send", 3: "r", 5: "nothing-to-send"}
    assert conclusion.settled == {1, 2, 3, 4, 5}


@given(
    silent=st.sets(st.integers(1, 30)),
    bad=st.sets(st.integers(1, 30), max_size=4),
    batch=st.integers(1, 9),
)
def test_whatever_passes_what_becomes_of_the_others_is_what_would_have_without_it(
    silent: set[int], bad: set[int], batch: int
) -> None:
    # The last event is a good one, or it could not be proven that one before it is bad.
    simulation = Simulation(31, quiet_about(silent, by_event(bad)), batch=batch).run(DAY)
    assert simulation.progress.position == 31
    assert set(simulation.buried) == bad - silent
    assert set(simulation.passed) == silent

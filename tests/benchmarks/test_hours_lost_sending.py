"""The sender on its virtual clock keeps the documented rules, whatever it is answered."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.hours_lost.faults import Edge, Fault, Kind, edges
from benchmarks.hours_lost.sending import Attempt, End, Sender
from benchmarks.hours_lost.week import DAY_SECONDS, HOUR_SECONDS, WEEK_SECONDS, Event
from tests.support.sender_rules import GIVE_UP_SECONDS

FOR_EVER = 1e9

KEPT = Attempt(0.0)
SOON = Attempt(0.0, "status 503")
HOUR = Attempt(0.0, "status 500", earns_hour=True)
CUT = Attempt(0.0, "ConnectionResetError", earns_hour=True, is_cut_by_kill=True)


class Script:
    """A world that answers from a list, then acknowledges, and writes down what it is told."""

    def __init__(self, answers: Sequence[Attempt] = (), *, always: Attempt = KEPT) -> None:
        self.answers = list(answers)
        self.always = always
        self.tried: list[int] = []
        self.switched: list[Edge] = []
        self.passed: list[float] = []

    def attempt(self, event: Event) -> Attempt:
        self.tried.append(event.number)
        return self.answers.pop(0) if self.answers else self.always

    def switch(self, edge: Edge) -> None:
        self.switched.append(edge)

    def let_pass(self, seconds: float) -> None:
        self.passed.append(seconds)


def events(*moments: float, poison: bool = False) -> list[Event]:
    return [
        Event(number, at_seconds, b"", is_poison=poison)
        for number, at_seconds in enumerate(moments)
    ]


WAITS = [
    ([], 0.0),
    ([SOON], 1.0),
    ([SOON, SOON, SOON], 1.0 + 2.0 + 4.0),
    ([HOUR], HOUR_SECONDS),
    ([HOUR, HOUR], 2 * HOUR_SECONDS),
    ([HOUR, SOON], HOUR_SECONDS + 2.0),
    ([SOON] * 12, 4095.0),
    ([SOON] * 14, 4095.0 + 2 * HOUR_SECONDS),
    ([Attempt(4.0, "timeout")], 4.0 + 1.0),
]


@pytest.mark.parametrize(("answers", "seconds"), WAITS)
def test_a_call_waits_an_hour_or_an_exponential_backoff_of_at_most_an_hour(
    answers: list[Attempt], seconds: float
) -> None:
    sender = Sender(Script(answers), [], rescue_seconds=FOR_EVER)
    assert sender.send(events(10.0)) == [(End.ACKNOWLEDGED, 10.0 + seconds)]
    assert [failure.reason for failure in sender.failures] == [one.reason for one in answers]


def test_what_arose_behind_a_failing_call_waits_and_is_then_sent_at_once() -> None:
    sender = Sender(Script([HOUR]), [], rescue_seconds=FOR_EVER)
    fates = sender.send(events(0.0, 5.0, HOUR_SECONDS + 5.0))
    assert [fate.at_seconds for fate in fates] == [HOUR_SECONDS, HOUR_SECONDS, HOUR_SECONDS + 5.0]


def test_a_call_is_given_up_after_seven_days_and_the_next_one_is_made() -> None:
    world = Script([HOUR] * 7 * 24)
    fates = Sender(world, [], rescue_seconds=FOR_EVER).send(events(60.0, 120.0))
    assert fates == [
        (End.GIVEN_UP, 60.0 + GIVE_UP_SECONDS),
        (End.ACKNOWLEDGED, fates[0].at_seconds),
    ]
    assert world.tried == [0] * 7 * 24 + [1]


def test_a_person_lets_poison_pass_and_all_that_follows_it_too() -> None:
    world = Script(always=HOUR)
    poison = events(0.0, 60.0, poison=True)
    sender = Sender(world, [], rescue_seconds=2.5 * HOUR_SECONDS)
    assert [fate.end for fate in sender.send(poison)] == [End.RESCUED, End.RESCUED]
    assert world.tried == [0, 0, 0]
    assert sender.now_seconds == 3 * HOUR_SECONDS
    assert {failure.kind for failure in sender.failures} == {Kind.POISON}


def test_nobody_rescues_an_event_that_is_no_poison() -> None:
    sender = Sender(Script([HOUR] * 5), [], rescue_seconds=HOUR_SECONDS)
    assert [fate.end for fate in sender.send(events(0.0))] == [End.ACKNOWLEDGED]


def test_the_person_is_called_by_poison_alone_and_minds_nothing_else() -> None:
    ordinary, poison = events(0.0)[0], Event(1, 0.0, b"", is_poison=True)
    world = Script([HOUR, HOUR, HOUR, KEPT, HOUR, HOUR, HOUR])
    sender = Sender(world, [], rescue_seconds=2 * HOUR_SECONDS)
    fates = sender.send([ordinary, poison, ordinary._replace(number=2)])
    assert [fate.end for fate in fates] == [End.ACKNOWLEDGED, End.RESCUED, End.ACKNOWLEDGED]
    assert world.tried == [0, 0, 0, 0, 1, 1, 2, 2]


def test_the_clock_stands_at_the_edge_when_a_fault_is_made_known() -> None:
    world = Script()
    faults = [Fault(Kind.FULL_DISK, 100.0, 50.0)]
    Sender(world, faults, rescue_seconds=FOR_EVER).send(events(160.0))
    assert world.passed == [100.0, 50.0, 10.0]


def test_a_fault_is_made_known_when_the_clock_passes_its_edge_and_before_the_next_call() -> None:
    seen: list[tuple[int, int]] = []

    class Watched(Script):
        def attempt(self, event: Event) -> Attempt:
            seen.append((event.number, len(self.switched)))
            return super().attempt(event)

    faults = [Fault(Kind.FULL_DISK, 100.0, 50.0), Fault(Kind.DEPLOY, 200.0)]
    world = Watched()
    Sender(world, faults, rescue_seconds=FOR_EVER).send(events(99.0, 100.0, 151.0))
    assert seen == [(0, 0), (1, 1), (2, 2)]
    assert world.switched == edges(faults)


def test_a_failure_is_blamed_on_the_fault_at_which_its_try_began() -> None:
    faults = [Fault(Kind.FULL_DISK, 100.0, 50.0)]
    world = Script([KEPT, HOUR, HOUR])
    sender = Sender(world, faults, rescue_seconds=FOR_EVER)
    sender.send(events(50.0, 120.0))
    assert [failure.kind for failure in sender.failures] == [Kind.FULL_DISK, Kind.NONE]


def test_poison_answers_for_itself_whatever_else_goes_on() -> None:
    faults = [Fault(Kind.DEAD_DESTINATION, 0.0, DAY_SECONDS)]
    sender = Sender(Script([HOUR]), faults, rescue_seconds=FOR_EVER)
    sender.send(events(60.0, poison=True))
    assert [failure.kind for failure in sender.failures] == [Kind.POISON]


def test_a_kill_that_waited_for_a_call_is_to_blame_however_late_it_came() -> None:
    faults = [Fault(Kind.KILL_IN_CALL, 100.0)]
    sender = Sender(Script([CUT]), faults, rescue_seconds=FOR_EVER)
    sender.send(events(DAY_SECONDS))
    [failure] = sender.failures
    assert failure.kind is Kind.KILL_IN_CALL
    assert not failure.is_chosen


ANSWERS = st.lists(
    st.sampled_from([KEPT, SOON, HOUR, CUT, Attempt(4.0, "timeout"), Attempt(0.3)]), max_size=30
)
FAULTS = st.lists(
    st.builds(
        Fault,
        st.sampled_from(list(Kind)),
        st.floats(0.0, WEEK_SECONDS),
        st.sampled_from([0.0, 60.0, HOUR_SECONDS]),
    ),
    max_size=5,
)
MOMENTS = st.lists(st.floats(0.0, WEEK_SECONDS), min_size=1, max_size=10).map(sorted)


@given(ANSWERS, FAULTS, MOMENTS)
def test_one_call_at_a_time_in_order_and_every_second_is_accounted_for(
    answers: list[Attempt], faults: list[Fault], moments: list[float]
) -> None:
    taken = sum(answer.seconds for answer in answers)
    world = Script(answers)
    sender = Sender(world, faults, rescue_seconds=FOR_EVER)
    week = events(*moments)
    fates = sender.send(week)

    assert world.tried == sorted(world.tried)
    assert set(world.tried) == {event.number for event in week}
    ended = [fate.at_seconds for fate in fates]
    assert ended == sorted(ended)
    assert all(fate.at_seconds >= event.at_seconds for fate, event in zip(fates, week, strict=True))
    assert world.switched == edges(faults)
    taken -= sum(answer.seconds for answer in world.answers)
    assert sender.now_seconds == pytest.approx(sum(world.passed) + taken)
    failures = sender.failures
    assert all(one.until_seconds <= later.at_seconds for one, later in itertools.pairwise(failures))
    assert sum(one.earns_hour for one in failures) * HOUR_SECONDS <= sum(world.passed) + 1e-3

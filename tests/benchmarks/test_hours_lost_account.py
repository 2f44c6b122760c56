"""The account of a week: what was lost by what, and how much was held when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.hours_lost import account
from benchmarks.hours_lost.__main__ import OURS, figures_of
from benchmarks.hours_lost.account import POINT_SECONDS
from benchmarks.hours_lost.faults import Fault, Kind
from benchmarks.hours_lost.sending import End, Failure, Fate
from benchmarks.hours_lost.trial import Result
from benchmarks.hours_lost.week import HOUR_SECONDS, Event


def failure(
    kind: Kind, hours: float, *, reason: str = "status 500", earns: bool = True, cut: bool = False
) -> Failure:
    return Failure(0, kind, 0.0, hours * HOUR_SECONDS, reason, earns, cut)


def events(*moments: float) -> list[Event]:
    return [Event(number, at_seconds, b"") for number, at_seconds in enumerate(moments)]


def fates(*moments: float) -> list[Fate]:
    return [Fate(End.ACKNOWLEDGED, at_seconds) for at_seconds in moments]


def test_each_kind_of_fault_answers_for_its_own_hours() -> None:
    faults = [
        Fault(Kind.DEPLOY, 0.0),
        Fault(Kind.FULL_DISK, 1.0, HOUR_SECONDS / 2),
        Fault(Kind.DEPLOY, 2.0),
    ]
    failures = [
        failure(Kind.DEPLOY, 1.0, reason="refused"),
        failure(Kind.FULL_DISK, 0.25, reason="status 503", earns=False),
        failure(Kind.FULL_DISK, 0.5, reason="status 503", earns=False),
        failure(Kind.KILL_IN_CALL, 1.0, reason="reset", cut=True),
    ]
    deploy, disk, kill = account.losses(faults, failures)
    assert (deploy.fault, deploy.times, deploy.held_hours) == (Kind.DEPLOY, 2, 1.0)
    assert (deploy.hour_waits, deploy.hour_waits_chosen, deploy.hour_waits_by_kill) == (1, 1, 0)
    assert (disk.lasted_hours, disk.held_hours, disk.hour_waits) == (0.5, 0.75, 0)
    assert disk.reasons == {"status 503": 2}
    assert (kill.times, kill.hour_waits, kill.hour_waits_chosen) == (0, 1, 0)
    assert kill.hour_waits_by_kill == 1


def test_a_fault_that_cost_nothing_is_told_too() -> None:
    [loss] = account.losses([Fault(Kind.DEPLOY, 0.0)], [])
    assert (loss.times, loss.held_hours, loss.reasons) == (1, 0.0, {})


def test_the_backlog_is_what_arose_and_is_not_through() -> None:
    held = account.backlog(events(0.0, 1.0, 2.0, 3.0), fates(1.5, 4.0, 5.0, 6.0))
    assert held.most == 3
    assert held.curve == [3]


def test_a_quarter_in_which_nothing_changes_holds_what_was_held_before() -> None:
    late = 3.5 * POINT_SECONDS
    held = account.backlog(events(0.0, 1.0, late), fates(2.0, late, late + 1.0))
    assert held.curve == [2, 1, 1, 2]


def test_no_events_make_no_backlog() -> None:
    assert account.backlog([], []) == (0, [])
    assert account.longest_wait_hours([], []) == 0.0


def test_the_longest_wait_is_that_of_one_event_and_not_of_the_week() -> None:
    assert account.longest_wait_hours(events(0.0, 7200.0), fates(1800.0, 10_800.0)) == 1.0


@given(
    st.lists(st.tuples(st.floats(0.0, 1e5), st.floats(0.0, 1e4)), min_size=1, max_size=30).map(
        sorted
    )
)
def test_the_backlog_is_what_counting_at_every_moment_finds(
    pairs: list[tuple[float, float]],
) -> None:
    arose, ended, free = [], [], 0.0
    for at_seconds, takes in pairs:
        free = max(free, at_seconds) + takes
        arose.append(at_seconds)
        ended.append(free)
    held = account.backlog(events(*arose), fates(*ended))
    # What ends at the very moment at which something arises was still there.
    counts = [
        sum(at <= moment for at in arose) - sum(at < moment for at in ended) for moment in arose
    ]
    assert held.most == max(counts)
    assert max(held.curve) == held.most
    assert len(held.curve) == int(ended[-1] / POINT_SECONDS) + 1


def result(server: str) -> Result:
    losses = account.losses(
        [Fault(Kind.DEPLOY, 0.0), Fault(Kind.FULL_DISK, 0.0, 60.0), Fault(Kind.BURST, 0.0)],
        [failure(Kind.DEPLOY, 1.0), failure(Kind.FULL_DISK, 2.0, earns=False)],
    )
    return Result(
        server=server, events=3, held_hours=3.0, hour_waits=1, hour_waits_by_kill=0,
        hour_waits_chosen=1, losses=losses, backlog_most=2, backlog_curve=[2],
        longest_wait_hours=2.0, ended_hours=168.0, given_up=0, rescued=0, lost=0, delivered=3,
        process_ends={}, disk_felt=None, real_seconds=1.0,
    )  # fmt: skip


def test_an_hour_of_our_own_choice_misses_the_bound_and_a_rivals_is_only_told() -> None:
    ours, theirs = figures_of(result(OURS)), figures_of(result("another"))
    assert {one.name for one in ours if one.verdict == "MISSED"} == {
        "streamer: hour waits by its own choice"
    }
    assert len([one for one in ours if one.verdict == "met"]) == 3
    assert {one.verdict for one in theirs} == {""}


def test_hours_are_split_by_fault_the_dearest_first() -> None:
    assert figures_of(result(OURS))[1].note == "full disk 2.00, deploy 1.00"

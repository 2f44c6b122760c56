"""The week that servers are sent through: its events and its faults are functions of a seed."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.hours_lost import week
from benchmarks.hours_lost.faults import (
    AFTERMATH_SECONDS,
    DISK_KINDS,
    Fault,
    Kind,
    blame,
    edges,
    schedule,
)
from streamer.core.customerio import Decoded, decode

POISON_COUNT = 4


@given(st.integers(20, 200), st.integers(0, 5))
def test_a_week_has_its_events_in_the_order_in_which_they_arise(count: int, seed: int) -> None:
    events = week.plan(count, seed=seed)
    assert [event.number for event in events] == list(range(count + POISON_COUNT))
    moments = [event.at_seconds for event in events]
    assert moments == sorted(moments)
    assert moments[0] >= 0
    assert moments[-1] < week.WEEK_SECONDS
    assert sum(event.is_poison for event in events) == POISON_COUNT


def test_a_seed_repeats_a_week_and_another_makes_another() -> None:
    assert week.plan(100, seed=1) == week.plan(100, seed=1)
    assert week.plan(100, seed=1) != week.plan(100, seed=2)
    assert schedule(full=True, seed=1) == schedule(full=True, seed=1)
    assert schedule(full=True, seed=1) != schedule(full=True, seed=2)


def test_no_two_events_share_a_body_and_ids_arise_in_order_but_for_poison() -> None:
    events = week.plan(500, seed=3)
    assert len({event.body for event in events}) == len(events)
    ids = [json.loads(event.body)["event_id"] for event in events if not event.is_poison]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


def test_the_burst_comes_at_once_and_campaigns_within_minutes() -> None:
    moments = [event.at_seconds for event in week.plan(1000, seed=1)]
    assert moments.count(week.BURST_AT_SECONDS) == 50
    campaign = week.CAMPAIGN_HOUR * week.HOUR_SECONDS
    # 70 of each campaign; one in e to the fifth is later than this, and the day goes on beside it.
    assert 65 <= sum(campaign <= at < campaign + 300 for at in moments) <= 80


def test_poison_is_what_cannot_be_read_and_an_id_that_is_taken() -> None:
    first = week.plan(20, seed=1)[0].body
    *unreadable, taken = week.poison(like=first)
    assert not any(isinstance(decode(body), Decoded) for body in unreadable)
    decoded, original = decode(taken), decode(first)
    assert isinstance(decoded, Decoded)
    assert isinstance(original, Decoded)
    assert decoded.event_id == original.event_id
    assert taken != first


@pytest.mark.parametrize("full", [False, True])
def test_every_kind_of_fault_comes_and_each_disk_fault_ends_before_the_next_begins(
    full: bool,
) -> None:
    faults = schedule(full=full, seed=1)
    assert {fault.kind for fault in faults} == set(Kind) - {Kind.NONE}
    on_disk = [fault for fault in faults if fault.kind in DISK_KINDS]
    assert all(
        one.ends_seconds + week.HOUR_SECONDS < next_.at_seconds
        for one, next_ in itertools.pairwise(on_disk)
    )


def test_a_state_has_two_edges_and_a_blow_has_one() -> None:
    faults = [Fault(Kind.FULL_DISK, 100.0, 50.0), Fault(Kind.KILL, 120.0)]
    assert edges(faults) == [
        (100.0, Kind.FULL_DISK, True),
        (120.0, Kind.KILL, True),
        (150.0, Kind.FULL_DISK, False),
    ]


BLAMED = [
    (99.9, Kind.NONE),
    (100.0, Kind.FULL_DISK),
    (119.9, Kind.FULL_DISK),
    (120.0, Kind.KILL),
    (120.0 + AFTERMATH_SECONDS - 0.1, Kind.KILL),
    (120.0 + AFTERMATH_SECONDS, Kind.FULL_DISK),
    (150.0 + AFTERMATH_SECONDS - 0.1, Kind.FULL_DISK),
    (150.0 + AFTERMATH_SECONDS, Kind.NONE),
]


@pytest.mark.parametrize(("at_seconds", "kind"), BLAMED)
def test_a_failure_is_blamed_on_the_latest_fault_or_its_aftermath(
    at_seconds: float, kind: Kind
) -> None:
    faults = [Fault(Kind.FULL_DISK, 100.0, 50.0), Fault(Kind.KILL, 120.0)]
    assert blame(faults, at_seconds) is kind

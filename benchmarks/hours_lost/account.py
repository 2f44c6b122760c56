"""The account of a week: hours held back for each fault, and the backlog over time.

Pure. Hours are virtual. A call is held back from the beginning of a try that failed to the moment
at which the next may begin; that is also how long everything behind it waits because of it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from benchmarks.hours_lost.faults import Fault, Kind
from benchmarks.hours_lost.sending import Failure, Fate
from benchmarks.hours_lost.week import HOUR_SECONDS, Event

POINT_SECONDS = HOUR_SECONDS / 4
"""How far apart the points of a backlog's curve are: a quarter of an hour."""


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """What faults of one kind cost in a week."""

    fault: Kind
    times: int
    """How often it fell or began."""
    lasted_hours: float
    """How long it lasted, all times together; 0 for blows."""
    held_hours: float
    """How long Customer.io was held back."""
    hour_waits: int
    """Waits of an hour, those below included."""
    hour_waits_by_kill: int
    """Those of calls that a kill cut off."""
    hour_waits_chosen: int
    """Those that the server earned itself: by an answer, or by a connection that it refused."""
    reasons: dict[str, int]
    """How often calls failed for which reason."""


class Backlog(NamedTuple):
    """How many events Customer.io held, being sent or waiting."""

    most: int
    curve: list[int]
    """The most in each `POINT_SECONDS` of the week, from its beginning to the last event's end."""


def losses(faults: Sequence[Fault], failures: Iterable[Failure]) -> list[Loss]:
    """Add up what each kind of fault cost; a kind that nothing was blamed on costs nothing."""
    by_kind: dict[Kind, list[Failure]] = {fault.kind: [] for fault in faults}
    for failure in failures:
        by_kind.setdefault(failure.kind, []).append(failure)
    return [
        _loss(kind, [fault for fault in faults if fault.kind is kind], blamed)
        for kind, blamed in by_kind.items()
    ]


def _loss(kind: Kind, faults: Sequence[Fault], blamed: Sequence[Failure]) -> Loss:
    return Loss(
        fault=kind,
        times=len(faults),
        lasted_hours=_hours(sum(fault.lasts_seconds for fault in faults)),
        held_hours=held_hours(blamed),
        hour_waits=sum(failure.earns_hour for failure in blamed),
        hour_waits_by_kill=sum(one.earns_hour and one.is_cut_by_kill for one in blamed),
        hour_waits_chosen=sum(failure.is_chosen for failure in blamed),
        reasons=dict(Counter(failure.reason for failure in blamed).most_common()),
    )


def held_hours(failures: Iterable[Failure]) -> float:
    """Return for how many hours Customer.io was held back."""
    return _hours(sum(one.until_seconds - one.at_seconds for one in failures))


def backlog(events: Sequence[Event], fates: Sequence[Fate]) -> Backlog:
    """Follow the backlog; both are in the order in which the events arose."""
    changes = heapq.merge(
        ((event.at_seconds, 1) for event in events),
        ((fate.at_seconds, -1) for fate in fates),
        key=lambda change: (change[0], -change[1]),
    )
    held = 0
    curve: list[int] = []
    for at_seconds, change in changes:
        missing = int(at_seconds / POINT_SECONDS) + 1 - len(curve)
        curve += [held] * missing  # nothing changed there, or not yet
        held += change
        curve[-1] = max(curve[-1], held)
    return Backlog(max(curve, default=0), curve)


def longest_wait_hours(events: Sequence[Event], fates: Sequence[Fate]) -> float:
    """Return how long the event waited that waited longest, from when it arose to its end."""
    return _hours(
        max(
            (fate.at_seconds - event.at_seconds for event, fate in zip(events, fates, strict=True)),
            default=0.0,
        )
    )


def _hours(seconds: float) -> float:
    return round(seconds / HOUR_SECONDS, 3)

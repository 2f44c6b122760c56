"""The week's faults: what goes wrong when, for how long, and whom a failed call is to blame on.

Pure. A fault is a state that lasts, such as a full disk, or a blow, such as a kill, which is over
when it has fallen. They lie so far apart that a server that loses hours by one is through with it
before the next, as far as a week allows.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from benchmarks.hours_lost.week import (
    BURST_AT_SECONDS,
    CAMPAIGN_HOUR,
    DAY_SECONDS,
    HOUR_SECONDS,
    POISON_AT_SECONDS,
)

AFTERMATH_SECONDS = 60.0
"""So long after a blow, or the end of a state, a failed call is still its doing."""
JITTER_SECONDS = 600.0
"""How far the seed may move what does not have to meet a campaign."""
INTO_CAMPAIGN_SECONDS = 5.0
"""Where a fault meets a campaign: calls come many a second by then."""
BURST_SECONDS = 600.0
MINUTE_SECONDS = 60.0


class Kind(StrEnum):
    """What can go wrong."""

    DEPLOY = "deploy"
    KILL = "kill between calls"
    KILL_IN_CALL = "kill within a call"
    SLOW_DISK = "slow disk"
    FULL_DISK = "full disk"
    BURST = "burst"
    ROTATED_KEY = "rotated key"
    POISON = "poison event"
    DEAD_DESTINATION = "dead destination"
    NONE = "no fault at all"


DISK_KINDS = frozenset({Kind.SLOW_DISK, Kind.FULL_DISK})
"""These need a disk that can be made to fail."""


class Fault(NamedTuple):
    """One thing that goes wrong."""

    kind: Kind
    at_seconds: float
    lasts_seconds: float = 0.0
    """0: a blow."""

    @property
    def ends_seconds(self) -> float:
        """When it is over; its aftermath is not."""
        return self.at_seconds + self.lasts_seconds


class Edge(NamedTuple):
    """A moment at which something has to be done: a blow, or a state's beginning or end."""

    at_seconds: float
    kind: Kind
    begins: bool


def schedule(*, full: bool, seed: int) -> list[Fault]:
    """Say what goes wrong in a week; a full one has more blows and a longer bad spell of the disk.

    The faults are the same for every server, in the order in which they begin.
    """
    chance = random.Random(f"faults {seed}")  # noqa: S311 - a seed repeats a week

    def at(day: int, hour: float) -> float:
        return day * DAY_SECONDS + hour * HOUR_SECONDS + chance.uniform(0.0, JITTER_SECONDS)

    def in_campaign(day: int) -> float:
        return day * DAY_SECONDS + CAMPAIGN_HOUR * HOUR_SECONDS + INTO_CAMPAIGN_SECONDS

    faults = [
        Fault(Kind.DEPLOY, in_campaign(0)),
        Fault(Kind.KILL_IN_CALL, at(1, 12)),
        Fault(Kind.FULL_DISK, at(1, 17), 40 * MINUTE_SECONDS),
        Fault(Kind.KILL, in_campaign(2)),
        Fault(Kind.BURST, BURST_AT_SECONDS, BURST_SECONDS),
        Fault(Kind.SLOW_DISK, in_campaign(3), 30.0 if full else 4.0),
        Fault(Kind.ROTATED_KEY, at(3, 14), 4 * HOUR_SECONDS),
        Fault(Kind.POISON, POISON_AT_SECONDS, BURST_SECONDS),
        Fault(Kind.DEAD_DESTINATION, at(5, 12), 6 * HOUR_SECONDS),
    ]
    if full:
        faults += [
            Fault(Kind.DEPLOY, at(0, 15)),
            Fault(Kind.KILL, in_campaign(1)),
            Fault(Kind.DEPLOY, at(2, 15)),
            Fault(Kind.DEPLOY, at(6, 9)),
            Fault(Kind.KILL_IN_CALL, at(6, 14)),
        ]
    return sorted(faults, key=lambda fault: fault.at_seconds)


def edges(faults: Iterable[Fault]) -> list[Edge]:
    """Return the moments at which something has to be done, in order."""
    found = [Edge(fault.at_seconds, fault.kind, begins=True) for fault in faults]
    found += [
        Edge(fault.ends_seconds, fault.kind, begins=False)
        for fault in faults
        if fault.lasts_seconds
    ]
    return sorted(found)


def blame(faults: Sequence[Fault], at_seconds: float) -> Kind:
    """Return the fault to blame for a call that began then and failed; the latest if several."""
    blamed = Kind.NONE
    for fault in faults:
        if fault.at_seconds <= at_seconds < fault.ends_seconds + AFTERMATH_SECONDS:
            blamed = fault.kind
    return blamed

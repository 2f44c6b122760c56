"""The week's events: when each arises at Customer.io, and what it says.

Pure, and a function of its arguments: the seed repeats a week. Most events come by day, a part in
the campaigns of the working days, a part all at once, and a few are poison: signed by Customer.io,
and nothing that a receiver expects.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import msgspec

from streamer.core.samples import sample_event, sample_names

HOUR_SECONDS = 3600.0
DAY_SECONDS = 24 * HOUR_SECONDS
WEEK_SECONDS = 7 * DAY_SECONDS

CAMPAIGN_HOUR = 10
"""Of each working day; most of what a campaign brings comes within minutes."""
CAMPAIGN_SECONDS_MEAN = 60.0
BURST_AT_SECONDS = 2 * DAY_SECONDS + 20 * HOUR_SECONDS
POISON_AT_SECONDS = 4 * DAY_SECONDS + 9.5 * HOUR_SECONDS
"""Before a campaign: who stops for it holds up more than a quiet evening."""
POISON_APART_SECONDS = 60.0

BURST_SHARE = 0.05
CAMPAIGN_SHARE = 0.35

STARTS_AT = 1_750_000_000
"""The week's Monday by the clock of the events, Unix time; the servers live by their own."""

_WORKING_DAYS = 5
_WEIGHT_OF_DAYS = (2, 2, 2, 2, 2, 1, 1)
_WEIGHT_OF_HOURS = (1,) * 7 + (3,) * 3 + (6,) * 8 + (4,) * 4 + (2,) * 2


class Event(NamedTuple):
    """One call that Customer.io has to make."""

    number: int
    at_seconds: float
    """When it arises, on the virtual clock."""
    body: bytes
    is_poison: bool = False


def plan(count: int, *, seed: int) -> list[Event]:
    """Plan a week of ``count`` events and a handful of poison, in the order in which they arise."""
    chance = random.Random(seed)  # noqa: S311 - a seed repeats a week
    burst, campaigns = int(count * BURST_SHARE), int(count * CAMPAIGN_SHARE)
    moments = [BURST_AT_SECONDS] * burst
    moments += [_in_campaign(chance, number) for number in range(campaigns)]
    moments += [_by_day(chance) for _ in range(count - burst - campaigns)]
    events = [(at, _body(chance, number, at), False) for number, at in enumerate(sorted(moments))]
    events += [
        (POISON_AT_SECONDS + number * POISON_APART_SECONDS, body, True)
        for number, body in enumerate(poison(like=events[0][1]))
    ]
    events.sort(key=lambda event: event[0])
    return [Event(number, *event) for number, event in enumerate(events)]


def poison(*, like: bytes) -> list[bytes]:
    """Make what no receiver expects; the last has the event id of ``like`` and another body."""
    other = msgspec.json.decode(like)
    other["data"]["subject"] = "another one"
    return [
        b'{"event_id":"cut-in-the-midd',
        b'{"event_id":"not-utf-8","object_type":"email","metric":"sent","data":{"subject":"\xff"}}',
        b'{"event_id":{"an":"object"},"object_type":7,"metric":["sent"],"timestamp":"soon"}',
        msgspec.json.encode(other),
    ]


def _in_campaign(chance: random.Random, number: int) -> float:
    begins = (number % _WORKING_DAYS) * DAY_SECONDS + CAMPAIGN_HOUR * HOUR_SECONDS
    return begins + chance.expovariate(1 / CAMPAIGN_SECONDS_MEAN)


def _by_day(chance: random.Random) -> float:
    [day] = chance.choices(range(7), _WEIGHT_OF_DAYS)
    [hour] = chance.choices(range(24), _WEIGHT_OF_HOURS)
    return day * DAY_SECONDS + (hour + chance.random()) * HOUR_SECONDS


def _body(chance: random.Random, number: int, at_seconds: float) -> bytes:
    name = chance.choice(sample_names())
    event = sample_event(name, number=number, at_seconds=STARTS_AT + int(at_seconds))
    return msgspec.json.encode(event)

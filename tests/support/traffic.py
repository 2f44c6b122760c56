"""What a Customer.io workspace might send: catalogue events, repeats, news, and garbage.

A plan is a function of its arguments alone, so a seed repeats a run.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import msgspec

from streamer.core import samples

AT_SECONDS = 1_750_000_000
"""When all made-up events happened."""

REPEATS_SHARE = 0.05
UNKNOWN_SHARE = 0.02
GARBAGE_SHARE = 0.01
REPEATS_REACH = 1_000
"""How many calls back a repeat may lie."""


class Call(NamedTuple):
    """One webhook call."""

    number: int
    kind: str
    """``new``, ``repeat``, ``unknown`` or ``garbage``."""
    event_id: str | None
    """None for garbage."""
    body: bytes


def plan(calls: int, *, seed: int) -> list[Call]:
    """Plan a number of calls."""
    chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
    planned: list[Call] = []
    for number in range(calls):
        luck = chance.random()
        if luck < GARBAGE_SHARE:
            planned.append(Call(number, "garbage", None, _garbage(chance, number)))
        elif luck < GARBAGE_SHARE + REPEATS_SHARE and number:
            earlier = planned[chance.randrange(max(0, number - REPEATS_REACH), number)]
            planned.append(Call(number, "repeat", earlier.event_id, earlier.body))
        else:
            unknown = luck < GARBAGE_SHARE + REPEATS_SHARE + UNKNOWN_SHARE
            planned.append(_event(chance, number, unknown=unknown))
    return planned


def _event(chance: random.Random, number: int, *, unknown: bool) -> Call:
    name = chance.choice(samples.sample_names())
    event = samples.sample_event(
        name, number=number, at_seconds=AT_SECONDS, with_content=chance.random() < 0.2
    )
    if unknown:
        event["object_type"] = chance.choice(["telepathy", "pigeon", None, 7])
        event["metric"] = chance.choice(["foreseen", "", ["sent"]])
    kind = "unknown" if unknown else "new"
    return Call(number, kind, str(event["event_id"]), msgspec.json.encode(event))


def _garbage(chance: random.Random, number: int) -> bytes:
    """Make bytes that are no event, each different from all others."""
    return chance.choice(
        [
            b'{"event_id": "cut-%d", "object_type": "em' % number,
            b"[%d]" % number,
            b'{"metric": "sent", "number": %d}' % number,
            b'{"event_id": "\xff\xfe%d"}' % number,
            b"hello %d" % number,
            b"[" * 2_000 + b"%d" % number,
        ]
    )

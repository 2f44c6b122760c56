"""What it costs to make an XDM entity of an event, beside merely reading the event.

Every known type in all its variants is mapped, one after the other, so no type
counts more than another. Mapping takes a body and gives the bytes of the
entity; reading takes the same body and gives the type's own structure, with
each of its fields as what it is. The ratio of the two is the price of the mapping.
"""

from __future__ import annotations

import argparse
import cProfile
import functools
import pstats
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from benchmarks.harness import report
from benchmarks.harness.report import Figure, Measured
from streamer.core import catalogue
from streamer.core.catalogue.types import struct_of, type_of
from streamer.core.customerio import Decoded, decode
from streamer.core.event import StoredEvent
from streamer.core.samples import sample_body, sample_names
from streamer.core.xdm.mapper import Mapped, Mapper
from streamer.core.xdm.settings import MappingSettings

QUESTION = "What does it cost to make an XDM entity of an event?"
AT_SECONDS = 1_750_000_000
RECEIVED_AT = AT_SECONDS * 1000 + 1_250

Call = Callable[[], object]


def stored(body: bytes) -> StoredEvent:
    """Return the event that ingest makes of a body."""
    decoded = decode(body)
    if not isinstance(decoded, Decoded):
        raise TypeError(decoded.detail)
    event = decoded.event("customerio", received_at=RECEIVED_AT, body=body)
    return StoredEvent(1, *msgspec.structs.astuple(event))


def samples() -> Iterator[tuple[str, StoredEvent, bytes]]:
    """Yield every known type in all its variants, with content and without."""
    for name in sample_names():
        for variant in catalogue.variants(*name.split(".")):
            for with_content in (False, True):
                body = sample_body(
                    name,
                    number=1,
                    at_seconds=AT_SECONDS,
                    variant=variant,
                    with_content=with_content,
                )
                yield name, stored(body), body


def reading_of(body: bytes) -> Call:
    """Return the call that reads a body into the catalogue's structure of its type."""
    document = msgspec.json.decode(body)
    event_type = type_of(document["object_type"], document["metric"], document["data"])
    if event_type is None:
        raise TypeError("a sample has a type that the catalogue does not know")
    return functools.partial(msgspec.json.Decoder(struct_of(event_type)).decode, body)


def per_call(calls: Sequence[Call], rounds: int) -> float:
    """Return the µs of processor time of one call, at best: whatever else ran only adds to it."""
    found = []
    for _ in range(rounds):
        begun = time.process_time_ns()
        for call in calls:
            call()
        found.append(time.process_time_ns() - begun)
    return min(found) / 1000 / len(calls)


def measure(options: argparse.Namespace) -> Measured:
    """Map and read every sample, all of them and type by type."""
    if options.profile:
        profile()
        return Measured([])
    rounds = options.rounds or (20 if options.full else 5)
    mapper = Mapper(MappingSettings(tenant="acme", journey_optimizer=options.journey_optimizer))
    mapping: dict[str, list[Call]] = {}
    reading: list[Call] = []
    for name, event, body in samples():
        if not isinstance(mapper.map(event, body), Mapped):
            raise TypeError(f"{name} cannot be mapped")
        mapping.setdefault(name, []).append(functools.partial(mapper.map, event, body))
        reading.append(reading_of(body))
    types = {name: per_call(calls, rounds) for name, calls in mapping.items()}
    whole = per_call([call for calls in mapping.values() for call in calls], rounds)
    figures = figures_of(whole, per_call(reading, rounds), types)
    costs: dict[str, object] = {name: round(cost, 2) for name, cost in types.items()}
    return Measured(figures, {"events": len(reading), "types_microseconds": costs})


def figures_of(mapping: float, reading: float, types: dict[str, float]) -> list[Figure]:
    """Compare the two, and name the type that costs most."""
    worst = max(types, key=lambda name: types[name])
    return [
        Figure(name="mapping an event, encoding included", value=mapping, unit="µs"),
        Figure(name="reading it into the structure of its type", value=reading, unit="µs"),
        Figure(name="mapping, against reading", value=mapping / reading, unit="x"),
        Figure(name="mapping the type that costs most", value=types[worst], unit="µs", note=worst),
    ]


def profile() -> None:
    """Print where the time of mapping goes."""
    mapper = Mapper(MappingSettings(tenant="acme"))
    every = list(samples())
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(10):
        for _, event, body in every:
            mapper.map(event, body)
    profiler.disable()
    pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(25)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this script may be told."""
    parser.add_argument("--rounds", type=int, help="the best of so many counts")
    parser.add_argument("--journey-optimizer", action="store_true", help="with its field groups")
    parser.add_argument(
        "--profile", action="store_true", help="print where the time goes, and measure nothing"
    )


if __name__ == "__main__":
    report.run("mapping", QUESTION, measure, arguments=add_arguments)

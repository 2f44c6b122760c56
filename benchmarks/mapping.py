"""What it costs to make an XDM entity of an event, beside merely reading the event.

Every known type in all its variants is mapped, one after the other, so no type
counts more than another. Mapping takes a body and gives the bytes of the
entity; reading takes the same body and gives the type's own structure, with
each of its fields as what it is. The ratio of the two is the price of the mapping.

Run: ``python benchmarks/mapping.py [--rounds 20] [--journey-optimizer] [--json] [--profile]``
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from streamer.core import catalogue
from streamer.core.customerio import Decoded, decode
from streamer.core.event import StoredEvent
from streamer.core.samples import sample_body, sample_names
from streamer.core.xdm.mapper import Mapped, Mapper
from streamer.core.xdm.settings import MappingSettings

AT_SECONDS = 1_750_000_000
RECEIVED_AT = AT_SECONDS * 1000 + 1_250

Text = str | None
Id = str | int | None


class Identifiers(msgspec.Struct, gc=False):
    """Whom an event is about."""

    id: Id = None
    email: Text = None
    cio_id: Text = None


class Device(msgspec.Struct, gc=False):
    """One device of a push message."""

    device_id: Text = None
    device_platform: Text = None
    failure_message: Text = None


class Data(msgspec.Struct, gc=False):
    """The fields of all types, since most are of several."""

    identifiers: Identifiers | None = None
    customer_id: Id = None
    delivery_id: Text = None
    campaign_id: Id = None
    broadcast_id: Id = None
    newsletter_id: Id = None
    content_id: Id = None
    transactional_message_id: Id = None
    action_id: Id = None
    parent_action_id: Id = None
    journey_id: Id = None
    trigger_id: Id = None
    trigger_event_id: Id = None
    recipient: Text = None
    recipients: list[Device] | None = None
    email_address: Text = None
    subject: Text = None
    href: Text = None
    link_id: Id = None
    tracked_response: Text = None
    failure_message: Text = None
    content: Text = None
    headers: dict[str, Any] | None = None
    proxied: bool | None = None
    prefetched: bool | None = None
    synthetic: bool | None = None
    machine: bool | None = None
    inbound_event_id: Text = None
    to: Text = None


class Webhook(msgspec.Struct, gc=False):
    """One event as a structure."""

    event_id: str
    metric: str
    timestamp: int
    data: Data
    object_type: str | None = None


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


def microseconds(call: Callable[[], object], rounds: int) -> float:
    """Return the processor time of one call, at best: whatever else ran only adds to it."""
    found = []
    for _ in range(rounds):
        begun = time.process_time_ns()
        call()
        found.append(time.process_time_ns() - begun)
    return min(found) / 1000


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Map and read every sample, all of them and type by type."""
    mapper = Mapper(MappingSettings(tenant="acme", journey_optimizer=options.journey_optimizer))
    every = list(samples())
    for name, event, body in every:
        if not isinstance(mapper.map(event, body), Mapped):
            raise TypeError(f"{name} cannot be mapped")
    by_type: dict[str, list[tuple[StoredEvent, bytes]]] = {}
    for name, event, body in every:
        by_type.setdefault(name, []).append((event, body))
    mapping = {
        name: microseconds(lambda: [mapper.map(*one) for one in of_type], options.rounds)  # noqa: B023 - called at once
        / len(of_type)
        for name, of_type in by_type.items()
    }
    reader = msgspec.json.Decoder(Webhook).decode
    reading = microseconds(lambda: [reader(body) for _, _, body in every], options.rounds)
    total = sum(cost * len(by_type[name]) for name, cost in mapping.items())
    worst = max(mapping, key=lambda name: mapping[name])
    return {
        "events": len(every),
        "mapping_microseconds": round(total / len(every), 2),
        "reading_microseconds": round(reading / len(every), 2),
        "ratio": round(total / reading, 1),
        "worst_type": worst,
        "worst_microseconds": round(mapping[worst], 2),
        "types": {name: round(cost, 2) for name, cost in mapping.items()},
    }


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


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="the best of so many counts")
    parser.add_argument("--journey-optimizer", action="store_true", help="with its field groups")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--profile", action="store_true", help="print where the time went")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = parse()
    if options.profile:
        profile()
    found = measure(options)
    if options.json:
        lines = [json.dumps(found)]
    else:
        lines = [
            f"mapping {found['mapping_microseconds']:7.1f} µs CPU per event, encoding included",
            f"reading {found['reading_microseconds']:7.1f} µs into a structure of its type",
            f"ratio   {found['ratio']:7.1f}",
            f"worst   {found['worst_microseconds']:7.1f} µs for {found['worst_type']}",
            f"events  {found['events']:7} of {len(found['types'])} types",
        ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

"""What lanes are worth: a destination that takes 50 ms for each event, drained by 1 lane and by 16.

One event goes in one request, so the time is nearly all the destination's. With one lane the drain
is to be hardly slower than a loop that makes the same requests and one commit behind each. With 16
lanes sixteen requests are under way at once, and the whole takes as long as the lane with the most
events: how many that are is for the hash of the persons to say. The receiver looks at each event
whether it comes after the person's last one.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import aiohttp
import uvloop

from benchmarks import outboxes
from benchmarks.harness import report
from benchmarks.harness.report import Figure, Measured
from benchmarks.harness.server import streamer
from benchmarks.outboxes import Drained
from benchmarks.receiver import Seen, receiver, seen_by
from streamer.core.cloudevents import BATCH_CONTENT_TYPE, CloudEvent, encode_batch, envelope_each
from streamer.core.privacy import Redactor
from streamer.core.selection import Selection
from streamer.store import outbox, sqlite

QUESTION = (
    "How near to what is possible does a slow destination keep us, with one lane and with 16?"
)
LANES = 16
REQUEST_MS = 50
ONE_LANE_RATIO_MIN = 0.95
LANES_RATIO_MIN = 0.9


class Size(NamedTuple):
    """How many events each part of the measurement has."""

    bare: int
    one_lane: int
    lanes: int


FULL = Size(bare=2_000, one_lane=10_000, lanes=10_000)
SMALL = Size(bare=80, one_lane=120, lanes=1_600)


class Run(NamedTuple):
    """One drain, and what the receiver says of it."""

    drained: Drained
    seen: Seen
    fullest: int
    """Events of the lane with the most."""

    @property
    def seconds_per_event(self) -> float:
        """What an event took in the fullest lane; the first is not counted, nor its time."""
        return self.drained.seconds / (self.fullest - 1)


def bare(directory: Path, database: Path, events: int) -> float:
    """Post events one by one, with a commit behind each; return the seconds that one took."""
    with receiver(directory, "order", delay_ms=REQUEST_MS) as there:
        return uvloop.run(_post(f"http://127.0.0.1:{there.port}/", directory, database, events))


async def _post(url: str, directory: Path, database: Path, count: int) -> float:
    bodies = _bodies(database, count)
    headers = {"Content-Type": BATCH_CONTENT_TYPE}
    with closing(sqlite.open_writer(directory / "cursor.db")) as cursor:
        cursor.execute("CREATE TABLE cursor (position INTEGER)")
        cursor.execute("INSERT INTO cursor VALUES (0)")
        async with aiohttp.ClientSession(headers=headers) as session:
            began_at = 0.0
            for number, body in enumerate(bodies):
                async with session.post(url, data=body) as answer:
                    await answer.read()
                cursor.execute("UPDATE cursor SET position = ?", (number,))
                began_at = began_at or time.perf_counter()
            return (time.perf_counter() - began_at) / (count - 1)


def _bodies(database: Path, count: int) -> list[bytes]:
    takes_all = Selection(include=(), exclude=())
    with closing(sqlite.open_reader(database)) as db:
        scan = outbox.read_after(db, 0, selection=takes_all, events_max=count, bytes_max=2**30)
    made = envelope_each(scan.events, Redactor(drop=(), hash=()))
    return [encode_batch([each]) for each in made if isinstance(each, CloudEvent)]


def drain(directory: Path, backlog: Path, *, lanes: int) -> Run:
    """Let a service drain a backlog by so many lanes."""
    with receiver(directory, "order", delay_ms=REQUEST_MS) as there:
        settings = f'kind = "http"\nurl = "http://127.0.0.1:{there.port}/"\n'
        settings += f"batch_events_max = 1\nlanes = {lanes}"
        database = outboxes.copy(backlog, directory / str(lanes), settings)
        with streamer(directory / str(lanes), outboxes.destination(settings)) as service:
            drained = outboxes.drain(service, database)
        return Run(drained, seen_by(there), _fullest(backlog, lanes))


def _fullest(database: Path, lanes: int) -> int:
    with closing(sqlite.open_reader(database)) as db:
        keys = db.execute("SELECT lane_key FROM outbox")
        return max(Counter(key % lanes for (key,) in keys).values())


def measure(options: argparse.Namespace) -> Measured:
    """Drain by one lane and by many, beside the bare loop."""
    size = FULL if options.full else SMALL
    directory = options.directory
    few = outboxes.build(directory / "few", size.one_lane)
    many = few if size.lanes == size.one_lane else outboxes.build(directory / "many", size.lanes)
    one = drain(directory, few, lanes=1)
    bare_seconds = bare(directory, few, min(size.bare, size.one_lane))
    by_many = drain(directory, many, lanes=LANES)
    details: dict[str, object] = {
        "sizes": size._asdict(),
        "events_of_the_fullest_lane": by_many.fullest,
        "bare_ms": round(bare_seconds * 1000, 3),
        "one_lane_ms": round(one.seconds_per_event * 1000, 3),
        "fullest_lane_ms": round(by_many.seconds_per_event * 1000, 3),
    }
    return Measured(figures(bare_seconds, one, by_many), details)


def figures(bare_seconds: float, one: Run, many: Run) -> list[Figure]:
    """Return what the three have shown."""
    return [
        Figure(
            name="one lane, against the bare loop with a commit",
            value=bare_seconds / one.seconds_per_event,
            unit="x",
            at_least=ONE_LANE_RATIO_MIN,
        ),
        Figure(
            name=f"{LANES} lanes, against what the fullest lane allows",
            value=bare_seconds / many.seconds_per_event,
            unit="x",
            at_least=LANES_RATIO_MIN,
            note=f"{many.fullest} of {many.seen.events} events are in one lane",
        ),
        Figure(
            name="events out of a person's order",
            value=one.seen.out_of_order + many.seen.out_of_order,
            unit="events",
            at_most=0,
        ),
        Figure(name="one lane", value=one.drained.per_second, unit="events/s"),
        Figure(name=f"{LANES} lanes", value=many.drained.per_second, unit="events/s"),
        Figure(name="the bare loop", value=1 / bare_seconds, unit="events/s"),
        Figure(
            name=f"{LANES} lanes: CPU of the service per event",
            value=many.drained.cpu_microseconds,
            unit="µs",
        ),
    ]


if __name__ == "__main__":
    report.run("lanes", QUESTION, measure)

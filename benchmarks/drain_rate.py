"""How fast a backlog is drained: to a file, over HTTP, and mapped to Adobe Experience Platform.

The real service drains a copy of the same backlog, and beside it runs what is the least that could
do the same work:

- *file*: a loop reads the same rows and writes the same bytes, which it finds ready, with a sync of
  the file and a commit behind each batch, as the drain has them.
- *HTTP*: a loop posts the same bodies, made before, on one connection of the same client.
- *aep*: the mapping alone, which makes the JSON of each entity, in CPU time.

The receivers are processes of the benchmark's own that do next to nothing. For Adobe that is not
the stand-in of the tests: it checks each message against its schema, and would be what is measured.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import aiohttp
import uvloop
from msgspec.structs import replace

from benchmarks import outboxes
from benchmarks.harness import report
from benchmarks.harness.pairs import interleaved, median_ratio
from benchmarks.harness.report import Figure, Measured
from benchmarks.harness.server import Server, streamer
from benchmarks.receiver import receiver, seen_by
from streamer.core.cloudevents import (
    BATCH_CONTENT_TYPE,
    CloudEvent,
    encode_batch,
    envelope_each,
)
from streamer.core.event import StoredEvent
from streamer.core.privacy import Redactor
from streamer.core.selection import Selection
from streamer.core.xdm.mapper import Mapped, Mapper
from streamer.core.xdm.settings import MappingSettings
from streamer.store import outbox, sqlite

QUESTION = "How fast is a backlog drained, beside the least that could do the same work?"
FILE_BATCH_EVENTS = 1_000
HTTP_BATCH_EVENTS = 100
BARE_EVENTS_MAX = 100_000
"""Of the loops whose rate does not depend on how long they run."""

TENANT = "acme"
_ROWS = """
SELECT position, source, event_id, object_type, metric, occurred_at, received_at, lane_key, body
FROM outbox WHERE position > ? ORDER BY position LIMIT ?
"""
_AEP = f"""kind = "aep"
ims_org_id = "ACME@AdobeOrg"
dataset_id = "5c8c3c555033b814b69f947f"
flow_id = "e5895dc9-b0c8-4431-bab7-bb0d2b4be5db"
schema_id = "https://ns.adobe.com/acme/schemas/events"
tenant = "{TENANT}"
inlet_url = "http://127.0.0.1:{{port}}/collection/inlet"
"""


class Rate(NamedTuple):
    """How one way to do the work has done."""

    per_second: float
    cpu_microseconds: float
    """Processor time per event."""


class Watch:
    """Adds up the time and the processor time of what is measured."""

    def __init__(self) -> None:
        self._seconds = self._cpu_seconds = 0.0

    @contextmanager
    def on(self) -> Iterator[None]:
        """Measure what is done inside."""
        began_at, cpu_before = time.perf_counter(), time.process_time()
        yield
        self._seconds += time.perf_counter() - began_at
        self._cpu_seconds += time.process_time() - cpu_before

    def rate(self, events: int) -> Rate:
        """Return what it comes to, per event."""
        return Rate(events / self._seconds, self._cpu_seconds / events * 1e6)


class Bench:
    """The backlog, and a fresh place for each case."""

    def __init__(self, directory: Path, events: int) -> None:
        self.directory = directory
        self.events = events
        self.database = outboxes.build(directory / "backlog", events)
        self._numbers = itertools.count()

    @contextmanager
    def place(self) -> Iterator[Path]:
        """Make an empty directory, and remove it with all that is in it."""
        directory = self.directory / str(next(self._numbers))
        directory.mkdir()
        try:
            yield directory
        finally:
            shutil.rmtree(directory)

    def drain(self, directory: Path, settings: str) -> Rate:
        """Let a service drain a copy of the backlog."""
        database = outboxes.copy(self.database, directory, settings)
        with streamer(directory, outboxes.destination(settings)) as service:
            drained = outboxes.drain(service, database)
        return Rate(drained.per_second, drained.cpu_microseconds)

    def batches(self, batch_events: int) -> Iterator[tuple[StoredEvent, ...]]:
        """Read as much of the backlog as a loop needs whose rate does not depend on the number."""
        takes_all = Selection(include=(), exclude=())
        with closing(sqlite.open_reader(self.database)) as db:
            for behind in range(0, min(BARE_EVENTS_MAX, self.events), batch_events):
                yield outbox.read_after(
                    db, behind, selection=takes_all, events_max=batch_events, bytes_max=2**30
                ).events


class FileCase:
    """Drains to files, and writes the same bytes bare."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._lines = bench.directory / "lines"

    def drain(self) -> Rate:
        """Let the service write segments; what the first time gave is kept for the bare loop."""
        with self._bench.place() as directory:
            archive = directory / "archive"
            settings = f'kind = "file"\ndirectory = "{archive}"\n'
            settings += f"batch_events_max = {FILE_BATCH_EVENTS}"
            found = self._bench.drain(directory, settings)
            self._keep(archive)
        return found

    def bare(self) -> Rate:
        """Read the same rows, write the same bytes, commit how far it is."""
        if not self._lines.exists():
            self.drain()
        sizes = _sizes_of_batches(self._lines)
        with (
            self._bench.place() as directory,
            closing(sqlite.open_reader(self._bench.database)) as rows,
            closing(sqlite.open_writer(directory / "cursor.db")) as cursor,
            self._lines.open("rb") as lines,
            (directory / "written").open("wb", buffering=0) as written,
        ):
            cursor.execute("CREATE TABLE cursor (position INTEGER)")
            cursor.execute("INSERT INTO cursor VALUES (0)")
            os.sync()
            watch, position = Watch(), 0
            with watch.on():
                for size in sizes:
                    some = rows.execute(_ROWS, (position, FILE_BATCH_EVENTS)).fetchall()
                    position = some[-1][0]
                    written.write(lines.read(size))
                    os.fdatasync(written.fileno())
                    cursor.execute("UPDATE cursor SET position = ?", (position,))
            return watch.rate(position)

    def _keep(self, archive: Path) -> None:
        if self._lines.exists():
            return
        with self._lines.open("wb") as lines:
            for segment in sorted(archive.glob("*.ndjson")):
                with segment.open("rb") as part:
                    shutil.copyfileobj(part, lines, 2**20)


def _sizes_of_batches(lines: Path) -> list[int]:
    """Return the bytes of each batch of lines."""
    with lines.open("rb") as read:
        sizes = map(len, read)
        return [sum(batch) for batch in iter(lambda: [*islice(sizes, FILE_BATCH_EVENTS)], [])]


class HttpCase:
    """Drains over HTTP, and posts the same bodies bare."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def drain(self) -> Rate:
        """Let the service post batches to a receiver that does next to nothing."""
        with self._bench.place() as directory, receiver(directory, "empty") as there:
            settings = f'kind = "http"\nurl = "http://127.0.0.1:{there.port}/events"\n'
            settings += f"batch_events_max = {HTTP_BATCH_EVENTS}"
            found = self._bench.drain(directory, settings)
            _require_all(there, self._bench.events)
        return found

    def bare(self) -> Rate:
        """Post the same bodies, which are made before, to the same kind of receiver."""
        with self._bench.place() as directory, receiver(directory, "empty") as there:
            return uvloop.run(self._post(f"http://127.0.0.1:{there.port}/events"))

    async def _post(self, url: str) -> Rate:
        headers = {"Content-Type": BATCH_CONTENT_TYPE}
        watch, posted = Watch(), 0
        async with aiohttp.ClientSession(headers=headers) as session:
            for batch in self._bench.batches(HTTP_BATCH_EVENTS):
                body = _body_of(batch)
                with watch.on():
                    async with session.post(url, data=io.BytesIO(body)) as answer:
                        await answer.read()
                posted += len(batch)
        return watch.rate(posted)


def _body_of(batch: Sequence[StoredEvent]) -> bytes:
    made = envelope_each(batch, Redactor(drop=(), hash=()))
    return encode_batch([each for each in made if isinstance(each, CloudEvent)])


class AepCase:
    """Drains to Adobe Experience Platform, and maps the same events bare."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def drain(self) -> Rate:
        """Let the service map events and post them to an inlet that checks nothing."""
        with self._bench.place() as directory, receiver(directory, "inlet") as there:
            found = self._bench.drain(directory, _AEP.format(port=there.port))
            _require_all(there, self._bench.events)
        return found

    def bare(self) -> Rate:
        """Map the same events, which includes the encoding."""
        mapper = Mapper(MappingSettings(tenant=TENANT))
        watch, mapped = Watch(), 0
        for batch in self._bench.batches(FILE_BATCH_EVENTS):
            with watch.on():
                made = [mapper.map(event, event.body) for event in batch]
            mapped += sum(isinstance(one, Mapped) for one in made)
        return watch.rate(mapped)


def _require_all(there: Server, events: int) -> None:
    """See that the receiver got each event once: a drain that skips or repeats proves nothing."""
    seen = seen_by(there)
    if seen.events != events:
        raise RuntimeError(f"{seen.events} of {events} events arrived")


class Sides(NamedTuple):
    """The rounds of one case."""

    drain: list[Rate]
    bare: list[Rate]

    def rate_ratio(self) -> float:
        """How many times as fast as the bare loop the drain is."""
        return median_ratio(*([rate.per_second for rate in side] for side in self))

    def cpu_ratio(self) -> float:
        """How many times its processor time the drain takes."""
        return median_ratio(*([rate.cpu_microseconds for rate in side] for side in self))


def _per_second(rates: Sequence[Rate]) -> float:
    return statistics.median(rate.per_second for rate in rates)


def either(first: Figure, second: Figure) -> list[Figure]:
    """Tell two figures of which one has to reach its bound: if it does, the other has none."""
    if first.verdict == "met":
        second = replace(second, at_least=None, at_most=None)
    elif second.verdict == "met":
        first = replace(first, at_least=None, at_most=None)
    return [first, second]


def file_figures(sides: Sides) -> list[Figure]:
    """Tell of the drain to files."""
    ratio = sides.rate_ratio()
    return [
        Figure(name="file: drain, against the bare loop", value=ratio, unit="x", at_least=0.5),
        Figure(name="file: events drained", value=_per_second(sides.drain), unit="events/s"),
        *_behind("file", sides, "the bare loop"),
    ]


def http_figures(sides: Sides) -> list[Figure]:
    """Tell of the drain over HTTP."""
    rate, ratio = _per_second(sides.drain), sides.rate_ratio()
    return [
        *either(
            Figure(name="HTTP: events drained", value=rate, unit="events/s", at_least=20_000),
            Figure(name="HTTP: drain, against the bare loop", value=ratio, unit="x", at_least=0.5),
        ),
        *_behind("HTTP", sides, "the bare loop"),
    ]


def aep_figures(sides: Sides) -> list[Figure]:
    """Tell of the drain to Adobe Experience Platform."""
    rate, ratio = _per_second(sides.drain), sides.cpu_ratio()
    return [
        *either(
            Figure(name="aep: events drained", value=rate, unit="events/s", at_least=10_000),
            Figure(name="aep: CPU, against mapping alone", value=ratio, unit="x", at_most=1.5),
        ),
        *_behind("aep", sides, "the mapping alone"),
    ]


def _behind(case: str, sides: Sides, bare: str) -> list[Figure]:
    """Tell what a ratio comes from."""
    ours, theirs = (
        statistics.median(rate.cpu_microseconds for rate in side)
        for side in (sides.drain, sides.bare)
    )
    return [
        Figure(name=f"{case}: {bare}", value=_per_second(sides.bare), unit="events/s"),
        Figure(name=f"{case}: CPU of the service per event", value=ours, unit="µs"),
        Figure(name=f"{case}: CPU of {bare} per event", value=theirs, unit="µs"),
    ]


class Case(Protocol):
    """One destination."""

    def drain(self) -> Rate:
        """Drain the backlog with the service."""
        ...

    def bare(self) -> Rate:
        """Do the least that could do the same work."""
        ...


CASES: dict[str, tuple[Callable[[Bench], Case], Callable[[Sides], list[Figure]]]] = {
    "file": (FileCase, file_figures),
    "http": (HttpCase, http_figures),
    "aep": (AepCase, aep_figures),
}


def measure(options: argparse.Namespace) -> Measured:
    """Drain the same backlog to each kind of destination, beside the bare loops."""
    events = options.events or (1_000_000 if options.full else 20_000)
    rounds = options.rounds or (1 if options.full else 3)
    bench = Bench(options.directory, events)
    figures: list[Figure] = []
    details: dict[str, object] = {"events": events, "rounds": rounds}
    for name in options.case or CASES:
        make, tell = CASES[name]
        case = make(bench)
        sides = Sides(*interleaved(rounds, case.drain, case.bare))
        figures += tell(sides)
        details[name] = {
            side: [rate._asdict() for rate in rates] for side, rates in sides._asdict().items()
        }
    return Measured(figures, details)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this script may be told."""
    parser.add_argument("--events", type=int, help="events of the backlog")
    parser.add_argument("--rounds", type=int, help="rounds of each drain and its bare loop")
    parser.add_argument("--case", choices=CASES, action="append", help="only this one")


if __name__ == "__main__":
    report.run("drain_rate", QUESTION, measure, arguments=add_arguments)

"""What a service costs that has nothing to do, once it has drained a backlog.

The backlog is written through the store's own functions, with events of every type, and a real
service drains it to files. How much memory that takes is looked at, and then what is left to do
when everything is delivered and surveyed: a small machine has better things to do than to be woken.
How a large backlog slows other things down is the question of `benchmarks.ten_million`.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.harness import report, server
from benchmarks.harness.report import Figure, Measured
from benchmarks.harness.server import Server
from streamer.app.prepare import make_data_directory, prepare_database
from streamer.clock import SystemClock
from streamer.config.load import load
from streamer.core import customerio, samples
from streamer.core.event import Event
from streamer.core.limits import SURVEY_SAVE_POSITIONS
from streamer.store import outbox, sqlite

QUESTION = "What does a service cost that has drained its backlog and has nothing to do?"
AT_SECONDS = 1_750_000_000
EVENTS_PER_TRANSACTION = 1_000
LOOK_SECONDS = 0.05
SURVEY_END_SECONDS = 2.0
"""The rest of the survey is written down later."""

MEMORY_MIB_MAX = 120
GROWTH_MIB_MAX = 16
IDLE_CPU_PERCENT_MAX = 2.0


def destination(directory: Path) -> str:
    """Write the configuration of the destination."""
    return f'[destinations.archive]\nkind = "file"\ndirectory = "{directory / "archive"}"\n'


def build(directory: Path, events: int) -> Path:
    """Fill an outbox with made-up events of every type; return the database."""
    file = server.write_config(directory, destination(directory))
    path = directory / "data" / "streamer.db"
    loaded = load(file, environ={}, working_directory=directory)
    make_data_directory(path.parent)
    prepare_database(loaded.config, now=SystemClock().now())
    with closing(sqlite.open_writer(path)) as db:
        for first in range(0, events, EVENTS_PER_TRANSACTION):
            numbers = range(first, min(first + EVENTS_PER_TRANSACTION, events))
            db.execute("BEGIN IMMEDIATE")
            outbox.append(db, [_event(number) for number in numbers], quarantine_bytes_max=0)
            db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return path


def _event(number: int) -> Event:
    names = samples.sample_names()
    body = samples.sample_body(names[number % len(names)], number=number, at_seconds=AT_SECONDS)
    decoded = customerio.decode(body)
    assert isinstance(decoded, customerio.Decoded)
    return Event(
        "customerio",
        decoded.event_id,
        decoded.object_type,
        decoded.metric,
        decoded.occurred_at,
        SystemClock().now(),
        decoded.lane_key,
        body,
    )


def value_of(path: Path, statement: str) -> int:
    """Look a number up in the database, as a person would; 0 if it is not there."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        row = db.execute(statement).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def memory_while_draining(running: Server, path: Path, events: int) -> Iterator[float]:
    """Yield the resident memory in MiB, now and then, until everything is settled."""
    while value_of(path, "SELECT min(position) FROM cursors") < events:
        yield running.resident_bytes() / 2**20
        time.sleep(LOOK_SECONDS)
    yield running.resident_bytes() / 2**20


def memory_figures(resident: list[float]) -> list[Figure]:
    """Return how much memory was held at most, and whether it grew towards the end."""
    quarter = max(1, len(resident) // 4)
    growth = max(resident[-quarter:]) - max(resident[:quarter])
    return [
        Figure(
            name="memory while draining, at most",
            value=max(resident),
            unit="MiB",
            at_most=MEMORY_MIB_MAX,
        ),
        Figure(
            name="memory, last quarter over the first",
            value=growth,
            unit="MiB",
            at_most=GROWTH_MIB_MAX,
        ),
    ]


def idle_figures(running: Server, path: Path, events: int, seconds: float) -> list[Figure]:
    """Wait until all is surveyed, and look at what is spent from then on."""
    surveyed = "SELECT value FROM facts WHERE name = 'surveyed_position'"
    while value_of(path, surveyed) <= events - SURVEY_SAVE_POSITIONS:
        time.sleep(LOOK_SECONDS)
    time.sleep(SURVEY_END_SECONDS)
    cpu, woken = running.cpu_seconds(), wake_ups(running)
    time.sleep(seconds)
    cpu, woken = running.cpu_seconds() - cpu, wake_ups(running) - woken
    return [
        Figure(
            name="idle CPU",
            value=100 * cpu / seconds,
            unit="% of a core",
            at_most=IDLE_CPU_PERCENT_MAX,
        ),
        Figure(name="idle wake-ups", value=woken / seconds, unit="a second"),
        Figure(name="idle memory", value=running.resident_bytes() / 2**20, unit="MiB"),
    ]


def wake_ups(running: Server) -> int:
    """Return how often the threads of a server have waited for something so far."""
    return sum(
        int(line.split()[1])
        for pid in running.pids()
        for status in Path(f"/proc/{pid}/task").glob("*/status")
        for line in status.read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches")
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this script may be told."""
    parser.add_argument("--events", type=int, help="events of the backlog")
    parser.add_argument("--idle-seconds", type=float, help="how long to look at idleness")


def measure(options: argparse.Namespace) -> Measured:
    """Drain a backlog and then do nothing."""
    events = options.events or (100_000 if options.full else 10_000)
    idle_seconds = options.idle_seconds or (60.0 if options.full else 5.0)
    path = build(options.directory, events)
    with server.streamer(options.directory, destination(options.directory)) as running:
        resident = list(memory_while_draining(running, path, events))
        idle = idle_figures(running, path, events, idle_seconds)
    seen = [round(one, 1) for one in resident]
    details: dict[str, object] = {"events": events, "resident_mib": seen}
    return Measured([*memory_figures(resident), *idle], details)


if __name__ == "__main__":
    report.run("backlog", QUESTION, measure, arguments=add_arguments)

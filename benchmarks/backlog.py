"""What a backlog costs: ``status``, the start of the service, and memory while it drains to files.

The backlog is written through the store's own functions, then a real service is started on it.
The targets are meant for a quiet machine. By hand: ``python -m benchmarks.backlog --help``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.installed import compile_package
from streamer.app.prepare import make_data_directory, prepare_database
from streamer.clock import SystemClock
from streamer.config.load import load
from streamer.core import customerio, samples
from streamer.core.event import Event
from streamer.core.limits import SURVEY_SAVE_POSITIONS
from streamer.store import outbox, sqlite
from tests.support.processes import Installation, Process

AT_SECONDS = 1_750_000_000
EVENTS_PER_TRANSACTION = 1_000
LOOK_SECONDS = 0.05
STATUS_RUNS = 5


class Figure(NamedTuple):
    """One measurement, and what is hoped for."""

    name: str
    value: float | None
    """None when it could not be measured."""
    unit: str
    target: float | None = None
    """The value is to stay below it."""

    @property
    def verdict(self) -> str:
        """Say whether the target is met."""
        if self.value is None:
            return "not measured"
        if self.target is None:
            return ""
        return "met" if self.value < self.target else "MISSED"


def build(installation: Installation, events: int) -> Figure:
    """Fill the outbox with made-up events of every type."""
    loaded = load(installation.config_file, environ={}, working_directory=installation.directory)
    make_data_directory(installation.data_dir)
    prepare_database(loaded.config, now=SystemClock().now())
    began = time.perf_counter()
    db = sqlite.open_writer(installation.database)
    try:
        for first in range(0, events, EVENTS_PER_TRANSACTION):
            numbers = range(first, min(first + EVENTS_PER_TRANSACTION, events))
            db.execute("BEGIN IMMEDIATE")
            outbox.append(db, [_event(number) for number in numbers], quarantine_bytes_max=0)
            db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        db.close()
    return Figure("building the backlog", time.perf_counter() - began, "s")


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


def measure_status(installation: Installation, name: str) -> Figure:
    """Time ``streamer status --json`` as a whole process, the median of some runs."""
    times = []
    for _ in range(STATUS_RUNS):
        began = time.perf_counter()
        done = installation.command("status", "--json")
        times.append(time.perf_counter() - began)
        if done.returncode:
            return Figure(name, None, "s", 0.3)
    return Figure(name, statistics.median(times), "s", 0.3)


def measure_start(installation: Installation, name: str) -> tuple[Figure, Process]:
    """Time from the start of the process to its first answer."""
    began = time.perf_counter()
    process = installation.start()
    process.wait_ready()
    return Figure(name, time.perf_counter() - began, "s", 1.0), process


class _Memory(NamedTuple):
    at_seconds: float
    events: int
    resident_bytes: int


def watch_drain(installation: Installation, process: Process, events: int) -> list[Figure]:
    """Look at memory and progress until everything is settled."""
    looks: list[_Memory] = []
    began = time.perf_counter()
    while not looks or looks[-1].events < events:
        cursor = installation.value("SELECT min(position) FROM cursors") or 0
        looks.append(_Memory(time.perf_counter() - began, cursor, _resident_bytes(process.pid)))
        time.sleep(LOOK_SECONDS)
    resident = [look.resident_bytes for look in looks]
    quarter = max(1, len(resident) // 4)
    growth = max(resident[-quarter:]) - max(resident[:quarter])
    return [
        Figure("draining to a file", events / looks[-1].at_seconds, "events/s"),
        Figure("memory at most", max(resident) / 2**20, "MiB", 200),
        Figure("memory, last quarter over the first", growth / 2**20, "MiB", 16),
    ]


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure_idle(
    installation: Installation, process: Process, seconds: float, *, events: int
) -> list[Figure]:
    """Look at what a service costs that has nothing to do.

    It looks through a backlog for drift for a while after all is delivered.
    """
    surveyed = "SELECT value FROM facts WHERE name = 'surveyed_position'"
    while (installation.value(surveyed) or 0) <= events - SURVEY_SAVE_POSITIONS:
        time.sleep(LOOK_SECONDS)
    time.sleep(2)  # the rest of the survey, which is written down later
    before = _spent(process.pid)
    time.sleep(seconds)
    after = _spent(process.pid)
    return [
        Figure("idle CPU", 100 * (after[0] - before[0]) / seconds, "% of a core", 2),
        Figure("idle wake-ups", (after[1] - before[1]) / seconds, "per second"),
    ]


def _spent(pid: int) -> tuple[float, int]:
    """Return CPU seconds and voluntary context switches of all threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    switches = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                switches += int(line.split()[1])
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), switches


def run(directory: Path, *, events: int, idle_seconds: float) -> list[Figure]:
    """Measure everything once."""
    with Installation(directory) as installation:
        installation.configure(installation.file_destination())
        figures = [build(installation, events)]
        size = installation.database.stat().st_size / 2**20
        figures.append(Figure("database", size, "MiB"))
        figures.append(measure_status(installation, "status, stopped, whole backlog"))
        start, process = measure_start(installation, "start to ready, whole backlog")
        figures += [start, *watch_drain(installation, process, events)]
        figures.append(measure_status(installation, "status, running, all drained"))
        figures += measure_idle(installation, process, idle_seconds, events=events)
        process.stop()
        start, process = measure_start(installation, "start to ready, all drained")
        figures.append(start)
        process.stop()
    return figures


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="Measure what a backlog costs.")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--idle-seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    chosen = parser.parse_args()
    compile_package()
    with tempfile.TemporaryDirectory() as directory:
        figures = run(Path(directory), events=chosen.events, idle_seconds=chosen.idle_seconds)
    if chosen.json:
        rows = [{**figure._asdict(), "verdict": figure.verdict} for figure in figures]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    for figure in figures:
        value = "-" if figure.value is None else f"{figure.value:,.3f}"
        target = "" if figure.target is None else f"below {figure.target:g}"
        sys.stdout.write(
            f"{figure.name:<38}{value:>14} {figure.unit:<12}{target:<12}{figure.verdict}\n"
        )


if __name__ == "__main__":
    main()

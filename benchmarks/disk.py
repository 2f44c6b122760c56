"""How many bytes on disk an event takes, with everything that is kept of it.

A backlog with bodies of one size is drained by a real service to files and over HTTP, so that
cursors and ledger are there as they are in use. Then half of it grows old, and the service prunes
it and gives the room back.
"""

from __future__ import annotations

import argparse
import sqlite3 as standard_sqlite
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from benchmarks import filling
from benchmarks.filling import BODY_BYTES, Backlog
from benchmarks.harness import report
from benchmarks.harness.receiver import receiver
from benchmarks.harness.report import Figure, Measured
from benchmarks.harness.server import streamer
from streamer.store import cursors, outbox, sqlite

QUESTION = "How many bytes on disk does a byte of a body take?"

EVENTS_SMALL = 50_000
EVENTS_FULL = 1_000_000
OTHER_BODY_BYTES = (550, 600, 800, 1_200, 2_000)
OTHER_SHARE = 10
"""Other sizes are measured with this part of the events."""
GONE_BEFORE = 10_000_000
"""Events that have come and gone before: positions take more room the higher they are."""
LOOK_SECONDS = 0.2
WAIT_SECONDS_MAX = 1_800.0
BYTES_PER_BODY_BYTE_MAX = 1.5
LEFT_OF_FILE_MAX = 0.55


def measure(options: argparse.Namespace) -> Measured:
    """Measure both kinds of id, other sizes, and what pruning leaves."""
    events = EVENTS_FULL if options.full else EVENTS_SMALL
    ordered, random = options.directory / "ulid", options.directory / "random"
    figures = []
    details: dict[str, object] = {"events": events, "body bytes": BODY_BYTES}
    for directory, backlog, name in (
        (
            ordered,
            Backlog(events, "ulid", old_events=events // 2, gone_before=GONE_BEFORE),
            "",
        ),
        (random, Backlog(events, "random", gone_before=GONE_BEFORE), ", ids by chance"),
    ):
        used = drained_bytes(directory, backlog)
        details[f"bytes an event by table{name}"] = by_table(directory, events)
        figures.append(
            Figure(
                name=f"bytes on disk per byte of a body of {BODY_BYTES}{name}",
                value=used / (events * BODY_BYTES),
                unit="x",
                at_most=BYTES_PER_BODY_BYTE_MAX,
            )
        )
    details["bytes per body byte by size"] = other_sizes(options.directory, events // OTHER_SHARE)
    before, after = prune_half(ordered, events)
    details["file in bytes before and after pruning"] = [before, after]
    figures.append(
        Figure(
            name="the file after half of it was pruned",
            value=after / before,
            unit="x",
            at_most=LEFT_OF_FILE_MAX,
        )
    )
    return Measured(figures, details)


def other_sizes(directory: Path, events: int) -> dict[str, float]:
    """Return the same ratio for bodies of other sizes, drained or not."""
    found = {}
    for body_bytes in OTHER_BODY_BYTES:
        below = directory / str(body_bytes)
        filling.fill(below, Backlog(events, body_bytes=body_bytes, gone_before=GONE_BEFORE))
        found[str(body_bytes)] = file_bytes(below) / (events * body_bytes)
    return found


def drained_bytes(directory: Path, backlog: Backlog) -> int:
    """Fill a database and let it be drained to files and over HTTP; return its size."""
    with receiver() as server:
        config = to_files(directory) + to_http(server.port)
        filling.fill(directory, backlog, config)
        with streamer(directory, config):
            wait_until("draining", lambda: is_drained(directory))
    return file_bytes(directory)


def to_files(directory: Path) -> str:
    """Configure a destination that writes files."""
    return f'[destinations.archive]\nkind = "file"\ndirectory = "{directory / "archive"}"\n'


def to_http(port: int) -> str:
    """Configure one that posts batches."""
    return (
        f'[destinations.hook]\nkind = "http"\nurl = "http://127.0.0.1:{port}/"\n'
        "batch_events_max = 100\n"
    )


def wait_until(what: str, is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} took too long")
        time.sleep(LOOK_SECONDS)


def is_drained(directory: Path) -> bool:
    """Tell whether every cursor is at the end."""
    with closing(sqlite.open_reader(filling.database(directory))) as db:
        return cursors.settled_everywhere(db) == outbox.last_position(db)


def file_bytes(directory: Path) -> int:
    """Return the size of the database of a service that does not run: its log is empty."""
    return filling.database(directory).stat().st_size


def by_table(directory: Path, events: int) -> dict[str, float]:
    """Return bytes per event of what takes at least one, if Python's SQLite can tell."""
    uri = f"file:{filling.database(directory)}?mode=ro"
    with closing(standard_sqlite.connect(uri, uri=True)) as db, suppress(standard_sqlite.Error):
        rows = db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC")
        return {name: round(size / events, 1) for name, size in rows if size >= events}
    return {}


def prune_half(directory: Path, events: int) -> tuple[int, int]:
    """Let the older half be settled since long ago, and a service prune it; return both sizes."""
    before = file_bytes(directory)
    last = GONE_BEFORE + events // 2
    filling.settle_long_ago(directory, last)
    with streamer(directory, to_files(directory)):
        wait_until("pruning", lambda: filling.is_pruned(directory, last))
    return before, file_bytes(directory)


if __name__ == "__main__":
    report.run("disk", QUESTION, measure)

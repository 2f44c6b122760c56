"""Outboxes to be drained: made once, copied for each case, and watched while a service drains them.

The events are of every known type in turn, so that no type counts more than another, 20 of them in
a second of the past. They were looked through by the survey, as they are where events come in one
by one. A copy belongs to a service whose destination is paused, so that a measurement begins when
the service has long been up (see `drain`).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness.server import Server, write_config
from streamer.app.prepare import make_data_directory, prepare_database
from streamer.config.load import load
from streamer.core import customerio, samples
from streamer.core.event import Event
from streamer.store import destinations, drift, facts, outbox, sqlite

NAME = "there"
"""The destination of every case."""

EVENTS_PER_SECOND = 20
_EVENTS_PER_TRANSACTION = 1_000
_LOOK_SECONDS = 0.01
_START_SECONDS = 0.5
_STANDS_STILL_SECONDS_MAX = 60.0


def build(directory: Path, events: int) -> Path:
    """Fill a database with made-up events, in ``directory``, and return its path."""
    database = _prepare(directory, "")
    names = samples.sample_names()
    began_at = int(time.time()) - events // EVENTS_PER_SECOND - 1
    with closing(sqlite.open_writer(database)) as db:
        for first in range(0, events, _EVENTS_PER_TRANSACTION):
            numbers = range(first, min(first + _EVENTS_PER_TRANSACTION, events))
            made = [
                _event(names[number % len(names)], number, began_at + number // EVENTS_PER_SECOND)
                for number in numbers
            ]
            db.execute("BEGIN IMMEDIATE")
            outbox.append(db, made, quarantine_bytes_max=0)
            db.execute("COMMIT")
        facts.write(db, drift.POSITION, events)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return database


def _event(name: str, number: int, at_seconds: int) -> Event:
    body = samples.sample_body(name, number=number, at_seconds=at_seconds)
    decoded = customerio.decode(body)
    assert isinstance(decoded, customerio.Decoded)
    return decoded.event("customerio", received_at=at_seconds * 1000 + 1_250, body=body)


def copy(database: Path, directory: Path, settings: str) -> Path:
    """Copy a database for a service with one destination, which is paused; return its path.

    The copy is on the disk when this returns: writing it out is no part of what comes next.
    """
    data = directory / "data"
    data.mkdir(parents=True)
    shutil.copyfile(database, data / database.name)
    copied = _prepare(directory, destination(settings))
    _change(copied, lambda db: destinations.pause(db, NAME, now=_now()))
    os.sync()
    return copied


def destination(settings: str) -> str:
    """Write the table of the destination."""
    return f"[destinations.{NAME}]\n{settings}\n"


def _prepare(directory: Path, config_toml: str) -> Path:
    config_file = write_config(directory, config_toml)
    config = load(config_file, environ={}, working_directory=directory).config
    make_data_directory(config.database_path.parent)
    prepare_database(config, now=_now())
    return config.database_path


def _change(database: Path, work: Callable[[sqlite.Connection], None]) -> None:
    with closing(sqlite.open_writer(database)) as db:
        db.execute("BEGIN IMMEDIATE")
        work(db)
        db.execute("COMMIT")


def _now() -> int:
    return time.time_ns() // 1_000_000


class Drained(NamedTuple):
    """What it took to drain some events."""

    events: int
    seconds: float
    cpu_seconds: float
    """Of the service, all its threads."""

    @property
    def per_second(self) -> float:
        """Events in a second."""
        return self.events / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """Processor time per event, in µs."""
        return self.cpu_seconds / self.events * 1e6


def drain(service: Server, database: Path) -> Drained:
    """Let a service go that has stood still, and watch until it has settled all there is.

    What is counted begins with the first events that it settles.

    Raises:
        RuntimeError: nothing moves.
    """
    with closing(sqlite.open_reader(database)) as db:
        last = outbox.last_position(db)
        time.sleep(_START_SECONDS)
        _change(database, lambda db: destinations.resume(db, NAME, now=_now()))
        begin = _await_settled(db, 1)
        began_at, cpu_before = time.perf_counter(), service.cpu_seconds()
        _await_settled(db, last)
        seconds, cpu = time.perf_counter() - began_at, service.cpu_seconds() - cpu_before
    return Drained(last - begin, seconds, cpu)


def _await_settled(db: sqlite.Connection, count: int) -> int:
    """Wait until so many events are settled in all lanes; return how many are."""
    seen, moved_at = -1, time.monotonic()
    while True:
        settled = _settled(db)
        if settled >= count:
            return settled
        if settled != seen:
            seen, moved_at = settled, time.monotonic()
        if time.monotonic() - moved_at > _STANDS_STILL_SECONDS_MAX:
            raise RuntimeError(f"the drain stands still at {settled} of {count}")
        time.sleep(_LOOK_SECONDS)


def _settled(db: sqlite.Connection) -> int:
    row = db.execute("SELECT accepted FROM destinations WHERE name = ?", (NAME,)).fetchone()
    return int(row[0])

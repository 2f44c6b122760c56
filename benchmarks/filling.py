"""Databases with millions of events, made in minutes: through the schema, past the service.

What is made is what the service would have left behind: the same tables, counters, positions and
ids. An id is what Customer.io's are, a ULID: some seconds older than the receipt, the rest chance;
or it is chance altogether, as the ids of other senders and of earlier years are. The difference is
where the index of ids is touched, at its end or anywhere.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks.harness.load import make_body, signed_request
from benchmarks.harness.server import write_config
from streamer.app import prepare
from streamer.app.prepare import make_data_directory
from streamer.config.load import load
from streamer.core import customerio
from streamer.core.limits import DAY_SECONDS
from streamer.core.samples import PEOPLE
from streamer.store import drift, facts, migrate, outbox, prune, sqlite
from streamer.store.sqlite import Connection

Ids = Literal["ulid", "random"]

BODY_BYTES = 500
OLD_DAYS = 20
"""Longer than events are kept by default."""
PER_SECOND = 50
"""Events received in a second of the past that is made up."""

_INSERT = """
INSERT INTO outbox (lane_key, received_at, occurred_at, object_type, metric, source, event_id, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_ID_BYTES = 26
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_OLDER_MS_MAX = 2_000
_CACHE_KIB = 1_000_000


class Backlog(NamedTuple):
    """How many events there are to be, and of which kind."""

    events: int
    ids: Ids = "ulid"
    body_bytes: int = BODY_BYTES
    old_events: int = 0
    """So many of the oldest were received `OLD_DAYS` before the others."""
    gone_before: int = 0
    """So many positions were given before, to events that are not there any more."""


def database(directory: Path) -> Path:
    """Return where the database of an installation in a directory is."""
    return directory / "data" / "streamer.db"


def fill(directory: Path, backlog: Backlog, config_toml: str = "") -> None:
    """Make an installation whose outbox holds a backlog; its destinations are at the beginning.

    The survey has looked through all of it, as it has where events came in one by one.
    """
    declare(directory, config_toml)
    with changing(directory) as db:
        # Nothing of this is worth keeping before it is whole.
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        db.execute("BEGIN")
        db.execute("INSERT INTO sqlite_sequence VALUES ('outbox', ?)", (backlog.gone_before,))
        db.executemany(_INSERT, _rows(backlog))
        size = backlog.events * backlog.body_bytes
        outbox.add_totals(db, events=backlog.events, size=size)
        facts.write(db, drift.POSITION, backlog.gone_before + backlog.events)
        db.execute("COMMIT")
    with changing(directory):
        pass  # it is in WAL mode again


def declare(directory: Path, config_toml: str = "") -> None:
    """Make an installation's database, or tell it of another configuration, without starting it."""
    config_file = write_config(directory, config_toml)
    config = load(config_file, environ={}, working_directory=directory).config
    make_data_directory(config.database_path.parent)
    with changing(directory) as db:
        migrate.apply_all(db)
        db.execute("BEGIN")
        prepare.declare(db, config, now=now_ms())
        facts.ensure_instance(db)
        db.execute("COMMIT")


@contextmanager
def changing(directory: Path) -> Iterator[Connection]:
    """Open the database of a service that does not run, to change it."""
    with closing(sqlite.open_writer(database(directory))) as db:
        yield db


def settle_long_ago(directory: Path, position: int) -> None:
    """Note that all up to a position was settled `OLD_DAYS` ago, and what is behind only now."""
    then = now_ms() - OLD_DAYS * DAY_SECONDS * 1000
    with changing(directory) as db:
        prune.unmark_beyond(db, -1)
        db.execute("INSERT INTO settled_marks (position, at) VALUES (?, ?)", (position, then))
        prune.mark_settled(db, now=now_ms())


def is_pruned(directory: Path, position: int) -> bool:
    """Tell whether nothing is left up to a position, and its place in the file is given back."""
    with closing(sqlite.open_reader(database(directory))) as db:
        return outbox.first_position(db) == position + 1 and prune.spare_pages(db) == 0


def value(directory: Path, statement: str) -> int:
    """Ask the database for a number, whether or not its service runs; 0 for NULL and for no row."""
    with closing(sqlite.open_reader(database(directory))) as db:
        row = db.execute(statement).fetchone()
    return 0 if row is None else int(row[0] or 0)


def now_ms() -> int:
    """Return the time, in ms since 1970."""
    return time.time_ns() // 1_000_000


class Maker:
    """Makes events of some persons, each of them new, their bodies all of one size."""

    def __init__(self, ids: Ids, *, body_bytes: int = BODY_BYTES, seed: int = 0) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - made-up ids
        self._new_id = _ulid if ids == "ulid" else _random_id
        self._forms = [_form(number, body_bytes) for number in range(PEOPLE)]

    def row(self, number: int, received_at: int) -> tuple[object, ...]:
        """Make an event as a row of the outbox."""
        lane_key, object_type, metric, before, behind = self._forms[number % PEOPLE]
        event_id = self._new_id(received_at, self._chance)
        return (
            lane_key, received_at, received_at // 1000, object_type, metric, "customerio",
            event_id, f"{before}{event_id}{behind}",
        )  # fmt: skip

    def requests(self, count: int) -> list[bytes]:
        """Make whole requests of events that happen now."""
        now = now_ms()
        bodies = [str(self.row(number, now)[-1]).encode() for number in range(count)]
        return [signed_request(body, now // 1000) for body in bodies]


def _rows(backlog: Backlog) -> Iterator[tuple[object, ...]]:
    """Make the rows of the outbox, the last of them received about now."""
    maker = Maker(backlog.ids, body_bytes=backlog.body_bytes, seed=backlog.events)
    began_at = (int(time.time()) - backlog.events // PER_SECOND) * 1000
    old_ms = OLD_DAYS * DAY_SECONDS * 1000
    for number in range(backlog.events):
        received_at = began_at + number * 1000 // PER_SECOND
        if number < backlog.old_events:
            received_at -= old_ms
        yield maker.row(number, received_at)


def _form(number: int, body_bytes: int) -> tuple[int, str | None, str | None, str, str]:
    """Make one person's event: its columns, and its body on both sides of the id."""
    decoded = customerio.decode(body := make_body(number, int(time.time()), body_bytes))
    assert isinstance(decoded, customerio.Decoded)
    before, behind = body.decode().split(decoded.event_id)
    return decoded.lane_key, decoded.object_type, decoded.metric, before, behind


def _ulid(received_at: int, chance: random.Random) -> str:
    made_at = received_at - int(chance.random() * _OLDER_MS_MAX)
    moment = "".join([_CROCKFORD[made_at >> shift & 31] for shift in range(45, -1, -5)])
    return moment + chance.randbytes(8).hex().upper()  # hexadecimal digits are Crockford's too


def _random_id(_: int, chance: random.Random) -> str:
    return chance.randbytes(_ID_BYTES // 2).hex()

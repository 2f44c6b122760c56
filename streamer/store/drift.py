"""What came that the catalogue does not expect: found by looking through the outbox, and counted.

The outbox is looked through behind a stored position, apart from ingest, which
must not pay for it. Counts and position are written in one transaction, so a
crash counts nothing twice and misses nothing. Pruning waits for nobody here:
what is gone before it was looked at is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing

import msgspec

from streamer.core.catalogue.reading import Drift, find_drift
from streamer.core.limits import DRIFT_ROWS_MAX, SURVEY_BYTES_MAX, SURVEY_EVENTS_MAX
from streamer.store import facts, outbox
from streamer.store.sqlite import Connection

POSITION = "surveyed_position"
"""The fact that says up to where the outbox was looked through."""

MORE = "more"
"""The kind of the one row that counts what found no place of its own."""

Key = tuple[str, str, str]
"""Kind, type and path."""

_READ = """
SELECT position, received_at, object_type, metric, CAST(body AS BLOB) FROM outbox
WHERE position > ? AND position <= ? ORDER BY position LIMIT ?
"""
_ADD = """
INSERT INTO drift (kind, type, path, found, events, first_at, last_at, position)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, type, path) DO UPDATE SET
    found    = excluded.found,
    events   = events + excluded.events,
    first_at = min(first_at, excluded.first_at),
    last_at  = max(last_at, excluded.last_at),
    position = excluded.position
"""


class Sightings(msgspec.Struct):
    """How often one thing was seen in some events, and when."""

    first_at: int
    last_at: int
    position: int
    events: int = 0
    found: set[str] = msgspec.field(default_factory=set)

    def add(self, position: int, received_at: int, found: Iterable[str]) -> None:
        """Count one event, in which these kinds of value were found."""
        self.first_at = min(self.first_at, received_at)
        self.last_at = max(self.last_at, received_at)
        self.position = max(self.position, position)
        self.events += 1
        self.found.update(found)

    def merge(self, other: Sightings) -> None:
        """Take over what was counted of another thing."""
        self.first_at = min(self.first_at, other.first_at)
        self.last_at = max(self.last_at, other.last_at)
        self.position = max(self.position, other.position)
        self.events += other.events


class Surveyed(msgspec.Struct, frozen=True):
    """What a look at a piece of the outbox brought."""

    sightings: Mapping[Key, Sightings]
    through: int
    """The last position that was looked at."""
    caught_up: bool


class Row(msgspec.Struct, frozen=True):
    """One row of the report."""

    kind: str
    type: str
    path: str
    found: tuple[str, ...]
    events: int
    first_at: int
    last_at: int
    position: int
    source: str | None
    """Whose the last such event is; None when it has been pruned."""
    event_id: str | None


def surveyed_position(db: Connection) -> int:
    """Return up to where the outbox was looked through; 0 if it never was."""
    return facts.read(db, POSITION) or 0


def survey(db: Connection, position: int) -> Surveyed:
    """Look through the next events behind a position, a bounded number of them.

    Reads only what it looks at: beside ingest and drains it goes through every event there is.
    """
    end = max(position, outbox.last_position(db))
    sightings: dict[Key, Sightings] = {}
    looked_at = looked_bytes = 0
    through = position
    with closing(db.execute(_READ, (position, end, SURVEY_EVENTS_MAX))) as rows:
        for at_position, received_at, object_type, metric, body in rows:
            looked_bytes += len(body)
            if looked_bytes > SURVEY_BYTES_MAX and looked_at:
                return Surveyed(sightings, through, caught_up=False)
            looked_at, through = looked_at + 1, at_position
            drifts = find_drift(body, object_type, metric)
            for key, found in _by_key(drifts).items() if drifts else ():
                seen = sightings.setdefault(key, Sightings(received_at, received_at, at_position))
                seen.add(at_position, received_at, found)
    if looked_at == SURVEY_EVENTS_MAX:
        return Surveyed(sightings, through, caught_up=through == end)
    return Surveyed(sightings, end, caught_up=True)


def add(db: Connection, surveyed: Surveyed) -> list[Key]:
    """Count what was seen and store how far was looked; return what was never seen before."""
    known = _known(db)
    room = DRIFT_ROWS_MAX - len(known)
    rows: dict[Key, Sightings] = {}
    new: list[Key] = []
    for key, seen in surveyed.sightings.items():
        if key in known:
            seen.found.update(known[key])
        elif len(new) < room:
            new.append(key)
        else:
            _count_among_the_rest(rows, seen)
            continue
        rows[key] = seen
    db.executemany(_ADD, (_values(key, seen) for key, seen in rows.items()))
    save_position(db, surveyed.through)
    return new


def save_position(db: Connection, position: int) -> None:
    """Store up to where the outbox was looked through."""
    facts.write(db, POSITION, position)


def list_drift(db: Connection, *, limit: int) -> list[Row]:
    """List what was found, that seen last first."""
    rows = db.execute(
        "SELECT kind, type, path, found, events, first_at, last_at, drift.position, source,"
        " event_id FROM drift LEFT JOIN outbox ON outbox.position = drift.position"
        " ORDER BY last_at DESC, kind, type, path LIMIT ?",
        (limit,),
    )
    return [
        Row(kind, type_, path, tuple(found.split()), *rest)
        for kind, type_, path, found, *rest in rows
    ]


def forget(db: Connection, *, now: int) -> int:
    """Empty the report, as an operator's act; what comes again is new again."""
    gone = db.execute("DELETE FROM drift").rowcount
    facts.record_act(db, "forget-drift", f"{gone} rows", now=now)
    return int(gone)


def _by_key(drifts: Iterable[Drift]) -> dict[Key, set[str]]:
    """Gather what one event has; several kinds of value may stand at one path of it."""
    found: dict[Key, set[str]] = {}
    for drift in drifts:
        key = (drift.kind.value, drift.type_name, drift.path)
        found.setdefault(key, set()).update({drift.found} - {""})
    return found


def _known(db: Connection) -> dict[Key, tuple[str, ...]]:
    rows = db.execute("SELECT kind, type, path, found FROM drift")
    return {(kind, type_, path): tuple(found.split()) for kind, type_, path, found in rows}


def _count_among_the_rest(rows: dict[Key, Sightings], seen: Sightings) -> None:
    rest = rows.setdefault((MORE, "", ""), Sightings(seen.first_at, seen.last_at, seen.position))
    rest.merge(seen)


def _values(key: Key, seen: Sightings) -> tuple[object, ...]:
    found = " ".join(sorted(seen.found))
    return (*key, found, seen.events, seen.first_at, seen.last_at, seen.position)

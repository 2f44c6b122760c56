"""Looks through the outbox for people: newest last, a page at a time, never all of it at once.

There is no index on whom an event is about, so a search for a person reads
every body that the other wishes leave. It reads a number of events at a time
and lets go of the database in between: the write-ahead log cannot be reset
below a statement that stands in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import msgspec

from streamer.core.event import type_name
from streamer.core.limits import SCAN_EVENTS_MAX
from streamer.core.person import names_person
from streamer.core.selection import Selection
from streamer.store import destinations, outbox
from streamer.store.cursors import NOT_PASSED
from streamer.store.sqlite import Connection


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are looked for; None means any."""

    source: str | None = None
    types: tuple[str, ...] = ()
    """Patterns over ``object_type.metric``; none means any."""
    since: int | None = None
    """Received at or after, ms since 1970."""
    until: int | None = None
    """Received before, ms since 1970."""
    person: str | None = None
    """Any identifier of a person: see `streamer.core.person.names_person`."""
    after: int | None = None
    """Begin behind this position; without it, the newest are shown."""
    undelivered: str | None = None
    """A destination that has not settled it yet; then the oldest are shown, which it gets next."""

    @property
    def begins_somewhere(self) -> bool:
        """Tell whether the first that fit are meant, and not the last."""
        return self.after is not None or self.undelivered is not None


class Listed(msgspec.Struct, frozen=True):
    """One event without its body."""

    position: int
    source: str
    event_id: str
    type: str
    occurred_at: int | None
    received_at: int
    body_bytes: int


_COLUMNS = (
    "position, source, event_id, object_type, metric, occurred_at, received_at, CAST(body AS BLOB)"
)


def list_events(db: Connection, wanted: Wanted, *, limit: int) -> list[Listed]:
    """Return up to ``limit`` events in the order of their positions."""
    found: list[Listed] = []
    for window in _windows(db, _begin(db, wanted)):
        found += _list_some(db, wanted, window, limit - len(found))
        if len(found) == limit:
            break
    return found if wanted.begins_somewhere else found[::-1]


def _begin(db: Connection, wanted: Wanted) -> int | None:
    """Return the position behind which the search begins; None: at the end, and backwards."""
    if wanted.undelivered is None:
        return wanted.after
    (settled,) = db.execute(
        "SELECT min(position) FROM cursors WHERE destination = ? AND replay_id = 0",
        (wanted.undelivered,),
    ).fetchone()
    return max(wanted.after or 0, settled or 0)


def _windows(db: Connection, after: int | None) -> Iterator[tuple[int, int]]:
    """Cut the outbox into pieces, as first and last positions, in the order of the search."""
    at = after or 0
    if after is None:
        at = outbox.last_position(db) + 1
        order, condition = "DESC", "position < ?"
    else:
        order, condition = "ASC", "position > ?"
    while True:
        first, last = db.execute(
            "SELECT min(position), max(position) FROM (SELECT position FROM outbox"
            f" WHERE {condition} ORDER BY position {order} LIMIT ?)",
            (at, SCAN_EVENTS_MAX),
        ).fetchone()
        if first is None:
            return
        yield first, last
        at = first if after is None else last


def _list_some(db: Connection, wanted: Wanted, window: tuple[int, int], limit: int) -> list[Listed]:
    condition, parameters = _condition(wanted)
    if wanted.undelivered is not None:
        unsettled, names = _unsettled(db, wanted.undelivered)
        condition, parameters = f"{condition} AND {unsettled}", [*parameters, *names]
    order = "ASC" if wanted.begins_somewhere else "DESC"
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE position BETWEEN ? AND ? AND {condition}"
        f" ORDER BY position {order}",
        (*window, *parameters),
    )
    found: list[Listed] = []
    with closing(rows):  # a statement that stands half way keeps the log from being reset
        while len(found) < limit and (row := rows.fetchone()) is not None:
            position, source, event_id, object_type, metric, occurred_at, received_at, body = row
            if wanted.person is None or _is_about(body, wanted.person):
                name = type_name(object_type, metric)
                found.append(
                    Listed(position, source, event_id, name, occurred_at, received_at, len(body))
                )
    return found


def _condition(wanted: Wanted) -> tuple[str, list[object]]:
    terms, parameters = Selection(include=wanted.types, exclude=()).sql_condition()
    values: list[object] = list(parameters)
    for term, value in (
        ("source = ?", wanted.source),
        ("received_at >= ?", wanted.since),
        ("received_at < ?", wanted.until),
    ):
        if value is not None:
            terms += f" AND {term}"
            values.append(value)
    return terms, values


def _unsettled(db: Connection, name: str) -> tuple[str, list[object]]:
    wanted, patterns = destinations.load(db, name).selection.sql_condition()
    return f"{NOT_PASSED} AND {wanted}", [name, 0, *patterns]


def _is_about(body: bytes, person: str) -> bool:
    try:
        document = _read(body)
    except (ValueError, RecursionError):  # listed once too often rather than never
        return person.casefold().encode() in body.lower()
    return isinstance(document, dict) and names_person(document.get("data"), person)


def _read(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:  # such as a number beyond all machine words
        return json.loads(body, parse_int=str)

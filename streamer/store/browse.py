"""Looks through the outbox for people: newest last, a page at a time, never all of it at once."""

from __future__ import annotations

from contextlib import closing

import msgspec

from streamer.core import customerio
from streamer.core.event import type_name
from streamer.core.person import person_key
from streamer.core.selection import Selection
from streamer.store import destinations
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
    """The person key of the event: see `streamer.core.person`."""
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
    condition, parameters = _condition(wanted)
    if wanted.undelivered is not None:
        unsettled, names = _unsettled(db, wanted.undelivered)
        condition, parameters = f"{condition} AND {unsettled}", [*parameters, *names]
    order = "ASC" if wanted.begins_somewhere else "DESC"
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE {condition} ORDER BY position {order}", parameters
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
    return found if wanted.begins_somewhere else found[::-1]


def _condition(wanted: Wanted) -> tuple[str, list[object]]:
    terms, parameters = Selection(include=wanted.types, exclude=()).sql_condition()
    values: list[object] = list(parameters)
    for term, value in (
        ("source = ?", wanted.source),
        ("received_at >= ?", wanted.since),
        ("received_at < ?", wanted.until),
        ("position > ?", wanted.after),
        ("lane_key = ?", None if wanted.person is None else _lane_key(wanted.person)),
    ):
        if value is not None:
            terms += f" AND {term}"
            values.append(value)
    return terms, values


_UNSETTLED = """
position > (SELECT min(cursors.position) FROM cursors
            WHERE cursors.destination = ? AND cursors.replay_id = 0)
AND NOT EXISTS (
    SELECT 1 FROM cursors AS passed
    WHERE passed.destination = ? AND passed.replay_id = 0
      AND outbox.lane_key % passed.lanes = passed.lane
      AND (outbox.position <= passed.position
           OR outbox.position IN (SELECT value FROM json_each(passed.ahead))))
"""
"""Behind the cursor of its lane, not ahead of it, and not passed by a cursor of an earlier lane
count. The first term lets the search begin at the cursor."""


def _unsettled(db: Connection, name: str) -> tuple[str, list[str]]:
    wanted, patterns = destinations.load(db, name).selection.sql_condition()
    return f"{_UNSETTLED} AND {wanted}", [name, name, *patterns]


def _lane_key(person: str) -> int:
    return customerio.lane_key(person, "")


def _is_about(body: bytes, person: str) -> bool:
    """Look into the body: two persons may share a lane key."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(document, dict) and person_key(document.get("data")) == person

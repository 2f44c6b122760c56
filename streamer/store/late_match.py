"""Finds the event that a destination's books mean.

They name it by what was sent: the event id, or, where that is no URI reference,
its SHA-256 in hexadecimal, and perhaps event id and position besides. A
position alone proves nothing, since a database may have been made anew; an id
that several sources use proves nothing without the position.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from streamer.core.provision_limits import HASHED_IDS_MAX
from streamer.store.sqlite import Connection

_ODD_IDS = """
SELECT DISTINCT event_id FROM outbox WHERE event_id GLOB '*[^-A-Za-z0-9._~]*' LIMIT ?
"""


class Name(msgspec.Struct, frozen=True):
    """What the books say of one event."""

    record_id: str
    event_id: str | None = None
    position: int | None = None


class Match(msgspec.Struct, frozen=True):
    """The event that is meant."""

    position: int
    source: str
    event_id: str


def find(db: Connection, names: Sequence[Name], *, odd: Mapping[str, str]) -> list[Match | None]:
    """Find the events that are meant, one for each name; ``odd`` comes from `odd_ids`."""
    return [_by_position(db, name) or _by_id(db, name, odd) for name in names]


def odd_ids(db: Connection) -> dict[str, str]:
    """Return the ids that something else may stand for, by that; reads all ids of the outbox."""
    rows = db.execute(_ODD_IDS, (HASHED_IDS_MAX,))
    return {_digest_of(event_id): event_id for (event_id,) in rows}


def _digest_of(event_id: str) -> str:
    """Return what stands for an event id that is no URI reference."""
    return hashlib.sha256(event_id.encode("utf-8", "replace")).hexdigest()


def _by_position(db: Connection, name: Name) -> Match | None:
    if name.position is None:
        return None
    row = db.execute(
        "SELECT position, source, event_id FROM outbox WHERE position = ?", (name.position,)
    ).fetchone()
    if row is None:
        return None
    match = Match(*row)
    ids = {match.event_id, _digest_of(match.event_id)}
    return match if name.record_id in ids or name.event_id == match.event_id else None


def _by_id(db: Connection, name: Name, odd: Mapping[str, str]) -> Match | None:
    event_id = name.event_id or odd.get(name.record_id, name.record_id)
    rows = db.execute(
        "SELECT position, source, event_id FROM outbox WHERE event_id = ? LIMIT 2", (event_id,)
    ).fetchall()
    return Match(*rows[0]) if len(rows) == 1 else None

"""Reads quarantined calls again, with the decoder of the present program.

A call that can be read now is appended like any other and leaves the
quarantine in the same transaction. It keeps its time of receipt and is given
a new position, so every destination meets it at the end of the live order.
"""

from __future__ import annotations

import enum

import msgspec

from streamer.core import customerio
from streamer.core.customerio import Decoded
from streamer.core.event import Event, StoredEvent
from streamer.store import outbox, quarantine, sqlite
from streamer.store.arrival import Kept
from streamer.store.quarantine import Entry
from streamer.store.sqlite import Connection


class Became(enum.Enum):
    """What reading an entry again led to; only the first two empty its place."""

    EVENT = "event"
    DUPLICATE = "duplicate"
    UNREADABLE = "unreadable"
    CONFLICT = "conflict"
    CUT = "cut"
    TOO_LARGE = "too_large"
    REFUSED = "refused"


class Reread(msgspec.Struct, frozen=True):
    """The result for one entry."""

    entry_id: int
    became: Became
    detail: str = ""
    position: int | None = None
    """Of the event that it became, or that it repeats."""


def reread(db: Connection, entry: Entry, *, body_bytes_max: int) -> Reread:
    """Read one entry again, inside the caller's transaction; one that stays is not changed."""
    if entry.is_cut:
        kept = f"only {entry.kept_bytes} of {entry.body_bytes} bytes were kept"
        return Reread(entry.id, Became.CUT, kept)
    if entry.body_bytes > body_bytes_max:
        limit = f"it has {entry.body_bytes} bytes, outbox.body_max_bytes allows {body_bytes_max}"
        return Reread(entry.id, Became.TOO_LARGE, limit)
    body = quarantine.read_body(db, entry.id)
    decoded = customerio.decode(body)
    if not isinstance(decoded, Decoded):
        return Reread(entry.id, Became.UNREADABLE, f"{decoded.reason}: {decoded.detail}")
    event = decoded.event(entry.source, received_at=entry.received_at, body=body)
    return _append(db, entry, event)


def _append(db: Connection, entry: Entry, event: Event) -> Reread:
    """Append the event; whatever does not end in the outbox is taken back, counters included."""
    db.execute("SAVEPOINT reread")
    try:
        # It is in quarantine already, so whatever its size it takes no more room there.
        (kept,) = outbox.append(db, [event], quarantine_bytes_max=2**62)
    except Exception as error:
        if sqlite.blames_store(error):
            raise
        _take_back(db)
        return Reread(entry.id, Became.REFUSED, f"the database refuses it ({type(error).__name__})")
    position = next(at.position for at in outbox.find(db, event.event_id) if _same(at, event))
    if kept is Kept.CONFLICT:
        _take_back(db)
        detail = "its event id is stored already with another body, and the first one counts"
        return Reread(entry.id, Became.CONFLICT, detail, position)
    quarantine.discard(db, entry.id)
    db.execute("RELEASE reread")
    return Reread(entry.id, Became.EVENT if kept is Kept.STORED else Became.DUPLICATE, "", position)


def _same(stored: StoredEvent, event: Event) -> bool:
    return stored.source == event.source


def _take_back(db: Connection) -> None:
    db.execute("ROLLBACK TO reread")
    db.execute("RELEASE reread")

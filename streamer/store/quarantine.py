"""Signed calls that are no events: kept raw, once for each body, within a cap.

The cap is there because one captured call can be sent again and again with
its valid signature: above it only the hash and the first bytes are kept.
"""

from __future__ import annotations

import hashlib

import msgspec

from streamer.core.limits import TRUNCATED_COPY_BYTES
from streamer.store.arrival import UnreadableCall
from streamer.store.sqlite import Connection

_KEEP = """
INSERT INTO quarantine (source, reason, detail, event_id, received_at, last_received_at,
                        body_sha256, body_bytes, content_encoding, body)
VALUES (:source, :reason, :detail, :event_id, :now, :now, :sha256, :bytes, :encoding, :body)
"""
_REPEAT = """
UPDATE quarantine SET times = times + 1, last_received_at = max(last_received_at, ?)
WHERE source = ? AND body_sha256 = ?
"""


class Entry(msgspec.Struct, frozen=True):
    """One row of ``quarantine``, without its bytes."""

    id: int
    source: str
    reason: str
    detail: str
    event_id: str | None
    received_at: int
    last_received_at: int
    times: int
    """How often the same bytes came."""
    body_bytes: int
    kept_bytes: int
    """Fewer than ``body_bytes`` when only the beginning was kept."""
    content_encoding: str | None

    @property
    def is_cut(self) -> bool:
        """Tell whether the end of the body is missing."""
        return self.kept_bytes < self.body_bytes


_ENTRY = (
    "id, source, reason, detail, event_id, received_at, last_received_at, times, body_bytes,"
    " length(body), content_encoding"
)


def load(db: Connection, entry_id: int) -> Entry | None:
    """Return one entry."""
    row = db.execute(f"SELECT {_ENTRY} FROM quarantine WHERE id = ?", (entry_id,)).fetchone()
    return None if row is None else Entry(*row)


def list_entries(
    db: Connection,
    *,
    source: str | None = None,
    reason: str | None = None,
    event_id: str | None = None,
    limit: int = -1,
) -> list[Entry]:
    """Return entries, newest last and at most the newest ``limit``; None means any."""
    rows = db.execute(
        f"SELECT {_ENTRY} FROM quarantine WHERE (:source IS NULL OR source = :source)"
        " AND (:reason IS NULL OR reason = :reason)"
        " AND (:event_id IS NULL OR event_id = :event_id) ORDER BY id DESC LIMIT :limit",
        {"source": source, "reason": reason, "event_id": event_id, "limit": limit},
    )
    return [Entry(*row) for row in rows][::-1]


def read_body(db: Connection, entry_id: int) -> bytes:
    """Return the bytes that were kept of an entry that exists."""
    row = db.execute("SELECT body FROM quarantine WHERE id = ?", (entry_id,)).fetchone()
    return bytes(row[0])


def keep(db: Connection, call: UnreadableCall, *, bytes_max: int) -> None:
    """Keep a call's bytes, or count it when the same bytes are here already."""
    digest = call.body_sha256 or hashlib.sha256(call.body).digest()
    if db.execute(_REPEAT, (call.received_at, call.source, digest)).rowcount:
        return
    held = held_bytes(db)
    body = call.body if held + len(call.body) <= bytes_max else call.body[:TRUNCATED_COPY_BYTES]
    db.execute(
        _KEEP,
        {
            "source": call.source,
            "reason": call.reason,
            "detail": call.detail,
            "event_id": _bindable(call.event_id),
            "now": call.received_at,
            "sha256": digest,
            "bytes": call.body_bytes if call.body_bytes is not None else len(call.body),
            "encoding": call.content_encoding,
            "body": body,
        },
    )
    add_totals(db, entries=1, size=len(body))


def add_totals(db: Connection, *, entries: int, size: int) -> None:
    """Count entries that were added, or with negative numbers removed; ``size`` is their bytes."""
    db.execute(
        "UPDATE totals SET quarantine_rows = quarantine_rows + ?,"
        " quarantine_bytes = quarantine_bytes + ?",
        (entries, size),
    )


def held_bytes(db: Connection) -> int:
    """Return the bytes of bodies in quarantine."""
    return int(db.execute("SELECT quarantine_bytes FROM totals").fetchone()[0])


def discard(db: Connection, entry_id: int) -> bool:
    """Delete one entry; False when there is none of that number."""
    row = db.execute("DELETE FROM quarantine WHERE id = ? RETURNING length(body)", (entry_id,))
    found = row.fetchone()
    if found is None:
        return False
    add_totals(db, entries=-1, size=-int(found[0]))
    return True


def _bindable(text: str | None) -> str | None:
    """Make an id storable that holds half a character: that may be why it is here."""
    return None if text is None else text.encode("utf-8", "replace").decode()

"""What a signed call becomes on its way into the database, and what became of it there."""

from __future__ import annotations

import enum

import msgspec

from streamer.core.event import Event


class UnreadableCall(msgspec.Struct, frozen=True):
    """A signed call that goes into quarantine."""

    source: str
    reason: str
    detail: str
    received_at: int
    body: bytes
    event_id: str | None = None
    content_encoding: str | None = None
    body_bytes: int | None = None
    """The full length, when ``body`` is only the beginning of it."""
    body_sha256: bytes | None = None
    """The digest of the full body, when ``body`` is only the beginning of it."""


Arrival = Event | UnreadableCall
"""What a signed call became: an event, or bytes for the quarantine."""


class Kept(enum.Enum):
    """What became of an arrival in the database; each of them is answered 200."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"

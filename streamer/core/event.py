"""The values that travel: what was received, and what the outbox holds.

Times are integers in UTC: ``*_at`` in milliseconds since 1970, ``occurred_at``
in whole seconds because Customer.io sends seconds.
"""

from __future__ import annotations

from typing import TypeGuard

import msgspec

UNKNOWN = "unknown"
"""Stands in for an object type or metric that the event does not carry."""

_LINE_BREAKS_TO_BLANKS = bytes.maketrans(b"\r\n", b"  ")


class Event(msgspec.Struct, frozen=True, gc=False):
    """One verified, decoded reporting event on its way into the outbox."""

    source: str
    event_id: str
    object_type: str | None
    metric: str | None
    occurred_at: int | None
    """Unix seconds from the event's own ``timestamp``; None if it carries no usable one."""
    received_at: int
    lane_key: int
    """32-bit hash of the person: `lane_key % lanes` is the event's lane."""
    body: bytes
    """The whole webhook body, as received."""


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """One event as the outbox holds it."""

    position: int
    source: str
    event_id: str
    object_type: str | None
    metric: str | None
    occurred_at: int | None
    received_at: int
    lane_key: int
    body: bytes

    @property
    def type_name(self) -> str:
        """``object_type.metric``, the form that filters are written in."""
        return type_name(self.object_type, self.metric)


def has_usable_time(occurred_at: int | None, received_at: int) -> TypeGuard[int]:
    """Say whether an event's own time can be used: if not, the time of its receipt stands for it.

    A time before 1970 or after the receipt comes from a clock that is wrong.
    """
    return occurred_at is not None and 0 <= occurred_at * 1000 <= received_at


def one_line(body: bytes) -> bytes:
    """Turn the line breaks of JSON into blanks; they stand between tokens, so nothing is lost."""
    if b"\n" not in body and b"\r" not in body:  # as nearly all are
        return body
    return body.translate(_LINE_BREAKS_TO_BLANKS)


def type_name(object_type: str | None, metric: str | None) -> str:
    """Name an event's type as ``object_type.metric``; a missing part becomes ``unknown``."""
    return f"{object_type or UNKNOWN}.{metric or UNKNOWN}"

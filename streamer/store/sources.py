"""Counters for each source, kept in rows so that reading them costs nothing."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streamer.core.catalogue import is_known
from streamer.core.event import Event
from streamer.core.samples import TEST_EVENT_ID
from streamer.store.arrival import Arrival, Kept
from streamer.store.sqlite import Connection

_COUNTER_OF = {
    Kept.STORED: "received",
    Kept.DUPLICATE: "duplicates",
    Kept.CONFLICT: "quarantined",
    Kept.QUARANTINED: "quarantined",
}


_SUMMED = ("received", "duplicates", "quarantined", "unknown_types", "bad_signatures", "refused")


class SourceCounts(msgspec.Struct):
    """What to add to one source's row."""

    last_received_at: int | None = None
    last_test_at: int | None = None
    received: int = 0
    duplicates: int = 0
    quarantined: int = 0
    unknown_types: int = 0
    bad_signatures: int = 0
    refused: int = 0
    oldest_call_seconds: int = 0


class Tally:
    """Counts for several sources, collected before they are written."""

    def __init__(self, by_source: dict[str, SourceCounts] | None = None) -> None:
        self.by_source = {} if by_source is None else by_source

    def of(self, source: str) -> SourceCounts:
        """Return the counts of one source, to be added to."""
        return self.by_source.setdefault(source, SourceCounts())

    def merge(self, other: Tally) -> None:
        """Take over what another tally has counted of calls that left no row."""
        for source, counts in other.by_source.items():
            mine = self.of(source)
            for field in _SUMMED:
                setattr(mine, field, getattr(mine, field) + getattr(counts, field))
            mine.oldest_call_seconds = max(mine.oldest_call_seconds, counts.oldest_call_seconds)

    def add(self, arrival: Arrival, became: Kept) -> None:
        """Count one arrival and what became of it."""
        counts = self.of(arrival.source)
        counter = _COUNTER_OF[became]
        setattr(counts, counter, getattr(counts, counter) + 1)
        counts.last_received_at = max(counts.last_received_at or 0, arrival.received_at)
        if isinstance(arrival, Event):
            if arrival.event_id == TEST_EVENT_ID:
                counts.last_test_at = arrival.received_at
            if became is Kept.STORED and not is_known(arrival.object_type, arrival.metric):
                counts.unknown_types += 1


_ADD = """
INSERT INTO sources (name, last_received_at, last_test_at, received, duplicates, quarantined,
                     unknown_types, bad_signatures, refused, oldest_call_seconds)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    last_received_at = max(coalesce(last_received_at, excluded.last_received_at),
                           coalesce(excluded.last_received_at, last_received_at)),
    last_test_at     = coalesce(excluded.last_test_at, last_test_at),
    received         = received + excluded.received,
    duplicates       = duplicates + excluded.duplicates,
    quarantined      = quarantined + excluded.quarantined,
    unknown_types    = unknown_types + excluded.unknown_types,
    bad_signatures   = bad_signatures + excluded.bad_signatures,
    refused          = refused + excluded.refused,
    oldest_call_seconds = max(oldest_call_seconds, excluded.oldest_call_seconds)
"""


def add(db: Connection, tally: Tally) -> None:
    """Add what was counted."""
    for name, counts in tally.by_source.items():
        db.execute(_ADD, (name, *msgspec.structs.astuple(counts)))


def ensure(db: Connection, names: Iterable[str]) -> None:
    """Give every configured source a row, so that it shows before its first event."""
    db.executemany("INSERT OR IGNORE INTO sources (name) VALUES (?)", [(name,) for name in names])

"""Which batch an event was accepted in: the answer to "where is event X?".

A first attempt without a receipt says nothing but when, so it is folded into
the row before it, as long as the two are neighbours in position and in time.
An event that was deferred in the middle of a batch is settled later than what
lies beyond it, and so gets a row of its own.
"""

from __future__ import annotations

import msgspec

from streamer.core.limits import LEDGER_COALESCE_EVENTS_MAX, LEDGER_COALESCE_SECONDS
from streamer.store.outbox import Lane
from streamer.store.sqlite import Connection


class Entry(msgspec.Struct, frozen=True):
    """One row of ``ledger``: events accepted from ``first_position`` to ``last_position``.

    Those in between that belong to another lane, or are left out by the
    destination's filter, or are dead letters, are not meant.
    """

    destination: str
    replay_id: int
    lane: Lane
    first_position: int
    last_position: int
    events: int
    attempt: int
    first_settled_at: int
    settled_at: int
    duration_ms: int
    receipt: str | None = None


_FOLD = """
UPDATE ledger SET last_position = :last_position, events = events + :events,
                  settled_at = :settled_at, duration_ms = max(duration_ms, :duration_ms)
WHERE id = :into AND attempt = 1 AND receipt IS NULL
  AND destination = :destination AND replay_id = :replay_id AND lanes = :lanes AND lane = :lane
  AND last_position < :first_position AND events + :events <= :fold_events
  AND :settled_at - first_settled_at BETWEEN 0 AND :fold_ms
"""
_ADD = """
INSERT INTO ledger (destination, replay_id, lanes, lane, first_position, last_position, events,
                    attempt, first_settled_at, settled_at, duration_ms, receipt)
VALUES (:destination, :replay_id, :lanes, :lane, :first_position, :last_position, :events,
        :attempt, :settled_at, :settled_at, :duration_ms, :receipt)
RETURNING id
"""
_FIND = """
SELECT destination, replay_id, lanes, lane, first_position, last_position, events, attempt,
       first_settled_at, settled_at, duration_ms, receipt
FROM ledger
WHERE destination = ? AND last_position >= ? AND first_position <= ? AND ? % lanes = lane
ORDER BY id
"""


def add(db: Connection, entry: Entry, *, fold_into: int) -> int:
    """Write down one run of accepted events; return the number of the row that has it.

    ``fold_into`` is the row that ends where this run begins, with nothing
    unsettled in between; 0 when there is none.
    """
    values = {
        "destination": entry.destination,
        "replay_id": entry.replay_id,
        "lanes": entry.lane.lanes,
        "lane": entry.lane.lane,
        "first_position": entry.first_position,
        "last_position": entry.last_position,
        "events": entry.events,
        "attempt": entry.attempt,
        "settled_at": entry.settled_at,
        "duration_ms": entry.duration_ms,
        "receipt": entry.receipt,
        "into": fold_into,
        "fold_events": LEDGER_COALESCE_EVENTS_MAX,
        "fold_ms": LEDGER_COALESCE_SECONDS * 1000,
    }
    plain = fold_into and entry.attempt == 1 and entry.receipt is None
    if plain and db.execute(_FOLD, values).rowcount:
        return fold_into
    return int(db.execute(_ADD, values).fetchone()[0])


def find(db: Connection, destination: str, position: int, lane_key: int) -> list[Entry]:
    """Return the rows whose batch may hold an event, oldest first."""
    rows = db.execute(_FIND, (destination, position, position, lane_key))
    return [
        Entry(name, replay_id, Lane(lanes, lane), *rest)
        for name, replay_id, lanes, lane, *rest in rows
    ]

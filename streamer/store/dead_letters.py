"""Dead letters: events that a destination will never take, kept with their reason.

A letter that is open or being retried holds on to its event (see the
reference in ``migrations/0002_delivery.sql``), so that pruning leaves it
alone. A closed letter stays as long as its event does, so that the event's
story can still be told.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from streamer.core.drain import Burial
from streamer.store.sqlite import Connection


class DeadLetter(msgspec.Struct, frozen=True):
    """One row of ``dead_letters``."""

    id: int
    destination: str
    position: int
    source: str
    event_id: str
    reason: str
    detail: str
    attempts: int
    buried_at: int
    state: str
    closed_at: int | None


_COLUMNS = ", ".join(DeadLetter.__struct_fields__)
_BURY = """
INSERT INTO dead_letters (destination, position, source, event_id, reason, detail, attempts,
                          buried_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (destination, position) DO UPDATE SET
    reason = excluded.reason, detail = excluded.detail, buried_at = excluded.buried_at,
    attempts = attempts + excluded.attempts, state = 'open', closed_at = NULL
"""


def bury(db: Connection, destination: str, burials: Sequence[Burial], *, now: int) -> None:
    """Keep rejected or exhausted events; one buried before is opened again."""
    db.executemany(
        _BURY,
        [
            (
                destination,
                burial.event.position,
                burial.event.source,
                burial.event.event_id,
                burial.reason,
                burial.detail,
                burial.attempts,
                now,
            )
            for burial in burials
        ],
    )


def close_accepted(db: Connection, destination: str, positions: Sequence[int], *, now: int) -> None:
    """Close the letters whose event the destination has taken after all.

    Hardly ever is there one: a look into the index of open letters, for the
    whole batch, comes first.
    """
    there = db.execute(
        "SELECT 1 FROM dead_letters WHERE pinned BETWEEN ? AND ? AND destination = ? LIMIT 1",
        (min(positions), max(positions), destination),
    ).fetchone()
    if there is None:
        return
    db.executemany(
        "UPDATE dead_letters SET state = 'accepted', closed_at = ?"
        " WHERE destination = ? AND position = ? AND state IN ('open', 'retrying')",
        [(now, destination, position) for position in positions],
    )


def discard(db: Connection, letter_ids: Sequence[int], *, now: int) -> int:
    """Give up on open letters, for good; return how many there were."""
    done = db.executemany(
        "UPDATE dead_letters SET state = 'discarded', closed_at = ?"
        " WHERE id = ? AND state = 'open'",
        [(now, letter_id) for letter_id in letter_ids],
    )
    return int(done.rowcount)


def mark_retrying(db: Connection, letter_ids: Sequence[int]) -> None:
    """Note that a replay sends these again."""
    db.executemany(
        "UPDATE dead_letters SET state = 'retrying' WHERE id = ? AND state = 'open'",
        [(letter_id,) for letter_id in letter_ids],
    )


def reopen_retrying(db: Connection, destination: str, positions: Sequence[int]) -> None:
    """Open letters again whose retry was called off."""
    db.executemany(
        "UPDATE dead_letters SET state = 'open'"
        " WHERE destination = ? AND position = ? AND state = 'retrying'",
        [(destination, position) for position in positions],
    )


def load(db: Connection, letter_id: int) -> DeadLetter | None:
    """Return one letter, whatever its state."""
    row = db.execute(f"SELECT {_COLUMNS} FROM dead_letters WHERE id = ?", (letter_id,)).fetchone()
    return None if row is None else DeadLetter(*row)


def list_letters(
    db: Connection,
    *,
    destination: str | None = None,
    reason: str | None = None,
    state: str | None = "open",
    limit: int = -1,
) -> list[DeadLetter]:
    """Return letters, newest last and at most the newest ``limit``; None means any."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM dead_letters"
        " WHERE (? IS NULL OR destination = ?) AND (? IS NULL OR reason = ?)"
        " AND (? IS NULL OR state = ?) ORDER BY id DESC LIMIT ?",
        (destination, destination, reason, reason, state, state, limit),
    )
    return [DeadLetter(*row) for row in rows][::-1]


def of_event(db: Connection, position: int) -> list[DeadLetter]:
    """Return the letters that any destination has of one event."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM dead_letters WHERE position = ?", (position,))
    return [DeadLetter(*row) for row in rows]


def count_open(db: Connection) -> dict[str, int]:
    """Count the letters that wait for an operator, by destination."""
    rows = db.execute(
        "SELECT destination, count(*) FROM dead_letters WHERE pinned IS NOT NULL GROUP BY 1"
    )
    return dict(rows.fetchall())

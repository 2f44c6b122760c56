"""Events that a destination lost after it had accepted them, as reading its own books shows.

Accepting settles an event for good: its cursor has passed it. What is found
out later therefore stands beside: a row for each batch of the destination's
and each event in it, so that reading a batch again, or going on after a crash,
adds nothing. A row whose event the outbox does not have (any more) is kept as
well, under the name that the destination has for it.

How far the books were read is remembered, because that nothing was found says
something only of what was looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from streamer.core.limits import DETAIL_CHARACTERS_MAX, EVENT_ID_CHARACTERS_MAX
from streamer.core.provision_limits import ADOBE_BATCH_ID_CHARACTERS_MAX, ADOBE_CODE_CHARACTERS_MAX
from streamer.store.sqlite import Connection


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One event as the books of a destination name it, with what they hold against it."""

    batch_id: str
    record_id: str
    """The event's id there: the event id itself, or what stands for it."""
    position: int | None = None
    """None: the outbox has no such event, and neither source nor event id is known."""
    source: str | None = None
    event_id: str | None = None
    code: str
    message: str = ""
    lost_at: int
    """When the batch was closed there, ms since 1970."""


class LateFailure(msgspec.Struct, frozen=True):
    """One row of ``late_failures``."""

    id: int
    destination: str
    batch_id: str
    record_id: str
    position: int | None
    source: str | None
    event_id: str | None
    code: str
    message: str
    lost_at: int
    found_at: int
    buried: bool
    """Whether its event was made a dead letter, which says since then what is to be done."""

    @property
    def detail(self) -> str:
        """Where the event was found, and what was held against it, in one line."""
        return f"found in failed batch {self.batch_id}: {self.message}"[:DETAIL_CHARACTERS_MAX]


class Reconciled(msgspec.Struct, frozen=True):
    """How far the books of a destination were read."""

    looked_at: int
    until: int
    """Batches begun before this are known, ms since 1970."""


class Total(msgspec.Struct, frozen=True):
    """What there is of one code."""

    code: str
    events: int
    unknown: int
    """Of them, those that the outbox does not have."""
    example: str
    """The message of the first …"""
    example_event: str
    """… and its event id, ours if it is known."""


_COLUMNS = ", ".join(LateFailure.__struct_fields__)
_ADD = """
INSERT INTO late_failures (destination, batch_id, record_id, position, source, event_id, code,
                           message, lost_at, found_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (destination, batch_id, record_id) DO NOTHING
"""


def add(db: Connection, destination: str, found: Sequence[Found], *, now: int) -> int:
    """Write down what is not known yet, its texts cut to size; return how many rows that made."""
    before = db.total_changes
    db.executemany(
        _ADD,
        [
            (
                destination,
                one.batch_id[:ADOBE_BATCH_ID_CHARACTERS_MAX],
                one.record_id[:EVENT_ID_CHARACTERS_MAX],
                one.position,
                one.source,
                one.event_id,
                one.code[:ADOBE_CODE_CHARACTERS_MAX],
                one.message[:DETAIL_CHARACTERS_MAX],
                one.lost_at,
                now,
            )
            for one in found
        ],
    )
    return int(db.total_changes - before)


def unknown_of(db: Connection, destination: str, found: Sequence[Found]) -> list[Found]:
    """Return what `add` would write down."""
    known = "SELECT 1 FROM late_failures WHERE destination = ? AND batch_id = ? AND record_id = ?"
    return [
        one
        for one in found
        if db.execute(known, (destination, one.batch_id, one.record_id)).fetchone() is None
    ]


def count_in_batch(db: Connection, destination: str, batch_id: str) -> int:
    """Count the rows of one batch."""
    (rows,) = db.execute(
        "SELECT count(*) FROM late_failures WHERE destination = ? AND batch_id = ?",
        (destination, batch_id),
    ).fetchone()
    return int(rows)


def of_event(db: Connection, position: int) -> list[LateFailure]:
    """Return what any destination lost of one event, the last loss last."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM late_failures WHERE position = ? ORDER BY lost_at, id",
        (position,),
    )
    return [read(row) for row in rows]


def totals(db: Connection, destination: str, *, lost_since: int) -> list[Total]:
    """Sum up what was lost since a moment (ms since 1970) by code, the most frequent first."""
    rows = db.execute(
        "SELECT code, count(*), count(*) - count(position), min(id) FROM late_failures"
        " WHERE destination = ? AND lost_at >= ? GROUP BY code ORDER BY 2 DESC, 1",
        (destination, lost_since),
    ).fetchall()
    return [_total(db, *row) for row in rows]


def _total(db: Connection, code: str, events: int, unknown: int, example_id: int) -> Total:
    message, event_id = db.execute(
        "SELECT message, coalesce(event_id, record_id) FROM late_failures WHERE id = ?",
        (example_id,),
    ).fetchone()
    return Total(code, events, unknown, message, event_id)


def read(row: Sequence[object]) -> LateFailure:
    """Make a value of a row with all columns."""
    fields = dict(zip(LateFailure.__struct_fields__, row, strict=True))
    return msgspec.convert(fields | {"buried": bool(fields["buried"])}, LateFailure)


def reconciled(db: Connection, destination: str) -> Reconciled | None:
    """Return how far the books of a destination were read; None: never."""
    row = db.execute(
        "SELECT looked_at, until FROM reconciliations WHERE destination = ?", (destination,)
    ).fetchone()
    return None if row is None else Reconciled(*row)


def remember(db: Connection, destination: str, *, until: int, now: int) -> None:
    """Note that all batches begun before ``until`` are known now; it may lie before the last."""
    db.execute(
        "INSERT INTO reconciliations (destination, looked_at, until) VALUES (?, ?, ?)"
        " ON CONFLICT (destination) DO UPDATE SET looked_at = excluded.looked_at,"
        " until = excluded.until",
        (destination, now, until),
    )


def forget(db: Connection, destination: str) -> None:
    """Drop everything that is known of a destination's books."""
    for table in ("late_failures", "reconciliations"):
        db.execute(f"DELETE FROM {table} WHERE destination = ?", (destination,))

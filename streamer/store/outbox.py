"""The log: appending what arrived, and reading it back in order.

Every function takes an open connection and runs inside the caller's
transaction, if there is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from itertools import repeat
from operator import itemgetter
from typing import Any

import msgspec

from streamer.core.event import Event, StoredEvent, type_name
from streamer.core.limits import INSERT_ROWS_MAX, RECEIPT_DISORDER_SECONDS, SCAN_EVENTS_MAX
from streamer.core.samples import TEST_EVENT_ID
from streamer.core.selection import Selection
from streamer.store import quarantine, sources, sqlite
from streamer.store.arrival import Arrival, Kept, UnreadableCall
from streamer.store.sqlite import Connection


class Lane(msgspec.Struct, frozen=True):
    """Which events of the outbox belong to one cursor."""

    lanes: int = 1
    lane: int = 0

    def has(self, lane_key: int) -> bool:
        """Tell whether an event with this key belongs to the lane."""
        return lane_key % self.lanes == self.lane


ONE_LANE = Lane()

_FIND = "SELECT body FROM outbox WHERE event_id = ? AND source = ?"
_INSERT = """
INSERT INTO outbox (lane_key, received_at, occurred_at, object_type, metric, source, event_id, body)
VALUES """
_FIRST_FROM = """
SELECT position, received_at FROM outbox WHERE position >= ? AND position < ?
ORDER BY position LIMIT 1
"""
_COLUMNS = (
    "position, source, event_id, object_type, metric, occurred_at, received_at, lane_key, body"
)


def append(db: Connection, arrivals: Sequence[Arrival], *, quarantine_bytes_max: int) -> list[Kept]:
    """Store what arrived, in order; say for each what became of it."""
    events = [arrival for arrival in arrivals if isinstance(arrival, Event)]
    became = _append_events(db, events, quarantine_bytes_max)
    kept: list[Kept] = []
    tally = sources.Tally()
    stored_events = stored_bytes = 0
    for arrival in arrivals:
        if isinstance(arrival, UnreadableCall):
            quarantine.keep(db, arrival, bytes_max=quarantine_bytes_max)
            outcome = Kept.QUARANTINED
        else:
            outcome = next(became)
            if outcome is Kept.STORED:
                stored_events += 1
                stored_bytes += len(arrival.body)
        kept.append(outcome)
        tally.add(arrival, outcome)
    if stored_events:
        add_totals(db, events=stored_events, size=stored_bytes)
    sources.add(db, tally)
    return kept


def add_totals(db: Connection, *, events: int, size: int) -> None:
    """Count events that were added, or with negative numbers removed; ``size`` is their bytes."""
    db.execute(
        "UPDATE totals SET outbox_events = outbox_events + ?, outbox_bytes = outbox_bytes + ?",
        (events, size),
    )


def _append_events(
    db: Connection, events: Sequence[Event], quarantine_bytes_max: int
) -> Iterator[Kept]:
    """Store events in order, many with one statement as long as all of them are new.

    Nearly always they are. Each call into SQLite gives the interpreter's lock away and has to
    get it back from the loop's thread, so one statement for all is worth more than its own time.
    """
    for first in range(0, len(events), INSERT_ROWS_MAX):
        together = events[first : first + INSERT_ROWS_MAX]
        if _insert(db, together):
            yield from repeat(Kept.STORED, len(together))
        else:
            for event in together:
                yield _append_event(db, event, quarantine_bytes_max)


def _insert(db: Connection, events: Sequence[Event]) -> bool:
    """Insert all of these events; False, and none of them, if one is stored or comes twice.

    SQLite takes back what the statement did, the given positions included.
    """
    values: list[object] = []
    for event in events:
        values += _values(event)
    try:
        db.execute(_insertion(len(events)), values)
    except sqlite.IntegrityError:
        return False
    return True


def _values(event: Event) -> tuple[object, ...]:
    return (
        event.lane_key,
        event.received_at,
        event.occurred_at,
        event.object_type,
        event.metric,
        event.source,
        event.event_id,
        event.body.decode(),
    )


@cache
def _insertion(rows: int) -> str:
    return _INSERT + ",".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * rows)


def _append_event(db: Connection, event: Event, quarantine_bytes_max: int) -> Kept:
    found = db.execute(_FIND, (event.event_id, event.source)).fetchone()
    if found is None:
        db.execute(_insertion(1), _values(event))
        return Kept.STORED
    if event.event_id == TEST_EVENT_ID or same_event(found[0].encode(), event.body):
        return Kept.DUPLICATE
    call = UnreadableCall(
        source=event.source,
        reason="id_conflict",
        detail="this event id is stored already, with another body",
        event_id=event.event_id,
        received_at=event.received_at,
        body=event.body,
    )
    quarantine.keep(db, call, bytes_max=quarantine_bytes_max)
    return Kept.CONFLICT


def same_event(stored: bytes, received: bytes) -> bool:
    """Tell whether two bodies say the same, even if a retry was written with other blanks.

    The order of an object's keys may differ too. Nothing else may: numbers are
    compared as they are written, since Python's are rounded, and of a key that
    stands twice both values count. What is called different in doubt is kept
    in quarantine, so nothing is lost.
    """
    if stored == received:
        return True
    try:
        return _read_exactly(stored) == _read_exactly(received)
    except (ValueError, RecursionError):
        return False


def _read_exactly(body: bytes) -> object:
    return json.loads(
        body,
        parse_int=_Number,
        parse_float=_Number,
        parse_constant=_Number,
        object_pairs_hook=_Members,
    )


class _Number(tuple[str]):
    """A number as it is written, which no text is equal to."""

    __slots__ = ()

    def __new__(cls, written: str) -> _Number:
        return super().__new__(cls, (written,))


class _Members(tuple[tuple[str, object], ...]):
    """An object's members by key, those of the same key in their order."""

    __slots__ = ()

    def __new__(cls, pairs: list[tuple[str, object]]) -> _Members:
        return super().__new__(cls, sorted(pairs, key=itemgetter(0)))


class Scan(msgspec.Struct, frozen=True):
    """A piece of the outbox as one cursor sees it."""

    events: tuple[StoredEvent, ...]
    through: int
    """Every event up to here was looked at; what is not in ``events`` is not the cursor's."""
    caught_up: bool
    """There was nothing after ``through`` when it was read."""


def read_after(
    db: Connection,
    position: int,
    *,
    selection: Selection,
    lane: Lane = ONE_LANE,
    part: tuple[str, Sequence[object]] | None = None,
    until: int | None = None,
    events_max: int,
    bytes_max: int,
) -> Scan:
    """Read events behind ``position``, in order, at least one if there is any in reach.

    ``part`` is a further condition on the columns of ``outbox``, with its parameters.
    At most ``SCAN_EVENTS_MAX`` rows are looked at, so that a filter that matches
    nothing does not keep the connection busy for the length of the outbox.
    """
    condition, parameters = selection.sql_condition()
    further, values = part or ("1", ())
    if lane.lanes == 1 and selection.takes_all and part is None:
        end, caught_up = max(position, last_position(db) if until is None else until), True
    else:
        end, caught_up = _scan_end(db, position, until)
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE position > ? AND position <= ?"
        f" AND lane_key % ? = ? AND {condition} AND {further} ORDER BY position LIMIT ?",
        (position, end, lane.lanes, lane.lane, *parameters, *values, events_max),
    )
    events: list[StoredEvent] = []
    total = 0
    with closing(rows):  # a statement that stands half way keeps the log from being reset
        for row in rows:
            event = _stored(row)
            total += len(event.body)
            if total > bytes_max and events:
                return Scan(tuple(events), events[-1].position, caught_up=False)
            events.append(event)
    if len(events) == events_max:
        last = events[-1].position
        return Scan(tuple(events), last, caught_up=caught_up and last == end)
    return Scan(tuple(events), end, caught_up)


def _scan_end(db: Connection, position: int, until: int | None) -> tuple[int, bool]:
    """Find the last position to look at, and whether it is the last there is."""
    row = db.execute(
        "SELECT max(position), count(*) FROM (SELECT position FROM outbox WHERE position > ?"
        " AND position <= ? ORDER BY position LIMIT ?)",
        (position, last_position(db) if until is None else until, SCAN_EVENTS_MAX),
    ).fetchone()
    end, rows = row
    if rows < SCAN_EVENTS_MAX:
        return max(position, until if until is not None else (end or 0)), True
    return end, False


def read_positions(db: Connection, positions: Sequence[int]) -> tuple[StoredEvent, ...]:
    """Read the named events, in the order of their positions; those pruned are missing."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE position IN (SELECT value FROM json_each(?))"
        " ORDER BY position",
        (json.dumps(list(positions)),),
    )
    return tuple(_stored(row) for row in rows)


def first_unwanted(
    db: Connection, positions: Sequence[int], selection: Selection
) -> tuple[int, str] | None:
    """Return position and type of the first of some events that a filter leaves out, or None."""
    condition, parameters = selection.sql_condition()
    row = db.execute(
        "SELECT position, object_type, metric FROM outbox WHERE position IN"
        f" (SELECT value FROM json_each(?)) AND NOT {condition} ORDER BY position LIMIT 1",
        (json.dumps(list(positions)), *parameters),
    ).fetchone()
    return None if row is None else (int(row[0]), type_name(row[1], row[2]))


def find(db: Connection, event_id: str) -> tuple[StoredEvent, ...]:
    """Find an event by its id; several sources may use the same one."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM outbox WHERE event_id = ?", (event_id,))
    return tuple(_stored(row) for row in rows)


def _stored(row: tuple[Any, ...]) -> StoredEvent:
    *columns, body = row
    return StoredEvent(*(*columns, body.encode()))


def last_position(db: Connection) -> int:
    """Return the position that was given last, whether or not its event is still there."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    return int(row[0]) if row else 0


def first_position(db: Connection) -> int | None:
    """Return the position of the oldest event, or None when the outbox is empty."""
    row = db.execute("SELECT min(position) FROM outbox").fetchone()
    return None if row[0] is None else int(row[0])


def first_since(db: Connection, received_at: int) -> int | None:
    """Return the first position of what was received at or after a moment, or None.

    Looks at a bounded number of rows, whatever the length of the outbox,
    because it runs inside a transaction that calls wait for. Calls are
    received in one order and committed in another, by at most the time that a
    call may take: the search finds the place where nothing earlier can belong,
    and goes on event by event from there. Should more than
    ``SCAN_EVENTS_MAX`` follow, it ends with them, a little early.

    All this is as exact as the clock. Where that was set back, several places
    may divide earlier from later, and one of them is found.
    """
    begin = _last_before(db, received_at - int(RECEIPT_DISORDER_SECONDS * 1000))
    rows = db.execute(
        "SELECT position, received_at FROM outbox WHERE position > ? ORDER BY position LIMIT ?",
        (begin, SCAN_EVENTS_MAX),
    )
    looked_at, last = 0, begin
    with closing(rows):  # a statement that stands half way keeps the log from being reset
        for position, at in rows:
            if at >= received_at:
                return int(position)
            looked_at, last = looked_at + 1, position
    return last if looked_at == SCAN_EVENTS_MAX else None


def _last_before(db: Connection, received_at: int) -> int:
    """Halve the positions until an event is found that was received earlier and the next was not.

    Returns its position, or 0 when the first event was not received earlier.
    """
    before, beyond = 0, last_position(db) + 1
    while before + 1 < beyond:
        middle = (before + beyond) // 2
        row = db.execute(_FIRST_FROM, (middle, beyond)).fetchone()
        if row is None or row[1] >= received_at:
            beyond = middle
        else:
            before = int(row[0])
    return before

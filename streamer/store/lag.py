"""How far a destination is behind: exact while that is cheap, estimated beyond.

A destination's lag counts its own lanes and its own filter. With one lane, no
filter and no gaps in the positions, it is a subtraction. Otherwise rows are
counted, up to a bound; of those beyond it the share that is pending is taken
from samples, and the sum is marked as approximate. So what it costs does not
grow with the backlog.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from streamer.core.limits import (
    LAG_COUNT_EVENTS_MAX,
    LAG_SAMPLE_EVENTS,
    LAG_SAMPLES,
    POSITION_LEAP,
)
from streamer.store import cursors, outbox
from streamer.store.cursors import NOT_PASSED, Cursor
from streamer.store.destinations import Known
from streamer.store.sqlite import Connection

_COUNT = """
SELECT count(*), max(position), sum(pending), min(CASE WHEN pending THEN position END)
FROM (SELECT outbox.position AS position, {pending} AS pending FROM {events}
      WHERE outbox.position > ? ORDER BY outbox.position LIMIT ?)
"""
_ONE_LANE = "outbox"
_LANES = """
outbox JOIN cursors ON cursors.destination = ? AND cursors.replay_id = 0 AND cursors.lanes = ?
    AND lane_key % cursors.lanes = cursors.lane
"""
_BEHIND_ITS_LANE = "outbox.position > cursors.position"
_NOT_AHEAD = "outbox.position NOT IN (SELECT value FROM json_each(?))"
"""An event is pending when it is behind the cursor of its own lane, and settled neither by it nor
by a cursor of an earlier lane count. Each part costs as much again as the count itself, so it is
left out where it says nothing."""


class Lag(msgspec.Struct, frozen=True):
    """Events that are not settled yet, and when the oldest of them was received."""

    events: int = 0
    oldest_received_at: int | None = None
    approximate: bool = False


class Extent(msgspec.Struct, frozen=True):
    """What the outbox holds, read from counters and the ends of the table."""

    first_position: int | None
    last_position: int
    events: int
    bytes: int

    @property
    def has_gaps(self) -> bool:
        """Tell whether some position between the first and the last has no event."""
        return (
            self.first_position is not None
            and self.events != self.last_position - self.first_position + 1
        )


def extent(db: Connection) -> Extent:
    """Read what the outbox holds."""
    events, size = db.execute("SELECT outbox_events, outbox_bytes FROM totals").fetchone()
    return Extent(outbox.first_position(db), outbox.last_position(db), events, size)


def measure(db: Connection, known: Known, own: Sequence[Cursor], whole: Extent) -> Lag:
    """Measure one destination's lag by its cursors, floors among them."""
    live = cursors.live(own, known.lanes)
    if not live or whole.first_position is None:
        return Lag()
    behind = max(min(at.progress.position for at in live), whole.first_position - 1)
    if behind >= whole.last_position:
        return Lag()
    ahead = sorted(position for at in live for position in at.progress.ahead)
    has_floors = len(live) < len(own)
    plain = known.lanes == 1 and known.selection.takes_all and not has_floors
    if plain and not whole.has_gaps:
        first = behind + 1
        while first in ahead:
            first += 1
        return Lag(whole.last_position - behind - len(ahead), _received_at(db, first))
    counting = _Counting(db, *_statement(known, ahead, has_floors=has_floors))
    counted = counting.count(behind, LAG_COUNT_EVENTS_MAX)
    if counted.rows < LAG_COUNT_EVENTS_MAX or counted.end >= whole.last_position:
        return Lag(counted.pending, _received_at(db, counted.oldest))
    rows_beyond = _rows_beyond(counted, whole, settled=behind - whole.first_position + 1)
    return _estimate(counting, counted, whole, rows_beyond)


class _Count(msgspec.Struct, frozen=True):
    """What was found among some rows that follow each other."""

    rows: int
    end: int
    pending: int
    oldest: int | None


class _Counting(msgspec.Struct, frozen=True):
    """A statement that counts a destination's pending events in one pass over some rows."""

    db: Connection
    statement: str
    values: tuple[object, ...]

    def count(self, behind: int, rows_max: int) -> _Count:
        """Count among the rows behind a position."""
        row = self.db.execute(self.statement, (*self.values, behind, rows_max)).fetchone()
        rows, end, pending, oldest = row
        return _Count(rows, behind if end is None else end, pending or 0, oldest)


def _rows_beyond(counted: _Count, whole: Extent, *, settled: int) -> int:
    """Tell about how many events follow those that were counted.

    Without gaps it is the distance; a restored copy has one gap that is larger
    than any distance, and then it is what is left of all events without those
    that were counted and those before them.
    """
    distance = whole.last_position - counted.end
    left = whole.events - counted.rows
    return min(left, distance) if distance < POSITION_LEAP else max(0, left - settled)


def _estimate(counting: _Counting, counted: _Count, whole: Extent, rows_beyond: int) -> Lag:
    """Extend a count to the end of the outbox by samples at even distances."""
    distance = whole.last_position - counted.end
    samples = [
        counting.count(counted.end + distance * number // LAG_SAMPLES, LAG_SAMPLE_EVENTS)
        for number in range(LAG_SAMPLES)
    ]
    share = sum(one.pending for one in samples) / max(1, sum(one.rows for one in samples))
    oldest = next((one.oldest for one in (counted, *samples) if one.oldest is not None), None)
    pending = counted.pending + round(rows_beyond * share)
    return Lag(pending, _received_at(counting.db, oldest), approximate=True)


def _statement(
    known: Known, ahead: Sequence[int], *, has_floors: bool
) -> tuple[str, tuple[object, ...]]:
    """Write the statement that counts a destination's pending events in one pass."""
    events, pending = _ONE_LANE, ["1"]
    values: list[object] = []
    if ahead:
        pending.append(_NOT_AHEAD)
        values.append(json.dumps(ahead))
    if has_floors:
        pending.append(NOT_PASSED)
        values += [known.name, known.lanes]
    if not known.selection.takes_all:
        wanted, patterns = known.selection.sql_condition()
        pending.append(wanted)
        values += patterns
    if known.lanes > 1:
        events = _LANES
        pending.append(_BEHIND_ITS_LANE)
        values += [known.name, known.lanes]
    return _COUNT.format(pending=" AND ".join(pending), events=events), tuple(values)


def _received_at(db: Connection, position: int | None) -> int | None:
    row = db.execute("SELECT received_at FROM outbox WHERE position = ?", (position,)).fetchone()
    return None if row is None else int(row[0])

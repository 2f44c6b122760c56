"""How far a destination is behind: exact while that is cheap, estimated beyond.

A destination's lag counts its own lanes and its own filter. With one lane, no
filter and no gaps in the positions, it is a subtraction. Otherwise rows are
counted, up to a bound; beyond it the count is extended at the rate found so
far and marked as approximate.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from streamer.core.limits import LAG_COUNT_EVENTS_MAX
from streamer.store import outbox
from streamer.store.cursors import Cursor
from streamer.store.destinations import Known
from streamer.store.sqlite import Connection

_BEHIND = """
FROM outbox JOIN cursors ON cursors.destination = ? AND cursors.replay_id = 0
    AND cursors.lanes = ? AND lane_key % cursors.lanes = cursors.lane
WHERE outbox.position > ? AND outbox.position <= ? AND outbox.position > cursors.position
"""
"""Events between two positions that lie behind the cursor of their own lane."""


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


def measure(db: Connection, known: Known, cursors: Sequence[Cursor], whole: Extent) -> Lag:
    """Measure one destination's lag by its live cursors."""
    live = [at for at in cursors if at.lane.lanes == known.lanes]
    if not live or whole.first_position is None:
        return Lag()
    behind = max(min(at.progress.position for at in live), whole.first_position - 1)
    if behind >= whole.last_position:
        return Lag()
    ahead = sum(len(at.progress.ahead) for at in live)
    if known.lanes == 1 and known.selection.takes_all and not whole.has_gaps:
        events = max(0, whole.last_position - behind - ahead)
        return Lag(events, _oldest(db, known, behind, whole.last_position))
    return _count(db, known, behind, ahead, whole)


def _count(db: Connection, known: Known, behind: int, ahead: int, whole: Extent) -> Lag:
    end, rows = db.execute(
        "SELECT max(position), count(*) FROM"
        " (SELECT position FROM outbox WHERE position > ? ORDER BY position LIMIT ?)",
        (behind, LAG_COUNT_EVENTS_MAX),
    ).fetchone()
    if not rows:
        return Lag()
    condition, parameters = known.selection.sql_condition()
    (found,) = db.execute(
        f"SELECT count(*) {_BEHIND} AND {condition}",
        (known.name, known.lanes, behind, end, *parameters),
    ).fetchone()
    oldest = _oldest(db, known, behind, end) if found else None
    if rows < LAG_COUNT_EVENTS_MAX:
        return Lag(max(0, found - ahead), oldest)
    beyond = min(whole.events, whole.last_position - end)
    return Lag(round(found + beyond * found / rows), oldest, approximate=True)


def _oldest(db: Connection, known: Known, behind: int, end: int) -> int | None:
    condition, parameters = known.selection.sql_condition()
    row = db.execute(
        f"SELECT received_at {_BEHIND} AND {condition} ORDER BY outbox.position LIMIT 1",
        (known.name, known.lanes, behind, end, *parameters),
    ).fetchone()
    return None if row is None else int(row[0])

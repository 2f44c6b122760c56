"""How far a destination is behind: exact while that is cheap, estimated beyond.

A destination's lag counts its own lanes and its own filter. With one lane, no
filter and no gaps in the positions, it is a subtraction. Otherwise rows are
counted, up to a bound; beyond it the count is extended at the rate found so
far and marked as approximate.
"""

from __future__ import annotations

import json
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
  AND outbox.position NOT IN (SELECT value FROM json_each(?))
  AND NOT EXISTS (SELECT 1 FROM cursors AS floor WHERE floor.destination = ?
    AND floor.replay_id = 0 AND floor.lanes <> ? AND lane_key % floor.lanes = floor.lane
    AND (outbox.position <= floor.position
         OR outbox.position IN (SELECT value FROM json_each(floor.ahead))))
"""
"""Events between two positions that lie behind the cursor of their own lane and that neither it
nor a cursor of an earlier lane count has settled."""


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
    """Measure one destination's lag by its cursors, floors among them."""
    live = [at for at in cursors if at.lane.lanes == known.lanes]
    if not live or whole.first_position is None:
        return Lag()
    behind = max(min(at.progress.position for at in live), whole.first_position - 1)
    if behind >= whole.last_position:
        return Lag()
    ahead = sorted(position for at in live for position in at.progress.ahead)
    floors = len(live) < len(cursors)
    if known.lanes == 1 and known.selection.takes_all and not (whole.has_gaps or floors):
        events = max(0, whole.last_position - behind - len(ahead))
        return Lag(events, _oldest(db, known, behind, whole.last_position, ahead))
    return _count(db, known, behind, whole, ahead)


def _count(db: Connection, known: Known, behind: int, whole: Extent, ahead: Sequence[int]) -> Lag:
    end, rows = db.execute(
        "SELECT max(position), count(*) FROM"
        " (SELECT position FROM outbox WHERE position > ? ORDER BY position LIMIT ?)",
        (behind, LAG_COUNT_EVENTS_MAX),
    ).fetchone()
    if not rows:
        return Lag()
    condition, parameters = _condition(known, behind, end, ahead)
    (found,) = db.execute(f"SELECT count(*) {condition}", parameters).fetchone()
    oldest = _oldest(db, known, behind, end, ahead) if found else None
    if rows < LAG_COUNT_EVENTS_MAX:
        return Lag(found, oldest)
    beyond = min(whole.events - rows, whole.last_position - end)
    return Lag(round(found + beyond * found / rows), oldest, approximate=True)


def _oldest(
    db: Connection, known: Known, behind: int, end: int, ahead: Sequence[int]
) -> int | None:
    condition, parameters = _condition(known, behind, end, ahead)
    row = db.execute(
        f"SELECT received_at {condition} ORDER BY outbox.position LIMIT 1", parameters
    ).fetchone()
    return None if row is None else int(row[0])


def _condition(
    known: Known, behind: int, end: int, ahead: Sequence[int]
) -> tuple[str, tuple[object, ...]]:
    """Return `_BEHIND` for one destination and its filter, with the values to bind."""
    wanted, patterns = known.selection.sql_condition()
    name, lanes = known.name, known.lanes
    return (
        f"{_BEHIND} AND {wanted}",
        (name, lanes, behind, end, json.dumps(ahead), name, lanes, *patterns),
    )

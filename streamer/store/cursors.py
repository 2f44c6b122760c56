"""Cursors: how far each destination is, lane by lane, and how it is doing.

A row is changed in two ways. The drain that owns it settles a batch, and an
operator moves it. Each row has a generation; an operator's change raises it,
and a settlement is refused when the generation is not the one that the drain
read. So a batch in flight never overwrites what an operator did meanwhile.

An event is settled for a destination when any cursor of it has passed it,
whatever the number of lanes at the time: cursors of an earlier lane count
stay as *floors* until the present ones have all passed them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from streamer.core.settlement import Progress
from streamer.store import outbox
from streamer.store.outbox import Lane
from streamer.store.sqlite import Connection


class CursorState(msgspec.Struct, frozen=True):
    """What of a drain's state outlives the process."""

    state: str = "ready"
    attempt: int = 0
    first_deferred_at: int | None = None
    next_attempt_at: int | None = None
    last_error: str = ""


class Cursor(msgspec.Struct, frozen=True):
    """One row of ``cursors``."""

    id: int
    destination: str
    replay_id: int
    lane: Lane
    generation: int
    progress: Progress
    state: CursorState
    moved_at: int

    def is_floor(self, lanes: int) -> bool:
        """Tell whether this is of the live order and an earlier lane count than the present one."""
        return not self.replay_id and self.lane.lanes != lanes

    def has_settled(self, position: int, lane_key: int) -> bool:
        """Tell whether this cursor has passed an event, which must be of its lane."""
        return self.lane.has(lane_key) and (
            position <= self.progress.position or position in self.progress.ahead
        )


NOT_PASSED = """
NOT EXISTS (
    SELECT 1 FROM cursors AS passed
    WHERE passed.destination = ? AND passed.replay_id = 0 AND passed.lanes <> ?
      AND outbox.lane_key % passed.lanes = passed.lane
      AND (outbox.position <= passed.position
           OR outbox.position IN (SELECT value FROM json_each(passed.ahead))))
"""
"""SQL over ``outbox``: no live-order cursor of a destination has settled the event; its name, and
a lane count whose cursors are left out (none has 0). It is `Cursor.has_settled` for many events."""

_COLUMNS = (
    "id, destination, replay_id, lanes, lane, generation, position, CAST(ahead AS BLOB), state,"
    " attempt, first_deferred_at, next_attempt_at, last_error, moved_at"
)
_decode_ahead = msgspec.json.Decoder(frozenset[int]).decode
_ADD = """
INSERT INTO cursors (destination, replay_id, lanes, lane, position, moved_at)
VALUES (?, ?, ?, ?, ?, ?)
"""
_SAVE = """
UPDATE cursors SET position = ?, ahead = ?, state = ?, attempt = ?, first_deferred_at = ?,
                   next_attempt_at = ?, last_error = ?,
                   last_error_at = CASE WHEN ? IS NULL THEN last_error_at ELSE ? END, moved_at = ?
WHERE id = ? AND generation = ?
"""


def load(db: Connection, destination: str, *, replay_id: int = 0) -> list[Cursor]:
    """Return a destination's cursors, or those of one of its replays."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM cursors WHERE destination = ? AND replay_id = ?"
        " ORDER BY lanes, lane",
        (destination, replay_id),
    )
    return [_cursor(row) for row in rows]


def load_all(db: Connection) -> list[Cursor]:
    """Return every cursor there is."""
    return [_cursor(row) for row in db.execute(f"SELECT {_COLUMNS} FROM cursors")]


def live(cursors: Sequence[Cursor], lanes: int) -> list[Cursor]:
    """Return those of a destination's that are no floors."""
    return [at for at in cursors if not at.is_floor(lanes)]


def _cursor(row: Sequence[Any]) -> Cursor:
    (cursor_id, destination, replay_id, lanes, lane, generation, position, ahead, *rest) = row
    state, attempt, first_deferred_at, next_attempt_at, last_error, moved_at = rest
    return msgspec.convert(
        {
            "id": cursor_id,
            "destination": destination,
            "replay_id": replay_id,
            "lane": {"lanes": lanes, "lane": lane},
            "generation": generation,
            "progress": {"position": position, "ahead": _read_ahead(ahead) or ()},
            "state": {
                "state": state,
                "attempt": attempt,
                "first_deferred_at": first_deferred_at,
                "next_attempt_at": next_attempt_at,
                "last_error": last_error or "",
            },
            "moved_at": moved_at,
        },
        Cursor,
    )


def _read_ahead(stored: bytes) -> frozenset[int] | None:
    """Read what was settled ahead; None when it cannot be read."""
    try:
        return _decode_ahead(stored)
    except msgspec.DecodeError:
        return None


def find_unreadable(db: Connection) -> dict[int, str]:
    """Find cursors whose settled positions ahead cannot be true, as destinations by cursor id.

    They are no list of positions, or not beyond the cursor, or were not given
    yet: then they would hide an event that is still to come.
    """
    last = outbox.last_position(db)
    rows = db.execute("SELECT id, destination, position, CAST(ahead AS BLOB) FROM cursors")
    found = {}
    for cursor_id, destination, position, stored in rows:
        ahead = _read_ahead(stored)
        if ahead is None or not all(position < at <= last for at in ahead):
            found[cursor_id] = destination
    return found


def mend(db: Connection) -> list[str]:
    """Forget what cannot be true of what was settled ahead; return the destinations concerned.

    What it named is sent again, once more than needed: the other way an event
    might be lost. The generation rises, as it does whenever a cursor is changed
    by another than its drain.
    """
    unreadable = find_unreadable(db)
    db.executemany(
        "UPDATE cursors SET ahead = '[]', generation = generation + 1 WHERE id = ?",
        [(cursor_id,) for cursor_id in unreadable],
    )
    return sorted(set(unreadable.values()))


def add(
    db: Connection,
    destination: str,
    lane: Lane,
    position: int,
    *,
    now: int,
    replay_id: int = 0,
) -> None:
    """Begin a cursor behind ``position``."""
    db.execute(_ADD, (destination, replay_id, lane.lanes, lane.lane, position, now))


def cover(db: Connection, destination: str, lanes: int, *, behind: int, now: int) -> None:
    """Give a destination a cursor for each of ``lanes`` lanes, where one is missing.

    It begins behind a position up to which everything is settled. A part of
    an earlier set may still be there as floors; what is missing of it is added.
    """
    present = {at.lane for at in load(db, destination)}
    for lane in (Lane(lanes, number) for number in range(lanes)):
        if lane not in present:
            add(db, destination, lane, behind, now=now)


def save(
    db: Connection,
    cursor_id: int,
    generation: int,
    *,
    progress: Progress,
    state: CursorState,
    now: int,
) -> bool:
    """Store where a cursor stands; False when an operator has changed it meanwhile."""
    error = state.last_error or None
    changed = db.execute(
        _SAVE,
        (
            progress.position,
            json.dumps(sorted(progress.ahead)),
            state.state,
            state.attempt,
            state.first_deferred_at,
            state.next_attempt_at,
            error,
            error,
            now,
            now,
            cursor_id,
            generation,
        ),
    )
    return changed.rowcount == 1


def move(db: Connection, destination: str, position: int, *, now: int) -> None:
    """Put all lanes of a destination behind ``position``, as an operator's act.

    Floors are dropped: they would call settled what is to be sent again.
    """
    db.execute(
        "DELETE FROM cursors WHERE destination = ? AND replay_id = 0 AND lanes <>"
        " (SELECT lanes FROM destinations WHERE name = ?)",
        (destination, destination),
    )
    db.execute(
        "UPDATE cursors SET position = ?, ahead = '[]', generation = generation + 1,"
        " state = 'ready', attempt = 0, first_deferred_at = NULL, next_attempt_at = NULL,"
        " moved_at = ? WHERE destination = ? AND replay_id = 0",
        (position, now, destination),
    )


def take_over(db: Connection, destination: str) -> dict[int, int]:
    """Make void what an earlier drain of this destination has still to write; see `generations`.

    A drain that was given up may have a settlement with the writer. Whoever
    follows it reads mark and cursors only after this, so that such a
    settlement was either written before or never will be.
    """
    db.execute(
        "UPDATE cursors SET generation = generation + 1 WHERE destination = ?", (destination,)
    )
    return generations(db, destination)


def generations(db: Connection, destination: str) -> dict[int, int]:
    """Return each live cursor's generation by its number; they tell one drain from the next."""
    rows = db.execute(
        "SELECT id, generation FROM cursors WHERE destination = ? AND replay_id = 0",
        (destination,),
    )
    return dict(rows.fetchall())


def stands_at(db: Connection, cursor_id: int, generation: int) -> Progress | None:
    """Return where a cursor stands; None when an operator has changed it meanwhile."""
    row = db.execute(
        "SELECT position, CAST(ahead AS BLOB) FROM cursors WHERE id = ? AND generation = ?",
        (cursor_id, generation),
    ).fetchone()
    return None if row is None else Progress(row[0], _read_ahead(row[1]) or frozenset())


def drop(db: Connection, destination: str, *, replay_id: int | None = None) -> None:
    """Delete a destination's cursors: all of them, or those of one replay."""
    if replay_id is None:
        db.execute("DELETE FROM cursors WHERE destination = ?", (destination,))
    else:
        db.execute(
            "DELETE FROM cursors WHERE destination = ? AND replay_id = ?", (destination, replay_id)
        )


def drop_passed_floors(db: Connection, destination: str, lanes: int) -> int:
    """Delete the cursors of earlier lane counts that every present one has passed.

    Nothing is done when ``lanes`` is not what is configured any more: then the
    other ones are those of the drain to come, which have passed nothing yet.
    """
    row = db.execute("SELECT lanes FROM destinations WHERE name = ?", (destination,)).fetchone()
    if row is None or row[0] != lanes:
        return 0
    own = load(db, destination)
    present = live(own, lanes)
    if not present:
        return 0
    slowest = min(cursor.progress.position for cursor in present)
    passed = [
        floor.id
        for floor in own
        if floor.is_floor(lanes)
        and max(floor.progress.position, *floor.progress.ahead, 0) <= slowest
    ]
    db.executemany("DELETE FROM cursors WHERE id = ?", [(floor,) for floor in passed])
    return len(passed)


def settled_everywhere(db: Connection) -> int | None:
    """Return the position up to which every cursor has settled.

    A floor does not hold anything back: the present lanes are behind it. Where
    there is no destination there is nobody to wait for, and all is settled;
    None when one has lost a cursor of its own: nobody knows what it has settled.
    """
    if db.execute("SELECT 1 FROM destinations").fetchone() is None:
        return outbox.last_position(db)
    lost = db.execute(
        "SELECT 1 FROM destinations WHERE lanes > (SELECT count(*) FROM cursors"
        " WHERE destination = name AND replay_id = 0 AND cursors.lanes = destinations.lanes)"
    ).fetchone()
    if lost is not None:
        return None
    row = db.execute(
        "SELECT min(cursors.position) FROM cursors JOIN destinations"
        " ON destinations.name = cursors.destination"
        " WHERE replay_id > 0 OR cursors.lanes = destinations.lanes"
    ).fetchone()
    return int(row[0])

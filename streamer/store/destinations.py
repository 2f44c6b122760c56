"""The destinations that the database knows, and how they begin, pause and are forgotten."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from streamer.core.alarms import HELD, ORPHAN_CURSOR, OUTAGE, UNSETTLED
from streamer.core.errors import UsageError
from streamer.core.selection import Selection
from streamer.store import alarms, cursors, facts, late_failures, outbox, prune
from streamer.store.sqlite import Connection


class Declared(msgspec.Struct, frozen=True):
    """A destination as the configuration has it."""

    name: str
    kind: str
    lanes: int = 1
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    start: str | int = "earliest"
    """``earliest``, ``now``, or a time of receipt in ms since 1970; only for a new destination."""


class Known(msgspec.Struct, frozen=True):
    """One row of ``destinations``."""

    name: str
    kind: str
    configured: bool
    paused_at: int | None
    poked: int
    mark: str | None
    lanes: int
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    accepted: int
    buried: int

    @property
    def selection(self) -> Selection:
        """Which events the destination wants."""
        return Selection(include=self.include, exclude=self.exclude)


_DECLARE = """
INSERT INTO destinations (name, kind, lanes, include, exclude) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    mark = CASE WHEN kind = excluded.kind THEN mark END,
    kind = excluded.kind, lanes = excluded.lanes, configured = 1,
    include = excluded.include, exclude = excluded.exclude
"""
_COLUMNS = (
    "name, kind, configured, paused_at, poked, mark, lanes, include, exclude, accepted, buried"
)


def declare(db: Connection, declared: Sequence[Declared], *, now: int) -> None:
    """Make the database know what is configured; what is no longer configured keeps its cursors."""
    db.execute("UPDATE destinations SET configured = 0")
    for one in declared:
        new = (
            db.execute("SELECT 1 FROM destinations WHERE name = ?", (one.name,)).fetchone() is None
        )
        db.execute(
            _DECLARE,
            (one.name, one.kind, one.lanes, json.dumps(one.include), json.dumps(one.exclude)),
        )
        # A known destination without any cursor has lost it: it starts over rather than skip.
        start = _start_position(db, one.start if new else "earliest")
        there = [at.progress.position for at in cursors.load(db, one.name)]
        if not there:
            # It has settled nothing, so retention starts anew for all that it is to be sent.
            prune.unmark_beyond(db, start)
        # An added lane begins where everything is known to be settled.
        cursors.cover(db, one.name, one.lanes, behind=min(there, default=start), now=now)


def _start_position(db: Connection, start: str | int) -> int:
    if start == "earliest":
        first = outbox.first_position(db)
        return outbox.last_position(db) if first is None else first - 1
    if start == "now":
        return outbox.last_position(db)
    first = outbox.first_since(db, int(start))
    return outbox.last_position(db) if first is None else first - 1


def load_all(db: Connection) -> list[Known]:
    """Return every destination that the database knows, by name."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM destinations ORDER BY name")
    return [_known(row) for row in rows]


def find(db: Connection, name: str) -> Known | None:
    """Return one destination, or None when there is none of that name."""
    row = db.execute(f"SELECT {_COLUMNS} FROM destinations WHERE name = ?", (name,)).fetchone()
    return None if row is None else _known(row)


def load(db: Connection, name: str) -> Known:
    """Return one destination; raises `UsageError` when there is none of that name."""
    known = find(db, name)
    if known is None:
        names = ", ".join(known.name for known in load_all(db)) or "none yet"
        raise UsageError(f"there is no destination {name!r}", hint=f"Known here: {names}.")
    return known


def _known(row: Sequence[object]) -> Known:
    fields = dict(zip(Known.__struct_fields__, row, strict=True))
    fields["include"] = json.loads(str(fields["include"]))
    fields["exclude"] = json.loads(str(fields["exclude"]))
    fields["configured"] = bool(fields["configured"])
    return msgspec.convert(fields, Known)


def pause(db: Connection, name: str, *, now: int) -> None:
    """Stop draining to a destination until it is resumed; survives a restart."""
    load(db, name)
    db.execute(
        "UPDATE destinations SET paused_at = coalesce(paused_at, ?) WHERE name = ?", (now, name)
    )
    facts.record_act(db, "pause", name, now=now)


def resume(db: Connection, name: str, *, now: int) -> None:
    """Drain again, and at once, even when the destination was waiting or held."""
    load(db, name)
    db.execute(
        "UPDATE destinations SET paused_at = NULL, poked = poked + 1 WHERE name = ?", (name,)
    )
    facts.record_act(db, "resume", name, now=now)


def retire(db: Connection, name: str) -> None:
    """Note that a destination is no longer configured; the service does so when it starts."""
    db.execute("UPDATE destinations SET configured = 0 WHERE name = ?", (name,))


def forget(db: Connection, name: str, *, now: int) -> None:
    """Drop a destination that is no longer configured, with its dead letters, replays and losses.

    Raises `UsageError` when it is configured: it would come back as a new one
    at the next start and be sent everything again.
    """
    known = load(db, name)
    if known.configured:
        raise still_configured(name)
    cursors.drop(db, name)
    for table in ("dead_letters", "replays", "ledger"):
        db.execute(f"DELETE FROM {table} WHERE destination = ?", (name,))
    late_failures.forget(db, name)
    db.execute("DELETE FROM destinations WHERE name = ?", (name,))
    for alarm in (HELD, OUTAGE, ORPHAN_CURSOR, UNSETTLED):
        alarms.clear(db, alarm.code, name, now=now)
    facts.record_act(db, "forget", name, now=now)


def still_configured(name: str) -> UsageError:
    """Make the error of whoever wants to forget a destination that is configured."""
    return UsageError(
        f"destination {name!r} is still in the configuration",
        hint="Take it out, reload the service, and forget it then.",
    )


def save_mark(db: Connection, name: str, mark: str) -> None:
    """Store a destination's own progress."""
    db.execute("UPDATE destinations SET mark = ? WHERE name = ?", (mark, name))


def add_counts(db: Connection, name: str, *, accepted: int, buried: int) -> None:
    """Add to a destination's counters."""
    db.execute(
        "UPDATE destinations SET accepted = accepted + ?, buried = buried + ? WHERE name = ?",
        (accepted, buried, name),
    )

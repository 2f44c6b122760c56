"""Is the database sound? Every invariant that SQL can state, looked at once.

Reads only, so it may run beside the service, but reads everything: minutes on
a large outbox.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from streamer.core.errors import StoreDamaged, StoreError
from streamer.core.limits import FINDINGS_MAX
from streamer.store import cursors, migrate, sqlite
from streamer.store.sqlite import Connection


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it must be."""

    what: str
    advice: str


_RESTORE = "Stop the service; then `streamer db restore` a copy, or `streamer db salvage` this one."
_MENDED = "The next start forgets it: at most one batch is sent again."
_TELL = "Nothing is lost by it, but it must not happen: please report it."

_INVARIANTS: tuple[tuple[str, str, str], ...] = (
    (
        "the counter of events says {0}, the outbox has {1}",
        "SELECT outbox_events, (SELECT count(*) FROM outbox) AS found FROM totals"
        " WHERE outbox_events <> found",
        _TELL,
    ),
    (
        "the counter of bytes says {0}, the bodies have {1}",
        "SELECT outbox_bytes, (SELECT coalesce(sum(length(CAST(body AS BLOB))), 0) FROM outbox)"
        " AS found FROM totals WHERE outbox_bytes <> found",
        _TELL,
    ),
    (
        "the counter of quarantined calls says {0}, there are {1}",
        "SELECT quarantine_rows, (SELECT count(*) FROM quarantine) AS found FROM totals"
        " WHERE quarantine_rows <> found",
        _TELL,
    ),
    (
        "the counter of quarantined bytes says {0}, there are {1}",
        "SELECT quarantine_bytes, (SELECT coalesce(sum(length(body)), 0) FROM quarantine)"
        " AS found FROM totals WHERE quarantine_bytes <> found",
        _TELL,
    ),
    (
        "the row of totals is missing",
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM totals)",
        _RESTORE,
    ),
    (
        "position {0} is in the outbox, but the sequence stands at {1}",
        "SELECT max(position) AS last, (SELECT coalesce(max(seq), 0) FROM sqlite_sequence"
        " WHERE name = 'outbox') AS given FROM outbox HAVING last > given",
        _RESTORE,
    ),
)
_DELIVERY_INVARIANTS: tuple[tuple[str, str, str], ...] = (
    (
        "a cursor of {0} stands at {1}, beyond the last position given",
        "SELECT destination, position FROM cursors WHERE position >"
        " (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox')"
        " AND replay_id = 0",
        _RESTORE,
    ),
    (
        "destination {0} has {1} lanes and {2} cursors for them",
        "SELECT name, lanes, (SELECT count(*) FROM cursors WHERE destination = name"
        " AND replay_id = 0 AND cursors.lanes = destinations.lanes) AS found FROM destinations"
        " WHERE found <> lanes",
        "The next start gives it those that are missing, at its slowest cursor.",
    ),
    (
        "a cursor belongs to {0}, which is no destination",
        "SELECT DISTINCT destination FROM cursors"
        " WHERE destination NOT IN (SELECT name FROM destinations)",
        _TELL,
    ),
    (
        "replay {0} is running without a cursor",
        "SELECT id FROM replays WHERE state = 'running' AND NOT EXISTS"
        " (SELECT 1 FROM cursors WHERE replay_id = replays.id)",
        "Cancel it with `streamer replay cancel`, and start it again.",
    ),
)
_DELIVERY_SCHEMA = 2
"""From this version of the schema on there are destinations."""


def check(path: Path) -> list[Finding]:
    """Look at everything; an empty list means that the database is sound.

    Raises `StoreError` when there is no such file, or this user may not read it.
    """
    try:
        db = sqlite.open_reader(path)
    except StoreDamaged as error:
        return [Finding(str(error), _RESTORE)]
    try:
        findings = _structure(db) or _version(db) or _invariants(db)
    except sqlite.Error as error:
        findings = [Finding(f"reading failed: {error}", _RESTORE)]
    finally:
        db.close()
    return findings


def _structure(db: Connection) -> list[Finding]:
    said = [str(line) for (line,) in db.execute(f"PRAGMA integrity_check({FINDINGS_MAX})")]
    found = [Finding(f"SQLite says: {line}", _RESTORE) for line in said if line != "ok"]
    for table, row, parent, _ in db.execute("PRAGMA foreign_key_check").fetchmany(FINDINGS_MAX):
        found.append(Finding(f"row {row} of {table} refers to nothing in {parent}", _RESTORE))
    return found


def _version(db: Connection) -> list[Finding]:
    try:
        version = migrate.require_known_schema(db, migrate.load_migrations())
    except StoreError as error:
        return [Finding(str(error), error.hint)]
    if version == 0:
        return [Finding("it has no tables of streamer", "Is it the right file?")]
    return []


def _invariants(db: Connection) -> list[Finding]:
    invariants = _INVARIANTS
    unreadable: dict[int, str] = {}
    if migrate.schema_version(db) >= _DELIVERY_SCHEMA:
        invariants += _DELIVERY_INVARIANTS
        unreadable = cursors.find_unreadable(db)
    return [
        Finding(what.format(*row), advice)
        for what, query, advice in invariants
        for row in db.execute(query).fetchmany(FINDINGS_MAX)
    ] + [
        Finding(f"what a cursor of {name} has settled ahead cannot be read", _MENDED)
        for name in unreadable.values()
    ]

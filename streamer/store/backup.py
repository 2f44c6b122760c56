"""A copy of the database, and the way back from it.

Going back in time has two dangers. Positions that were given since the copy
was made would be given again, to other events, while destinations, ledgers
and people still know the old ones: so the sequence leaps ahead. And what was
delivered since is behind the old cursors again: it is sent once more, which
the promise of "at least once" covers. A destination's own mark (such as the
length of a file) is older than what it describes, and cutting a file back to
it would delete lines of events that the copy does not hold: so marks are
forgotten, and a file destination begins a new segment.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import msgspec

from streamer.core.errors import StoreError
from streamer.core.limits import POSITION_LEAP
from streamer.disk import sync_directory, sync_file
from streamer.store import check, copies, facts, lockfile, migrate, outbox, sqlite
from streamer.store.sqlite import Connection

RESTORING = ".restoring"
_COMPANIONS = ("-wal", "-shm")
_REMEMBER_POSITION = """
INSERT INTO sqlite_sequence (name, seq)
SELECT 'outbox', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'outbox')
"""


class Backup(msgspec.Struct, frozen=True):
    """What a copy holds."""

    path: Path
    bytes: int
    schema: int
    events: int
    last_position: int


class Restored(msgspec.Struct, frozen=True):
    """What a restore did."""

    replaced: Path | None
    """Where the database that was there is now."""
    last_position: int
    """New events are given positions beyond it."""


def backup(path: Path, target: Path) -> Backup:
    """Copy the database into a new file, beside a running service; raises `StoreError`.

    The copy is one moment's state, is on the disk when this returns, and is
    readable by its owner alone.
    """
    sqlite.require_there(path)
    db = sqlite.connect_read_only(path)
    try:
        copies.write_copy(db, target)
    finally:
        db.close()
    return _describe(target)


def _describe(copy: Path) -> Backup:
    db = sqlite.open_reader(copy)
    try:
        (events,) = db.execute("SELECT outbox_events FROM totals").fetchone()
        return Backup(
            copy,
            copy.stat().st_size,
            migrate.schema_version(db),
            int(events),
            outbox.last_position(db),
        )
    except sqlite.Error as error:
        raise sqlite.map_error(error) from error
    finally:
        db.close()


def restore(copy: Path, path: Path, *, now: int) -> Restored:
    """Put a copy in the place of the database, whose service must be stopped.

    The database that was there is kept beside it under another name. Raises
    `StoreError`, with nothing changed, when the service runs or the copy is
    damaged, of a later version, or no database of ours.
    """
    with lockfile.hold(path.parent):
        _require_sound(copy)
        fresh = path.with_name(path.name + RESTORING)
        _remove(fresh)
        backup(copy, fresh)
        last_position = _make_ready(fresh, copy, now=now)
        replaced = _set_aside(path, now=now)
        fresh.replace(path)
        sync_directory(path.parent)
    return Restored(replaced, last_position)


def _require_sound(copy: Path) -> None:
    findings = check.check(copy)
    if findings:
        raise StoreError(
            f"{copy} is not sound: {findings[0].what}",
            hint="Take an earlier copy, or rescue what is readable with `streamer db salvage`.",
        )


def _make_ready(fresh: Path, copy: Path, *, now: int) -> int:
    """Bring the new database's schema up to date and make it safe to go on from."""
    db = sqlite.open_writer(fresh)
    try:
        migrate.apply_all(db)
        db.execute("BEGIN IMMEDIATE")
        last_position = leap(db)
        start_over(db)
        facts.record_act(
            db, "restore", f"from {copy.name}; positions go on after {last_position}", now=now
        )
        db.execute("COMMIT")
    except sqlite.Error as error:
        raise sqlite.map_error(error) from error
    finally:
        db.close()
    sync_file(fresh)
    return last_position


def leap(db: Connection) -> int:
    """Move the position sequence beyond everything that can have been given; return where it is."""
    db.execute(_REMEMBER_POSITION)
    db.execute(
        "UPDATE sqlite_sequence SET seq = max(seq, coalesce((SELECT max(position) FROM outbox), 0))"
        " + ? WHERE name = 'outbox'",
        (POSITION_LEAP,),
    )
    return outbox.last_position(db)


def start_over(db: Connection) -> None:
    """Let every destination be tried at once, from its cursor, without a mark of its own."""
    db.execute(
        "UPDATE cursors SET generation = generation + 1, state = 'ready', attempt = 0,"
        " first_deferred_at = NULL, next_attempt_at = NULL"
    )
    db.execute("UPDATE destinations SET mark = NULL")


def _set_aside(path: Path, *, now: int) -> Path | None:
    """Give the present database another name, with its log; None when there is none."""
    if not path.exists():
        _remove(path)  # a log without its database would be read into the new one
        return None
    _settle_log(path)
    aside = _free_name(path, now)
    # The log goes first: left behind, it would be read into the new database.
    log = path.with_name(path.name + "-wal")
    if log.exists():
        log.rename(aside.with_name(aside.name + "-wal"))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    os.link(path, aside)
    sync_directory(path.parent)
    return aside


def _settle_log(path: Path) -> None:
    """Move the log into a readable database, so that one file is all of it.

    Nothing is written to a damaged one: it is evidence, and its log may be
    needed to salvage it.
    """
    try:
        db = sqlite.open_reader(path)
        with closing(db):
            (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if said == "ok":
            with closing(sqlite.open_writer(path)) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except (StoreError, sqlite.Error):
        return


def _free_name(path: Path, now: int) -> Path:
    number = now
    while (aside := path.with_name(f"{path.stem}-replaced-{number}{path.suffix}")).exists():
        number += 1
    return aside


def _remove(path: Path) -> None:
    for name in (path.name, *(path.name + companion for companion in _COMPANIONS)):
        path.with_name(name).unlink(missing_ok=True)

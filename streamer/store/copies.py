"""Whole copies of the database: written so that they are complete or not there at all.

``VACUUM INTO`` reads one snapshot and so does not care how busy the service
is, but it does not sync what it wrote. A copy is therefore written under
another name, synced, and only then given its own. It holds personal data: its
owner alone can read it, and those that migrations leave behind expire.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from streamer.core.errors import StoreError
from streamer.disk import make_directory, sync_directory, sync_file
from streamer.store import sqlite
from streamer.store.sqlite import Connection

DIRECTORY = "copies"
PARTIAL = ".partial"
_BEFORE_MIGRATION = re.compile(r"streamer-schema\d+-(\d+)\.db(?:\.partial)?")


def write_copy(db: Connection, target: Path) -> None:
    """Copy the whole database that ``db`` has open into a new file; never overwrites one.

    ``db`` must be outside a transaction. Raises `StoreError`.
    """
    if target.exists():
        raise StoreError(f"{target} exists already", hint="Name a file that does not exist.")
    partial = target.with_name(target.name + PARTIAL)
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        db.execute("VACUUM INTO ?", (str(partial),))
        sync_file(partial)
        partial.rename(target)
        sync_directory(target.parent)
    except sqlite.Error as error:
        partial.unlink(missing_ok=True)
        raise sqlite.map_error(error) from error
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(
            f"the copy {target} cannot be written ({error.strerror})",
            hint="Name a place on a disk with room that this user may write to.",
        ) from error


def before_migration(database: Path, version: int, *, now: int) -> Path:
    """Name the copy that is made before a schema is changed, and make its directory."""
    directory = database.parent / DIRECTORY
    make_directory(directory)
    return directory / f"streamer-schema{version}-{now}.db"


def expire(database: Path, *, older_than: int) -> list[Path]:
    """Delete copies that were made for migrations before ``older_than`` (ms since 1970).

    They hold personal data.
    """
    expired = [
        copy
        for copy in sorted((database.parent / DIRECTORY).glob("streamer-schema*"))
        if (made := _BEFORE_MIGRATION.fullmatch(copy.name)) and int(made[1]) < older_than
    ]
    for copy in expired:
        copy.unlink(missing_ok=True)
    return expired

"""Brings a database to the schema that this program knows.

Migrations are the numbered files of ``migrations/``, applied in order, each
in one transaction together with its number in ``PRAGMA user_version``: a
crash leaves the old schema or the new one, never something between. A
database that holds events is copied before it is touched; a database of a
later version is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from streamer.core.errors import StoreError
from streamer.store import copies, sqlite
from streamer.store.sqlite import Connection

SCHEMA_FILE = "schema.sql"
"""The sum of the migrations, written by `streamer.store.schema` for people to read."""

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class Migration(msgspec.Struct, frozen=True):
    """One numbered file."""

    number: int
    name: str
    sql: str


def migrations_directory() -> Path:
    """Find the files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def load_migrations(directory: Path | None = None) -> list[Migration]:
    """Read the files in order; a gap in the numbers, or an odd name, is a broken installation."""
    found: list[Migration] = []
    for path in sorted((directory or migrations_directory()).glob("*.sql")):
        if path.name == SCHEMA_FILE:
            continue
        name = _NAME.fullmatch(path.name)
        if name is None or int(name[1]) != len(found) + 1:
            raise StoreError(
                f"the migrations are not numbered 0001, 0002, …: {path.name} is out of place",
                hint="The installation is damaged: install streamer again.",
            )
        found.append(Migration(len(found) + 1, path.name, path.read_text(encoding="utf-8")))
    if not found:
        raise StoreError(
            "the migrations are missing", hint="The installation is damaged: install it again."
        )
    return found


def schema_version(db: Connection) -> int:
    """Return the number of the last migration that was applied; 0 for an empty database."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def require_known_schema(db: Connection, migrations: list[Migration]) -> int:
    """Return the database's version; refuse one that a later program has written."""
    version = schema_version(db)
    if version > len(migrations):
        raise StoreError(
            f"the database has schema {version}, this program knows {len(migrations)}",
            hint="Install the newer streamer again, or go back to the copy that it made before it "
            f"migrated (in {copies.DIRECTORY}/ of the data directory) with `streamer db restore`.",
        )
    return version


def migrate(db: Connection, path: Path, *, now: int) -> list[Migration]:
    """Apply what is missing, after copying a database that is in use; return what was applied."""
    migrations = load_migrations()
    version = require_known_schema(db, migrations)
    pending = migrations[version:]
    if pending and version > 0:
        copy_before(db, path, version, now=now)
    return [migration for migration in pending if apply(db, migration)]


def apply_all(db: Connection) -> None:
    """Bring a database that is being made to this program's schema; it need not be copied."""
    for migration in load_migrations():
        apply(db, migration)


def apply(db: Connection, migration: Migration) -> bool:
    """Apply one migration and its number in one transaction.

    False when another process has applied it in the meantime.
    """
    try:
        db.execute("BEGIN IMMEDIATE")
        if schema_version(db) >= migration.number:
            db.execute("ROLLBACK")
            return False
        for statement in statements(migration.sql):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {migration.number}")
        db.execute("COMMIT")
    except sqlite.Error as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise sqlite.map_error(error) from error
    return True


def statements(sql: str) -> Iterator[str]:
    """Split a script: Python's `executescript` would commit before each script it runs."""
    statement = ""
    for piece in re.split(r"(?<=;)", sql):
        statement += piece
        if sqlite.complete_statement(statement):
            yield statement.strip()
            statement = ""


def copy_before(db: Connection, path: Path, version: int, *, now: int) -> Path:
    """Write a whole copy of the database beside it, readable by its owner alone."""
    copy = copies.before_migration(path, version, now=now)
    copies.write_copy(db, copy)
    return copy

"""Writes ``migrations/schema.sql``: the whole schema in one file, for people to read.

The program never runs that file; a test holds it to the sum of the
migrations. After adding a migration, write it anew from a checkout::

    python -m streamer.store.schema
"""

from __future__ import annotations

from streamer.store import migrate
from streamer.store.sqlite import Connection, open_in_memory

_HEADER = """\
-- The schema as all migrations together leave it. Written by
--     python -m streamer.store.schema
-- and not to be edited: change it with a new migration.
"""


def schema_text() -> str:
    """Return the schema that the migrations make, as one script."""
    db = open_in_memory()
    try:
        migrate.apply_all(db)
        return "\n".join([_HEADER, *(f"{sql};\n" for sql in described(db))])
    finally:
        db.close()


def described(db: Connection) -> list[str]:
    """Return what made each table, index and view of a database, in that order."""
    rows = db.execute(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        " ORDER BY type = 'view', rowid"
    )
    return [str(sql) for (sql,) in rows]


def main() -> None:
    """Write the file."""
    path = migrate.migrations_directory() / migrate.SCHEMA_FILE
    path.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The schema refuses rows that make no sense, and its summary is what the migrations make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from streamer.store import migrate, schema, sqlite
from streamer.store.sqlite import Connection


@pytest.fixture
def db() -> Iterator[Connection]:
    """An empty database at the present schema."""
    connection = sqlite.open_in_memory()
    connection.execute("PRAGMA foreign_keys = ON")
    migrate.apply_all(connection)
    yield connection
    connection.close()


GOOD: dict[str, dict[str, object]] = {
    "outbox": {
        "position": 1, "lane_key": 0, "received_at": 1, "source": "s", "event_id": "e",
        "body": "{}",
    },
    "totals": {"id": 1},
    "sources": {"name": "s"},
    "quarantine": {
        "source": "s", "reason": "r", "received_at": 1, "last_received_at": 1,
        "body_sha256": b"x" * 32, "body_bytes": 1, "body": b"x",
    },
    "destinations": {"name": "d", "kind": "http"},
    "replays": {
        "destination": "d", "kind": "range", "from_position": 1, "to_position": 1,
        "created_at": 1, "events": 1,
    },
    "cursors": {"destination": "d", "position": 0, "moved_at": 1},
    "dead_letters": {
        "destination": "d", "position": 1, "source": "s", "event_id": "e", "reason": "r",
        "attempts": 1, "buried_at": 1,
    },
    "ledger": {
        "destination": "d", "first_position": 1, "last_position": 1, "events": 1, "attempt": 1,
        "first_settled_at": 1, "settled_at": 1, "duration_ms": 0,
    },
    "settled_marks": {"position": 1, "at": 1},
    "late_failures": {
        "destination": "d", "batch_id": "b", "record_id": "r", "code": "c", "lost_at": 1,
        "found_at": 1,
    },
    "reconciliations": {"destination": "d", "looked_at": 1, "until": 1},
    "alarms": {"code": "c", "message": "m", "first_at": 1, "last_at": 1},
    "operator_acts": {"at": 1, "act": "a", "detail": "d"},
    "facts": {"name": "f", "value": 1},
    "drift": {
        "kind": "field", "type": "email.sent", "path": "data.x", "events": 1, "first_at": 1,
        "last_at": 1, "position": 1,
    },
}  # fmt: skip

BAD: list[tuple[str, dict[str, object]]] = [
    ("outbox", {"lane_key": -1}),
    ("outbox", {"lane_key": 2**32}),
    ("outbox", {"event_id": ""}),
    ("outbox", {"event_id": "x" * 513}),
    ("outbox", {"body": b"bytes"}),
    ("outbox", {"body": None}),
    ("outbox", {"received_at": "yesterday"}),
    ("outbox", {"occurred_at": 1.5}),
    ("totals", {"id": 2}),
    ("totals", {"outbox_events": -1}),
    ("totals", {"quarantine_bytes": -1}),
    ("quarantine", {"body_sha256": b"short"}),
    ("quarantine", {"body": b"longer than said"}),
    ("quarantine", {"body": "text"}),
    ("quarantine", {"times": 0}),
    ("destinations", {"configured": 2}),
    ("destinations", {"lanes": 0}),
    ("destinations", {"include": "email.*"}),
    ("destinations", {"exclude": "["}),
    ("late_failures", {"batch_id": ""}),
    ("late_failures", {"record_id": "x" * 513}),
    ("late_failures", {"code": None}),
    ("late_failures", {"position": 1}),
    ("late_failures", {"source": "s", "event_id": "e"}),
    ("late_failures", {"buried": 1}),
    ("late_failures", {"position": 1, "source": "s", "event_id": "e", "buried": 2}),
    ("replays", {"kind": "other"}),
    ("replays", {"kind": "events"}),
    ("replays", {"positions": "[1]"}),
    ("replays", {"state": "done"}),
    ("replays", {"state": "lost", "finished_at": 1}),
    ("replays", {"finished_at": 1}),
    ("cursors", {"position": -1}),
    ("cursors", {"lane": 1}),
    ("cursors", {"lane": -1}),
    ("cursors", {"lanes": 0}),
    ("cursors", {"generation": 0}),
    ("cursors", {"ahead": "1 2"}),
    ("cursors", {"state": "sleeping", "next_attempt_at": 1}),
    ("cursors", {"state": "waiting"}),
    ("cursors", {"next_attempt_at": 1}),
    ("cursors", {"attempt": -1}),
    ("dead_letters", {"position": 2}),
    ("dead_letters", {"attempts": 0}),
    ("dead_letters", {"state": "accepted"}),
    ("dead_letters", {"state": "lost"}),
    ("dead_letters", {"closed_at": 1}),
    ("ledger", {"last_position": 0}),
    ("ledger", {"events": 0}),
    ("ledger", {"attempt": 0}),
    ("ledger", {"duration_ms": -1}),
    ("alarms", {"times": 0}),
    ("facts", {"value": "text"}),
    ("drift", {"kind": "other"}),
    ("drift", {"type": "x" * 151}),
    ("drift", {"path": "x" * 351}),
    ("drift", {"path": None}),
    ("drift", {"events": 0}),
    ("drift", {"first_at": 2}),
    ("drift", {"position": 0}),
]


def insert(db: Connection, table: str, row: dict[str, object]) -> None:
    marks = ", ".join("?" * len(row))
    db.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})",  # noqa: S608 - names from above
        tuple(row.values()),
    )


def prepare(db: Connection, table: str) -> None:
    db.execute("DELETE FROM totals")
    if table == "dead_letters":
        insert(db, "outbox", GOOD["outbox"])


@pytest.mark.parametrize("table", GOOD)
def test_a_sensible_row_is_taken(db: Connection, table: str) -> None:
    prepare(db, table)
    insert(db, table, GOOD[table])


@pytest.mark.parametrize(("table", "change"), BAD)
def test_a_senseless_row_is_refused(db: Connection, table: str, change: dict[str, object]) -> None:
    prepare(db, table)
    with pytest.raises(sqlite.Error):
        insert(db, table, GOOD[table] | change)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("outbox", {"position": 9}),
        ("quarantine", {}),
        ("cursors", {}),
        ("dead_letters", {}),
        ("late_failures", {"code": "another"}),
        ("reconciliations", {"until": 2}),
        ("destinations", {}),
        ("alarms", {}),
    ],
)
def test_what_is_kept_once_is_refused_twice(
    db: Connection, table: str, change: dict[str, object]
) -> None:
    prepare(db, table)
    insert(db, table, GOOD[table])
    with pytest.raises(sqlite.Error, match="UNIQUE"):
        insert(db, table, GOOD[table] | change)


def test_each_table_is_strict_and_tried_here(db: Connection) -> None:
    rows = db.execute("PRAGMA table_list").fetchall()
    tables = {row[1]: bool(row[5]) for row in rows if row[2] == "table"}
    tables = {name: strict for name, strict in tables.items() if not name.startswith("sqlite_")}
    assert tables == dict.fromkeys(GOOD, True)


def test_the_summary_is_what_the_migrations_make(db: Connection) -> None:
    path = migrate.migrations_directory() / migrate.SCHEMA_FILE
    text = path.read_text(encoding="utf-8")
    assert text == schema.schema_text(), "run python -m streamer.store.schema"
    with closing(sqlite.open_in_memory()) as other:
        other.executescript(text)
        assert schema.described(other) == schema.described(db)

"""The views for people say what the tables say, in the old SQLite that Debian has as well."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streamer.core.times import rfc3339
from streamer.store import alarms, status
from streamer.store.sqlite import Connection
from tests.store.build import NOW, append, event, fill_every_table, open_fresh, unreadable

VIEWS = {
    "v_events", "v_outbox", "v_cursors", "v_destinations", "v_lag", "v_dead_letters",
    "v_quarantine", "v_ledger", "v_replays", "v_sources", "v_alarms", "v_operator_acts", "v_drift",
    "v_late_failures", "v_reconciliations",
}  # fmt: skip
"""A contract: people and their scripts know these names."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "streamer.db"


@pytest.fixture
def db(path: Path) -> Iterator[Connection]:
    """A database with rows in every table."""
    with closing(open_fresh(path)) as connection:
        fill_every_table(connection)
        yield connection


def select(db: Connection, query: str) -> list[dict[str, Any]]:
    cursor = db.execute(query)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_the_views_have_the_names_that_people_know(db: Connection) -> None:
    rows = select(db, "SELECT name FROM sqlite_schema WHERE type = 'view'")
    assert {row["name"] for row in rows} == VIEWS


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="the sqlite3 shell is not installed")
@pytest.mark.parametrize("view", sorted(VIEWS))
def test_the_systems_sqlite3_reads_each_view_as_we_do(
    db: Connection, path: Path, view: str
) -> None:
    columns = [
        row["name"] for row in select(db, f"PRAGMA table_info({view})") if row["name"] != "seconds"
    ]
    query = f"SELECT {', '.join(columns)} FROM {view}"  # noqa: S608 - names from above
    done = subprocess.run(
        ["sqlite3", "-readonly", "-json", str(path), query],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == ""
    ours = select(db, query)
    assert ours
    assert json.loads(done.stdout) == json.loads(json.dumps(ours))


def test_an_event_is_opened_into_columns(db: Connection) -> None:
    identifiers = {"cio_id": "c1", "id": "42", "email": "a@example.com"}
    data = {
        "identifiers": identifiers, "customer_id": "43", "recipient": "b@example.com",
        "subject": "Zoë", "delivery_id": "d1", "campaign_id": 5, "failure_message": "bounced",
    }  # fmt: skip
    document = {"event_id": "event-x", "data": data}
    append(db, event("x", body=json.dumps(document).encode(), occurred_at=None))
    (row,) = select(db, "SELECT * FROM v_events WHERE event_id = 'event-x'")
    assert row["received"] == rfc3339(NOW)
    assert (row["occurred"], row["type"], row["position"]) == (None, "email.sent", 23)
    assert [row[name] for name in ("cio_id", "customer_id", "email", "recipient", "subject",
                                   "delivery_id", "campaign_id", "broadcast_id",
                                   "failure_message")] == [
        "c1", "42", "a@example.com", "b@example.com", "Zoë", "d1", 5, None, "bounced",
    ]  # fmt: skip
    assert row["body_bytes"] == len(row["body"].encode())


@pytest.mark.parametrize(
    "body", [b"not json", b"[1]", b'{"data": 5}', b'{"data": {"recipient": {}}}']
)
def test_a_body_of_another_shape_does_not_break_the_view(db: Connection, body: bytes) -> None:
    deep = b'{"event_id": "d", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    append(db, event("odd2", body=body), event("deep", body=deep))
    rows = select(db, "SELECT event_id, email, type FROM v_events ORDER BY position DESC LIMIT 2")
    assert [row["event_id"] for row in rows] == ["event-deep", "event-odd2"]
    assert {row["email"] for row in rows} == {None}


def test_a_missing_type_reads_unknown(db: Connection) -> None:
    rows = select(db, "SELECT type FROM v_events WHERE event_id = 'event-odd'")
    assert rows == [{"type": "unknown.unknown"}]


def test_times_are_right_to_the_millisecond(db: Connection) -> None:
    moments = [NOW + number for number in range(1000)] + [0, 253_402_300_799_999]
    db.execute("DELETE FROM alarms")
    db.executemany(
        "INSERT INTO alarms (code, message, first_at, last_at) VALUES (?, '', ?, ?)",
        [(f"{number:04}", at, at) for number, at in enumerate(moments)],
    )
    rows = select(db, "SELECT first_raised FROM v_alarms ORDER BY code")
    assert [row["first_raised"] for row in rows] == [rfc3339(at) for at in moments]


def test_destinations_read_as_in_status(db: Connection) -> None:
    said = status.read(db, now=NOW).destinations
    for row in select(db, "SELECT * FROM v_destinations"):
        known = said[row["destination"]]
        for name in ("kind", "state", "cursor", "attempt", "next_attempt", "dead_letters",
                     "replays", "accepted"):  # fmt: skip
            column = "next_attempt_at" if name == "next_attempt" else name
            assert row[name] == getattr(known, column), name
        assert (row["last_error"] or "") == known.last_error
        assert row["positions_behind"] == 22 - known.cursor
    lags = {row["destination"]: row["events"] for row in select(db, "SELECT * FROM v_lag")}
    assert lags == {name: known.lag_events for name, known in said.items()}


def test_a_caught_up_destination_has_no_lag(db: Connection) -> None:
    db.execute("UPDATE cursors SET position = 22, ahead = '[]'")
    for row in select(db, "SELECT * FROM v_lag"):
        assert (row["events"], row["oldest_received"], row["seconds"]) == (0, None, 0)


def test_the_outbox_reads_as_in_status(db: Connection) -> None:
    said = status.read(db, now=NOW).outbox
    (row,) = select(db, "SELECT * FROM v_outbox")
    assert (row["events"], row["bytes"]) == (said.events, said.bytes)
    assert (row["first_position"], row["last_position"]) == (1, 22)
    assert row["oldest_received"] == rfc3339(NOW)


def test_cursors_say_which_they_are(db: Connection) -> None:
    db.execute("UPDATE destinations SET lanes = 2 WHERE name = 'hook'")
    rows = select(db, "SELECT destination, role, state FROM v_cursors ORDER BY 1, 2")
    roles = {(row["destination"], row["role"]): row["state"] for row in rows}
    assert roles == {
        ("archive", "live"): "ready", ("archive", "replay 1"): "ready",
        ("archive", "replay 2"): "ready", ("hook", "floor"): "paused", ("lake", "live"): "waiting",
    }  # fmt: skip


def test_letters_quarantine_ledger_and_replays_are_readable(db: Connection) -> None:
    append(db, unreadable(b"x" * 500, body_bytes=900, body_sha256=b"h" * 32))
    (letter,) = select(db, "SELECT * FROM v_dead_letters")
    assert (letter["state"], letter["type"], letter["event_id"]) == (
        "retrying", "email.sent", "event-8",
    )  # fmt: skip
    rows = select(db, "SELECT reason, cut, beginning, sha256 FROM v_quarantine ORDER BY id")
    assert [row["cut"] for row in rows] == ["no", "no", "yes"]
    assert [row["beginning"] for row in rows[1:]] == ["X'FF007B'", "x" * 200]
    assert rows[2]["sha256"] == b"h".hex() * 32
    ledger = select(db, "SELECT role, first_position, last_position, receipt FROM v_ledger")
    assert ledger[0] == {
        "role": "live", "first_position": 1, "last_position": 7, "receipt": "receipt-1",
    }  # fmt: skip
    replays = select(db, "SELECT kind, state, cursor, created FROM v_replays ORDER BY id")
    assert replays[0] == {
        "kind": "range", "state": "running", "cursor": 1, "created": rfc3339(NOW),
    }  # fmt: skip


def test_a_cleared_alarm_is_not_shown(db: Connection) -> None:
    assert len(select(db, "SELECT * FROM v_alarms")) == 1
    alarms.clear(db, "STR-301", "lake", now=NOW)
    assert select(db, "SELECT * FROM v_alarms") == []

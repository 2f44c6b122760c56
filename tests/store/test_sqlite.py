"""Connections are durable, private and mapped: no exception of SQLite's leaves them raw."""

from __future__ import annotations

import stat
from contextlib import closing
from pathlib import Path

import pytest

from streamer.core.errors import ConfigurationError, StoreBusy, StoreDamaged, StoreError
from streamer.store import sqlite
from streamer.store.sqlite import Connection
from tests.store.build import append, event, read_all


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ("3.7.0", False), ("3.40.1", False), ("3.44.5", False), ("3.44.6", True),
        ("3.45.0", False), ("3.50.6", False), ("3.50.7", True), ("3.51.0", False),
        ("3.51.2", False), ("3.51.3", True), ("3.52.0", False), ("3.52.1", True),
        ("3.53.4", True), ("4.0.0", True),
    ],
)  # fmt: skip
def test_only_versions_with_the_fix_are_safe(version: str, *, safe: bool) -> None:
    assert sqlite.is_safe_version(version) is safe


def test_an_unsafe_version_is_refused_unless_the_operator_insists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sqlite, "VERSION", "3.40.1")
    with pytest.raises(ConfigurationError, match=r"SQLite 3\.40\.1") as refused:
        sqlite.require_safe_version(allow_unsafe=False)
    assert (refused.value.exit_code, "allow_unsafe_sqlite" in refused.value.hint) == (78, True)
    sqlite.require_safe_version(allow_unsafe=True)


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"), ("synchronous", 2), ("auto_vacuum", 2), ("secure_delete", 1),
        ("foreign_keys", 1), ("wal_autocheckpoint", 0), ("busy_timeout", 500),
    ],
)  # fmt: skip
def test_the_writer_is_durable_and_tidy(db: Connection, pragma: str, value: object) -> None:
    assert db.execute(f"PRAGMA {pragma}").fetchone()[0] == value


def test_the_database_and_its_log_are_private(db: Connection, path: Path) -> None:
    append(db, event(1))
    for name in ("streamer.db", "streamer.db-wal", "streamer.db-shm"):
        assert stat.S_IMODE(path.with_name(name).stat().st_mode) == 0o600


def test_a_reader_sees_commits_and_cannot_write(db: Connection, path: Path) -> None:
    append(db, event(1))
    with closing(sqlite.open_reader(path)) as reader:
        assert len(read_all(reader)) == 1
        with pytest.raises(sqlite.OperationalError) as refused:
            reader.execute("DELETE FROM outbox")
    mapped = sqlite.map_error(refused.value)
    assert "sudo -u" in mapped.hint
    assert len(read_all(db)) == 1


def test_a_reader_opens_what_a_stopped_service_left(db: Connection, path: Path) -> None:
    append(db, event(1))
    db.close()
    assert not path.with_name("streamer.db-wal").exists()
    with closing(sqlite.open_reader(path)) as reader:
        assert len(read_all(reader)) == 1


def test_a_reader_makes_no_database(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no database") as missing:
        sqlite.open_reader(path)
    assert "streamer serve" in missing.value.hint
    assert list(tmp_path.iterdir()) == []


def test_odd_names_are_no_options(tmp_path: Path) -> None:
    path = tmp_path / "50% #1?mode=memory.db"
    with closing(sqlite.open_writer(path)) as writer:
        writer.execute("CREATE TABLE t (x)")
    assert path.stat().st_size > 0


def test_a_writer_needs_a_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be made"):
        sqlite.open_writer(tmp_path / "none" / "streamer.db")


@pytest.mark.parametrize(
    "junk", [b"This is no database. " * 400, b"SQLite format 3\0" + b"x" * 9000]
)
def test_a_file_that_is_no_database_is_called_damaged(path: Path, junk: bytes) -> None:
    path.write_bytes(junk)
    for opening in (sqlite.open_writer, sqlite.open_reader):
        with pytest.raises(StoreDamaged) as damaged:
            opening(path)
        assert "not a database" in str(damaged.value)
        assert "data_dir" in damaged.value.hint
        assert "db restore" in damaged.value.hint


def provoke(path: Path, db: Connection, what: str) -> Exception:
    """Make SQLite raise for a real reason."""
    with closing(sqlite.open_writer(path)) as other, pytest.raises(sqlite.Error) as raised:
        match what:
            case "locked":
                other.execute("PRAGMA busy_timeout = 0")
                db.execute("BEGIN IMMEDIATE")
                other.execute("BEGIN IMMEDIATE")
            case "stale":
                other.execute("BEGIN")
                other.execute("SELECT count(*) FROM outbox").fetchone()
                append(db, event(1))
                other.execute("DELETE FROM outbox")
            case "full":
                pages = other.execute("PRAGMA page_count").fetchone()[0]
                other.execute(f"PRAGMA max_page_count = {pages}")
                append(other, event(1, body=b'"' + b"x" * 50_000 + b'"'))
            case "interrupted":
                other.set_progress_handler(lambda: 1, 1)
                other.execute("SELECT count(*) FROM outbox").fetchone()
            case "constraint":
                other.execute("INSERT INTO totals (id) VALUES (2)")
            case "nonsense":
                other.execute("SELECT full, locked FROM malformed")
    return raised.value


@pytest.mark.parametrize(
    ("what", "kind", "text", "blames"),
    [
        ("locked", StoreBusy, "write lock", True),
        ("stale", StoreBusy, "write lock", True),
        ("full", StoreError, "disk is full", True),
        ("interrupted", StoreError, "interrupted", True),
        ("constraint", StoreError, "CHECK", False),
        ("nonsense", StoreError, "no such table: malformed", False),
    ],
)
def test_each_error_of_sqlite_becomes_one_that_an_operator_can_act_on(
    db: Connection, path: Path, what: str, kind: type[StoreError], text: str, *, blames: bool
) -> None:
    error = provoke(path, db, what)
    mapped = sqlite.map_error(error)
    assert type(mapped) is kind
    assert text in str(mapped)
    assert sqlite.blames_store(error) is blames
    assert sqlite.may_pass(error) is blames


def test_damage_is_the_stores_fault_and_does_not_pass(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"no database at all " * 1_000)
    with pytest.raises(StoreDamaged) as raised:
        sqlite.connect_read_only(garbage)
    cause = raised.value.__cause__
    assert isinstance(cause, sqlite.Error)
    assert sqlite.blames_store(cause)
    assert not sqlite.may_pass(cause)


def test_no_room_for_the_file_that_connections_share_is_a_full_disk() -> None:
    error = sqlite.OperationalError("disk I/O error")
    error.sqlite_errorcode = 10 | 19 << 8  # as SQLite documents IOERR_SHMSIZE
    assert str(sqlite.map_error(error)) == "the disk is full"
    error.sqlite_errorcode = 10 | 1 << 8  # IOERR_READ: the disk is ill
    assert "failing" in str(sqlite.map_error(error))


def test_errors_of_pythons_own_blame_nobody_else(db: Connection) -> None:
    with pytest.raises(UnicodeEncodeError) as raised:
        db.execute("SELECT ?", ("\ud800",))
    assert not sqlite.blames_store(raised.value)
    with pytest.raises(OverflowError) as too_large:
        db.execute("SELECT ?", (2**64,))
    assert not sqlite.blames_store(too_large.value)


def test_a_writer_is_opened_beside_one_that_has_the_lock(db: Connection, path: Path) -> None:
    """A command waits for the lock once it has something to write, and tries again then."""
    db.execute("BEGIN IMMEDIATE")
    with closing(sqlite.open_writer(path)) as other:
        assert other.execute("PRAGMA auto_vacuum").fetchone()[0] == 2

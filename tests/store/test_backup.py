"""A backup is whole; a restore keeps what it replaces and never gives a position twice."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streamer.core.errors import StoreError
from streamer.core.limits import POSITION_LEAP
from streamer.store import (
    backup,
    check,
    cursors,
    destinations,
    lockfile,
    migrate,
    outbox,
    sqlite,
)
from streamer.store.destinations import Declared
from streamer.store.sqlite import Connection
from tests.store.build import (
    NOW,
    accept,
    append,
    declare,
    event,
    fill_every_table,
    only_cursor,
    open_fresh,
    read_all,
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where the copy goes: another directory, as on another disk."""
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere" / "copy.db"


@pytest.fixture
def filled(db: Connection) -> Iterator[Connection]:
    """A database with rows in every table."""
    fill_every_table(db)
    yield db


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def rows(db: Connection) -> dict[str, list[object]]:
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}  # noqa: S608 - names from the schema


def test_a_backup_beside_the_open_database_is_the_same_and_private(
    filled: Connection, path: Path, copy: Path
) -> None:
    said = backup.backup(path, copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert names_in(copy.parent) == ["copy.db"]
    with closing(sqlite.open_reader(copy)) as other:
        assert rows(other) == rows(filled)
        assert other.execute("PRAGMA auto_vacuum").fetchone()[0] == 2
    assert (said.events, said.last_position) == (22, 22)
    assert (said.schema, said.bytes) == (len(migrate.load_migrations()), copy.stat().st_size)
    assert check.check(copy) == []


def test_a_backup_overwrites_nothing_and_leaves_nothing_half_done(
    filled: Connection, path: Path, copy: Path
) -> None:
    copy.write_text("precious")
    with pytest.raises(StoreError, match="exists already"):
        backup.backup(path, copy)
    assert copy.read_text() == "precious"
    with pytest.raises(StoreError, match="cannot be written"):
        backup.backup(path, copy.parent / "none" / "copy.db")
    with pytest.raises(StoreError, match="no database"):
        backup.backup(path.with_name("other.db"), copy)
    assert names_in(copy.parent) == ["copy.db"]


def test_an_interrupted_backup_is_begun_anew(filled: Connection, path: Path, copy: Path) -> None:
    copy.with_name("copy.db.partial").write_text("half")
    backup.backup(path, copy)
    assert names_in(copy.parent) == ["copy.db"]


def test_a_restore_goes_back_but_no_position_is_given_again(
    filled: Connection, path: Path, copy: Path
) -> None:
    backup.backup(path, copy)
    then = rows(filled)
    append(filled, event("later"))
    generations = [at.generation for at in cursors.load_all(filled)]
    filled.close()
    restored = backup.restore(copy, path, now=NOW + 1)
    with closing(sqlite.open_writer(path)) as db:
        assert [one.event_id for one in read_all(db)][-1] == "event-odd"
        assert append(db, event("later"))
        assert read_all(db)[-1].position == 22 + POSITION_LEAP + 1
        assert restored.last_position == 22 + POSITION_LEAP
        assert [at.generation for at in cursors.load_all(db)] == [one + 1 for one in generations]
        assert {at.state.state for at in cursors.load_all(db)} == {"ready"}
        assert {known.mark for known in destinations.load_all(db)} == {None}
        assert rows(db)["dead_letters"] == then["dead_letters"]
        act = db.execute("SELECT at, act, detail FROM operator_acts ORDER BY id DESC").fetchone()
        assert act[:2] == (NOW + 1, "restore")
        assert "copy.db" in act[2]
    assert check.check(path) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_restore_replaces_is_kept_with_all_its_commits(
    filled: Connection, path: Path, copy: Path
) -> None:
    backup.backup(path, copy)
    append(filled, event("later"))
    filled.close()
    first = backup.restore(copy, path, now=NOW)
    second = backup.restore(copy, path, now=NOW)
    assert first.replaced is not None
    assert second.replaced is not None
    assert first.replaced != second.replaced
    with closing(sqlite.open_reader(first.replaced)) as replaced:
        assert [one.event_id for one in read_all(replaced)][-1] == "event-later"
    assert copy.exists()


def test_a_damaged_database_is_set_aside_with_its_log(
    filled: Connection, path: Path, copy: Path
) -> None:
    filled.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    backup.backup(path, copy)
    append(filled, event("later"))
    log = path.with_name("streamer.db-wal").read_bytes()
    filled.close()
    path.write_bytes(b"garbage " * 2000)
    path.with_name("streamer.db-wal").write_bytes(log)
    restored = backup.restore(copy, path, now=NOW)
    assert restored.replaced is not None
    assert restored.replaced.read_bytes().startswith(b"garbage")
    aside = restored.replaced.with_name(restored.replaced.name + "-wal")
    assert aside.read_bytes() == log
    assert check.check(path) == []


def test_a_database_is_restored_where_there_is_none(
    filled: Connection, path: Path, copy: Path
) -> None:
    backup.backup(path, copy)
    other = path.parent / "new" / "streamer.db"
    other.parent.mkdir()
    other.with_name("streamer.db-wal").write_bytes(b"left over")
    assert backup.restore(copy, other, now=NOW).replaced is None
    assert names_in(other.parent) == ["streamer.db", "streamer.lock"]
    assert check.check(other) == []


def test_a_restored_destination_sends_again_what_came_after_its_cursor(
    db: Connection, path: Path, copy: Path
) -> None:
    declare(db, Declared("hook", "http"))
    append(db, *(event(number) for number in range(1, 5)))
    accept(db, only_cursor(db, "hook"), read_all(db)[:2])
    backup.backup(path, copy)
    accept(db, only_cursor(db, "hook"), read_all(db)[2:])
    db.close()
    backup.restore(copy, path, now=NOW)
    with closing(sqlite.open_reader(path)) as restored:
        assert only_cursor(restored, "hook").progress.position == 2


def test_a_copy_of_an_older_schema_is_brought_up_to_date(path: Path, copy: Path) -> None:
    with closing(sqlite.open_writer(copy)) as old:
        migrate.apply(old, migrate.load_migrations()[0])
        append(old, event(1))
    backup.restore(copy, path, now=NOW)
    assert check.check(path) == []
    with closing(sqlite.open_reader(path)) as db:
        assert len(read_all(db)) == 1
        assert outbox.last_position(db) == 1 + POSITION_LEAP


def spoil(copy: Path, how: str) -> None:
    match how:
        case "damaged":
            size = copy.stat().st_size
            with copy.open("r+b") as file:
                file.seek(4096 * 3)
                file.write(b"\xa5" * (size - 4096 * 4))
        case "foreign":
            copy.unlink()
            with closing(sqlite.open_writer(copy)) as other:
                other.execute("CREATE TABLE t (x)")
        case "newer":
            with closing(sqlite.open_writer(copy)) as other:
                other.execute("PRAGMA user_version = 999")
        case "miscounted":
            with closing(sqlite.open_writer(copy)) as other:
                other.execute("UPDATE totals SET outbox_events = 1")
        case "text":
            copy.write_text("CREATE TABLE outbox" * 500)
        case "missing":
            copy.unlink()


@pytest.mark.parametrize("how", ["damaged", "foreign", "newer", "miscounted", "text", "missing"])
def test_an_unsound_copy_is_refused_and_nothing_is_changed(
    filled: Connection, path: Path, copy: Path, how: str
) -> None:
    backup.backup(path, copy)
    spoil(copy, how)
    before = rows(filled)
    filled.close()
    names = sorted(path.parent.glob("*.db"))
    with pytest.raises(StoreError) as refused:
        backup.restore(copy, path, now=NOW)
    assert refused.value.hint
    assert sorted(path.parent.glob("*.db")) == names
    with closing(sqlite.open_reader(path)) as db:
        assert rows(db) == before


def test_a_running_service_keeps_its_database(filled: Connection, path: Path, copy: Path) -> None:
    backup.backup(path, copy)
    with lockfile.hold(path.parent), pytest.raises(StoreError, match=f"process {os.getpid()}"):
        backup.restore(copy, path, now=NOW)


HOLDER = """
import sys
from pathlib import Path
from streamer.store import lockfile
with lockfile.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    assert not lockfile.is_held(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert lockfile.is_held(tmp_path)
        with (
            pytest.raises(StoreError, match=f"in use by process {holder.pid}$") as refused,
            lockfile.hold(tmp_path),
        ):
            pass
        assert "Stop the service" in refused.value.hint
        holder.kill()
    assert not lockfile.is_held(tmp_path)
    with lockfile.hold(tmp_path):
        assert lockfile.is_held(tmp_path)
        assert (tmp_path / "streamer.lock").read_text() == f"{os.getpid()}\n"
    assert not lockfile.is_held(tmp_path)
    assert stat.S_IMODE((tmp_path / "streamer.lock").stat().st_mode) == 0o600


def test_a_lock_needs_a_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"), lockfile.hold(tmp_path / "none"):
        pass
    assert not lockfile.is_held(tmp_path / "none")


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE totals SET outbox_events = outbox_events + 1", "counter of events says 23"),
        ("UPDATE totals SET outbox_bytes = 1", "counter of bytes says 1,"),
        ("UPDATE totals SET quarantine_rows = 9", "quarantined calls says 9, there are 2"),
        ("UPDATE totals SET quarantine_bytes = 1", "quarantined bytes says 1,"),
        ("DELETE FROM totals", "row of totals is missing"),
        ("UPDATE sqlite_sequence SET seq = 5 WHERE name = 'outbox'", "position 22"),
        ("UPDATE cursors SET position = 99 WHERE destination = 'lake'", "lake stands at 99"),
        ("DELETE FROM cursors WHERE destination = 'hook' AND lane = 2", "4 lanes and 3 cursors"),
        ("DELETE FROM destinations WHERE name = 'lake'", "belongs to lake"),
        ("DELETE FROM cursors WHERE replay_id = 1", "replay 1 is running"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM outbox WHERE position = 8;"
         "UPDATE totals SET outbox_events = 21", "row 1 of dead_letters"),
        ("PRAGMA user_version = 0", "no tables of streamer"),
        ("PRAGMA user_version = 99", "has schema 99"),
    ],
)  # fmt: skip
def test_a_check_finds_what_is_not_as_it_must_be(
    filled: Connection, path: Path, statement: str, complaint: str
) -> None:
    assert check.check(path) == []
    for one in statement.split(";"):
        filled.execute(one)
    findings = check.check(path)
    assert any(complaint in finding.what for finding in findings), findings
    assert all(finding.advice for finding in findings)


def test_a_check_finds_damaged_pages(filled: Connection, path: Path) -> None:
    filled.close()
    spoil(path, "damaged")
    findings = check.check(path)
    assert findings
    assert "db salvage" in findings[0].advice


def test_opening_a_fresh_database_twice_changes_nothing(path: Path) -> None:
    open_fresh(path).close()
    copy = path.with_name("same.db")
    shutil.copy(path, copy)
    open_fresh(path).close()
    with closing(sqlite.open_reader(path)) as one, closing(sqlite.open_reader(copy)) as other:
        assert rows(one) == rows(other)

"""A database reaches the present schema from any earlier one, or stays what it was."""

from __future__ import annotations

import os
import re
import stat
import threading
import warnings
from contextlib import closing
from pathlib import Path

import pytest

from streamer.core.errors import StoreError
from streamer.store import copies, migrate, schema, sqlite
from streamer.store.sqlite import Connection
from tests.store.build import NOW

MIGRATIONS = migrate.load_migrations()
ROWS = {
    1: "INSERT INTO sources (name, received) VALUES ('customerio', 7)",
    2: "INSERT INTO destinations (name, kind) VALUES ('hook', 'http')",
    3: "INSERT INTO facts (name, value) VALUES ('wall_clock_seen_at', 5)",
}
KILLED = 42


def open_at(path: Path, version: int) -> Connection:
    """Open a database as an earlier version left it, with a row of each of its migrations."""
    db = sqlite.open_writer(path)
    for migration in MIGRATIONS[:version]:
        migrate.apply(db, migration)
        if migration.number in ROWS:
            db.execute(ROWS[migration.number])
    return db


def kept_rows(db: Connection) -> list[list[tuple[str]]]:
    names = ("sources", "destinations", "facts")
    return [db.execute(f"SELECT name FROM {name}").fetchall() for name in names]  # noqa: S608 - names from above


@pytest.mark.parametrize("version", range(len(MIGRATIONS) + 1))
def test_each_older_database_arrives_at_the_same_schema(path: Path, version: int) -> None:
    with closing(open_at(path, version)) as db, closing(sqlite.open_in_memory()) as fresh:
        applied = migrate.migrate(db, path, now=NOW)
        assert [one.number for one in applied] == list(range(version + 1, len(MIGRATIONS) + 1))
        for migration in MIGRATIONS:
            migrate.apply(fresh, migration)
        assert schema.described(db) == schema.described(fresh)
        assert migrate.schema_version(db) == len(MIGRATIONS)
        expected = [[(name,)] for name in ("customerio", "hook", "wall_clock_seen_at")]
        assert [list(map(tuple, rows)) for rows in kept_rows(db)[:version]] == expected[:version]
        assert migrate.migrate(db, path, now=NOW) == []


@pytest.mark.parametrize("version", range(len(MIGRATIONS) + 1))
def test_a_database_in_use_is_copied_first_for_its_owner_alone(path: Path, version: int) -> None:
    with closing(open_at(path, version)) as db:
        migrate.migrate(db, path, now=NOW)
    made = list((path.parent / copies.DIRECTORY).glob("*"))
    if version in {0, len(MIGRATIONS)}:
        assert made == []
        return
    assert [copy.name for copy in made] == [f"streamer-schema{version}-{NOW}.db"]
    assert stat.S_IMODE(made[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(made[0].parent.stat().st_mode) == 0o700
    with closing(sqlite.open_reader(made[0])) as copy:
        assert migrate.schema_version(copy) == version


def test_copies_expire_and_nothing_else_does(path: Path) -> None:
    directory = path.parent / copies.DIRECTORY
    directory.mkdir()
    names = ["streamer-schema1-5.db", "streamer-schema1-9.db", "streamer-schema1-mine.db",
             "streamer-schema2-6.db.partial", "notes.txt"]  # fmt: skip
    for name in names:
        (directory / name).touch()
    expired = copies.expire(path, older_than=9)
    assert [copy.name for copy in expired] == [names[0], names[3]]
    assert sorted(copy.name for copy in directory.iterdir()) == ["notes.txt", *names[1:3]]


def test_a_newer_database_is_refused_with_advice(db: Connection, path: Path) -> None:
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(StoreError, match=f"schema {len(MIGRATIONS) + 1}") as refused:
        migrate.migrate(db, path, now=NOW)
    assert "db restore" in refused.value.hint


def die_at(path: Path, statement: int) -> None:
    """Migrate in a process that vanishes before its nth statement."""
    db = sqlite.open_writer(path)
    count = 0

    def look(_: str) -> None:
        nonlocal count
        count += 1
        if count == statement:
            os._exit(KILLED)

    db.set_trace_callback(look)
    for migration in MIGRATIONS:
        migrate.apply(db, migration)
    os._exit(0)


def test_a_crash_at_any_statement_leaves_the_old_schema_or_the_new(path: Path) -> None:
    with closing(sqlite.open_in_memory()) as fresh:
        known = [schema.described(fresh)]
        for migration in MIGRATIONS:
            migrate.apply(fresh, migration)
            known.append(schema.described(fresh))
    statement, code = 0, KILLED
    while code == KILLED:
        statement += 1
        for leftover in path.parent.glob("streamer.db*"):
            leftover.unlink()
        with warnings.catch_warnings():  # some other test's thread is no matter to the child
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            try:
                die_at(path, statement)
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with closing(sqlite.open_writer(path)) as db:
            assert schema.described(db) == known[migrate.schema_version(db)], statement
    assert code == 0
    assert statement > sum(migration.sql.count(";") for migration in MIGRATIONS) / 2


def test_two_processes_that_start_at_once_migrate_once(path: Path) -> None:
    barrier, failures = threading.Barrier(2), list[BaseException]()

    def start() -> None:
        try:
            with closing(sqlite.open_writer(path)) as db:
                barrier.wait()
                migrate.migrate(db, path, now=NOW)
        except BaseException as error:  # reported by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_migration_that_fails_leaves_nothing_behind(db: Connection) -> None:
    before = schema.described(db)
    broken = migrate.Migration(99, "0099_broken.sql", "CREATE TABLE extra (x); CREATE TABLE (;")
    with pytest.raises(StoreError, match="syntax error"):
        migrate.apply(db, broken)
    assert (schema.described(db), migrate.schema_version(db)) == (before, len(MIGRATIONS))
    assert not db.in_transaction


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ([], "missing"),
        (["schema.sql"], "missing"),
        (["0002_second.sql"], "out of place"),
        (["0001_first.sql", "0003_third.sql"], "0003_third.sql"),
        (["0001_first.sql", "notes.sql"], "notes.sql"),
    ],
)
def test_a_damaged_installation_is_noticed(
    tmp_path: Path, names: list[str], complaint: str
) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(StoreError, match=complaint):
        migrate.load_migrations(tmp_path)


def test_a_script_is_split_where_statements_end() -> None:
    script = """
    -- a comment; with a semicolon
    CREATE TABLE a (x TEXT DEFAULT ';');
    CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a; SELECT 1; END;
    -- nothing after this
    """
    found = list(migrate.statements(script))
    assert len(found) == 2
    assert found[1].endswith("END;")
    for migration in MIGRATIONS:
        rest = migration.sql
        for statement in migrate.statements(migration.sql):
            rest = rest.replace(statement, "", 1)
        assert not re.sub(r"--.*|\s", "", rest), f"{migration.name} is not applied whole"

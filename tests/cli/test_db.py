"""The database is looked after: beside the service where that is safe, and not where it is not."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from streamer.core.times import rfc3339
from streamer.store import facts, lockfile, migrate, outbox, sqlite
from tests.cli.desk import Desk
from tests.store.build import NOW, append, event, read_all
from tests.support.service import run_command

KNOWN = len(migrate.load_migrations())


@pytest.fixture
def running(desk: Desk) -> Iterator[Desk]:
    """A desk whose service runs, as far as its lock tells."""
    with lockfile.hold(desk.data_dir):
        yield desk


def test_status_tells_schema_sizes_and_versions(desk: Desk) -> None:
    with desk.database() as db:
        append(db, event(1, body=b'{"event_id":"event-1","pad":"' + b"x" * 50_000 + b'"}'))
        db.execute("DELETE FROM outbox")
        size_bytes = desk.path.stat().st_size
        found = desk.ask("db", "status")
    assert (found["schema"], found["schema_known"]) == (KNOWN, KNOWN)
    assert found["database_bytes"] == size_bytes
    assert found["log_bytes"] > 0
    assert found["free_bytes"] > 0
    assert (found["sqlite"], found["sqlite_safe"]) == (sqlite.VERSION, True)
    assert found["service_running"] is False
    assert found["clock_doubted_at"] is None


@pytest.mark.parametrize(
    ("version", "said"), [(1, "run `streamer db migrate`"), (99, "of a later program")]
)
def test_status_tells_of_any_schema(desk: Desk, version: int, said: str) -> None:
    desk.query(f"PRAGMA user_version = {version}")
    answer = desk.run("db", "status")
    assert answer.code == 0
    assert f"Schema       {version} of {KNOWN}, {said}" in answer.out


def test_migrating_needs_the_service_stopped_and_then_does_what_is_missing(desk: Desk) -> None:
    desk.path.unlink()
    with desk.database() as db:
        migrate.apply(db, migrate.load_migrations()[0])
    with lockfile.hold(desk.data_dir):
        answer = desk.run("db", "migrate")
        assert (answer.code, answer.out) == (1, "")
        assert "Stop the service first" in answer.err
    assert desk.query("PRAGMA user_version") == [(1,)]
    answer = desk.run("db", "migrate")
    assert answer.code == 0
    assert "applied 0002_delivery.sql" in answer.out
    assert desk.query("PRAGMA user_version") == [(KNOWN,)]
    assert len(list((desk.data_dir / "copies").iterdir())) == 1
    assert desk.run("db", "migrate").out == "the schema is up to date\n"


def test_there_must_be_a_database_to_migrate(desk: Desk) -> None:
    desk.path.unlink()
    answer = desk.run("db", "migrate")
    assert answer.code == 1
    assert "there is no database" in answer.err
    assert not desk.path.exists()


def test_a_copy_is_written_beside_the_running_service(running: Desk, tmp_path: Path) -> None:
    with running.database() as db:
        append(db, event(1), event(2))
        copy = tmp_path / "copy.db"
        found = running.run("db", "backup", str(copy), "--json").json
    assert (found["path"], found["events"], found["last_position"]) == (str(copy), 2, 2)
    assert found["bytes"] == copy.stat().st_size
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    again = running.run("db", "backup", str(copy))
    assert again.code == 1
    assert "exists already" in again.err


def test_a_copy_comes_back_in_the_place_of_the_database(desk: Desk, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with desk.database() as db:
        append(db, event(1))
    assert "wrote" in desk.run("db", "backup", str(copy)).out
    with desk.database() as db:
        append(db, event(2))
    assert desk.run("db", "restore", str(copy)).code == 2  # nobody said yes
    answer = desk.run("db", "restore", str(copy), "--yes")
    assert answer.code == 0
    with desk.database() as db:
        assert [at.event_id for at in read_all(db)] == ["event-1"]
        assert f"after position {outbox.last_position(db)}" in answer.out
    (aside,) = desk.data_dir.glob("streamer-replaced-*.db")
    assert str(aside) in answer.out


def test_nothing_is_restored_or_salvaged_under_a_running_service(
    running: Desk, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    running.run("db", "backup", str(copy))
    for command in (["restore", str(copy), "--yes"], ["salvage", str(tmp_path / "new.db")]):
        answer = running.run("db", *command)
        assert (answer.code, answer.out) == (1, "")
        assert "Stop the service first" in answer.err
    assert not (tmp_path / "new.db").exists()


def test_a_sound_database_is_said_to_be_so(desk: Desk) -> None:
    assert desk.run("db", "check").out == f"{desk.path} is sound\n"
    assert desk.ask("db", "check") == []


def test_what_is_wrong_is_told_with_advice_and_ends_with_1(desk: Desk) -> None:
    desk.query("UPDATE totals SET outbox_events = 7")
    answer = desk.run("db", "check")
    assert answer.code == 1
    assert "the counter of events says 7, the outbox has 0" in answer.out
    assert "1 finding" in answer.err
    as_json = desk.run("db", "check", "--json")
    assert as_json.code == 1
    assert [finding["what"] for finding in as_json.json] == [
        "the counter of events says 7, the outbox has 0"
    ]


def test_what_can_be_read_is_rescued_into_a_new_file(desk: Desk, tmp_path: Path) -> None:
    with desk.database() as db:
        append(db, event(1), event(2))
    target = tmp_path / "rescued.db"
    answer = desk.run("db", "salvage", str(target))
    assert answer.code == 0
    assert ["2", "outbox"] in [line.split() for line in answer.out.splitlines()]
    assert f"streamer db restore {target}" in answer.out
    assert desk.run("db", "restore", str(target), "--yes").code == 0
    with desk.database() as db:
        assert len(read_all(db)) == 2


@pytest.mark.parametrize(
    "query", [["SELECT 1"], ["-json", "SELECT 1"], ["-cmd", ".mode box", "-header", ".tables"], []]
)
def test_the_shell_is_the_systems_own_and_can_only_read(
    desk: Desk, tmp_path: Path, query: list[str]
) -> None:
    program = tmp_path / "bin" / "sqlite3"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    ended = run_command(
        "db", "shell", *query, "--config", str(desk.config_file), environment={"PATH": path}
    )
    assert ended.stdout.splitlines() == ["-readonly", str(desk.path), *query]


def test_a_query_can_be_answered_as_json(desk: Desk) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("there is no sqlite3")
    ended = run_command(
        "db", "shell", "-json", "SELECT 1 AS one", "--config", str(desk.config_file)
    )
    assert json.loads(ended.stdout) == [{"one": 1}]


def test_a_missing_shell_is_said_to_be_missing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = desk.run("db", "shell")
    assert answer.code == 1
    assert "apt install sqlite3" in answer.err


def test_a_clock_in_doubt_shows_and_is_confirmed_with_a_yes(desk: Desk) -> None:
    with desk.database() as db:
        facts.write(db, facts.CLOCK_SEEN, NOW)
        facts.write(db, facts.CLOCK_DOUBTED, NOW + 10**10)
    assert desk.ask("db", "status")["clock_doubted_at"] == rfc3339(NOW + 10**10)
    assert "Clock        in doubt" in desk.run("db", "status").out
    assert desk.run("db", "confirm-clock").code == 2
    assert desk.ask("db", "status")["clock_doubted_at"] is not None
    assert desk.run("db", "confirm-clock", "--yes").code == 0
    found = desk.ask("db", "status")
    assert found["clock_doubted_at"] is None
    assert found["clock_seen_at"] > rfc3339(NOW)
    assert [act for act, _ in desk.acts()] == ["confirm-clock"]


def test_a_clock_that_nobody_doubts_needs_no_word(desk: Desk) -> None:
    answer = desk.run("db", "confirm-clock")
    assert (answer.code, answer.out) == (0, "the clock is not in doubt: nothing to confirm\n")
    assert desk.acts() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_root_leaves_no_files_behind_that_the_service_cannot_open(
    desk: Desk, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    desk.run("db", "backup", str(copy))
    os.chown(desk.data_dir, 54321, 54321)
    for command in (["migrate"], ["restore", str(copy), "--yes"]):
        answer = desk.run("db", *command)
        assert (answer.code, answer.out) == (1, "")
        assert "belongs to #54321" in answer.err
        assert "sudo -u #54321 streamer" in answer.err
    assert not list(desk.data_dir.glob("streamer-replaced-*"))


@contextmanager
def no_access(directory: Path) -> Iterator[None]:
    """Be a user who may not enter a directory: another one, where that is possible."""
    if os.geteuid() == 0:
        os.seteuid(54321)
    else:
        directory.chmod(0)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        else:
            directory.chmod(0o700)


@pytest.mark.parametrize(
    "command",
    ["status", "events list", "destination pause hook", "db status", "db check", "db migrate",
     "db backup copy.db", "db shell"],
)  # fmt: skip
def test_a_user_who_may_not_look_is_told_which_one_may(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Not below pytest's own directory, which no other user may enter.
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        desk = Desk(Path(place), capsys)
        desk.make_database()
        desk.run("status")
        desk.run(*command.split()[:2], "--help")  # loads what another user might not be able to
        with no_access(desk.data_dir):
            answer = desk.run(*command.split())
    assert (answer.code, answer.out) == (1, "")
    assert "Permission denied" in answer.err
    assert "user that owns" in answer.err

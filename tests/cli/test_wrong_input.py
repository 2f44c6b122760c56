"""Whatever is wrong with what a command is given, it says what happened and what to do next.

An answer to a mistake is two sentences on standard error: what is wrong, with the name of it,
and below it what to do. Nothing is on standard output, and nothing is changed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from streamer.store import migrate
from tests.cli.desk import Answer, Desk
from tests.store.build import append, unreadable
from tests.support.users import without_rights

KNOWN = len(migrate.load_migrations())


@pytest.mark.parametrize(
    ("command", "code", "said", "hint"),
    [
        ("events show nobody", 2, "there is no event 'nobody'", "see `streamer events list`"),
        ("events show 9", 2, "there is no event '9'", "see `streamer events list`"),
        ("events list --limit 0", 2, "--limit is a number from 1 to 100,000", "Leave it out"),
        ("dead-letters list --limit 0", 2, "--limit is a number from 1", "Leave it"),
        ("quarantine list --limit -1", 2, "--limit is a number from 1", "Leave it"),
        ("dead-letters list --state x", 2, "--state 'x' is none", "One of open, retrying"),
        ("dead-letters show 9", 2, "there is no dead letter 9", "See `streamer dead-letters list`"),
        ("quarantine show 9", 2, "no entry 9 in quarantine", "See `streamer quarantine list`"),
        ("quarantine retry", 2, "say which entries", "Not both"),
        ("quarantine discard --all", 2, "no entry fits", "See `streamer quarantine list`"),
        ("replay cancel 9", 2, "there is no replay 9", "See `streamer replay list`"),
        ("replay start nobody --all", 2, "no destination 'nobody'", "There are archive, hook."),
        ("replay start hoo --all", 2, "no destination 'hoo'", "Did you mean hook?"),
        ("replay start hook", 2, "nothing was asked for", "Say which events"),
        ("replay start hook --event x", 2, "there is no event 'x'", "`streamer events show`"),
        ("replay start hook --all", 1, "nothing to send again", "No event in the outbox fits"),
        ("replay start hook --since x", 2, "--since 'x' is no time", "Write it like 2026-"),
        ("destination pause nobody", 2, "no destination 'nobody'", "There are archive, hook."),
        ("destination test nobody", 2, "no destination 'nobody'", "There are archive, hook."),
        ("destination forget hook", 2, "still in the configuration", "Take it out, reload"),
        ("dead-letters list --destination hoo", 2, "no destination 'hoo'", "Did you mean hook?"),
        ("dead-letters export --all --destination x", 2, "no destination 'x'", "archive, hook"),
        ("dead-letters retry --all --destination x", 2, "no destination 'x'", "archive, hook"),
        ("dead-letters discard --all --destination x", 2, "no destination 'x'", "archive, hook"),
        ("events list --source custom", 2, "no source 'custom'", "Did you mean customerio?"),
        ("events list --undelivered x", 2, "no destination 'x'", "There are archive, hook."),
        ("quarantine list --source x", 2, "no source 'x'", "There is customerio."),
        ("replay start hook --since 1d --until 2d", 2, "--since lies behind", "nothing in between"),
        ("send-sample --source x", 2, "there is no source 'x'", "There is customerio."),
        ("send-sample --url ftp://x", 2, "'ftp://x' is no URL", "Write it like https://"),
        ("doctor --send-test", 2, "--send-test sends to --url", "Say --url"),
        ("db restore /nowhere --yes", 2, "the copy /nowhere is not there", "Name one that"),
        ("db salvage /nowhere/at/all", 2, "/nowhere/at/all cannot be made", "Name a place"),
        ("db backup /nowhere/at/all", 1, "/nowhere/at/all cannot be written", "Name a place"),
    ],
)
def test_a_name_that_is_not_known_is_said_with_what_may_have_been_meant(
    desk: Desk, command: str, code: int, said: str, hint: str
) -> None:
    answer = desk.run(*command.split())
    assert (answer.code, answer.out) == (code, ""), answer
    first, _, rest = answer.err.partition("\n")
    assert first.startswith("streamer: ")
    assert said in first
    assert hint in rest


READING = ["status", "events list", "events show 1", "dead-letters list", "dead-letters show 1"]
READING += ["dead-letters export 1", "quarantine list", "quarantine show 1", "replay list"]
READING += ["destination list"]
CHANGING = ["dead-letters retry --all", "dead-letters discard --all --yes", "replay cancel 1"]
CHANGING += ["quarantine retry --all", "quarantine discard --all --yes", "destination pause hook"]
CHANGING += ["destination resume hook", "replay start hook --all --yes", "db confirm-clock --yes"]
OF_ANY_SCHEMA = ["db status", "db backup {new}", "db salvage {new}", "db shell .tables"]


def run(desk: Desk, command: str) -> Answer:
    return desk.run(*command.format(new=desk.config_file.with_name("new")).split())


def no_directory(desk: Desk) -> None:
    shutil.rmtree(desk.data_dir)


def no_database(desk: Desk) -> None:
    for file in desk.data_dir.glob("streamer.db*"):
        file.unlink()


def no_database_at_all(desk: Desk) -> None:
    no_database(desk)
    desk.path.write_text("position,event_id\n" * 1000, encoding="utf-8")


def a_directory(desk: Desk) -> None:
    no_database(desk)
    desk.path.mkdir()


@pytest.mark.parametrize("command", [*READING, *CHANGING, *OF_ANY_SCHEMA, "db migrate"])
@pytest.mark.parametrize(
    ("breaks", "said", "hint"),
    [
        (no_directory, "there is no database at {path}", "Start the service once"),
        (no_database, "there is no database at {path}", "Start the service once"),
        (no_database_at_all, "{path} is not a database of SQLite", "Look at data_dir"),
        (a_directory, "{path} is not a database of SQLite", "Look at data_dir"),
    ],
)
def test_where_there_is_no_database_every_command_names_the_place(
    desk: Desk, command: str, breaks: Callable[[Desk], None], said: str, hint: str
) -> None:
    breaks(desk)
    answer = run(desk, command)
    first, rest = answer.err.splitlines()
    assert (answer.code, answer.out) == (1, "")
    assert first == f"streamer: {said.format(path=desk.path)}"
    assert hint in rest


@pytest.mark.parametrize("command", [*READING, *CHANGING])
@pytest.mark.parametrize(
    ("version", "said", "hint"),
    [
        (KNOWN + 1, f"has schema {KNOWN + 1}, this program knows {KNOWN}", "Install the newer"),
        (KNOWN - 1, f"has schema {KNOWN - 1}, this program needs {KNOWN}", "Restart the service"),
    ],
)
def test_a_database_of_another_schema_is_neither_read_nor_changed(
    desk: Desk, command: str, version: int, said: str, hint: str
) -> None:
    desk.query(f"PRAGMA user_version = {version}")
    answer = run(desk, command)
    first, rest = answer.err.splitlines()
    assert (answer.code, answer.out) == (1, "")
    assert said in first
    assert hint in rest


@pytest.fixture
def foreign(capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    """A desk whose data belongs to somebody else, outside pytest's folder, which is closed."""
    if os.geteuid() != 0:
        pytest.skip("only root can make files that its tests cannot see")
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        desk = Desk(Path(place), capsys)
        desk.config_file.chmod(0o644)
        desk.make_database()
        for command in (*READING, *CHANGING, "destination test archive", "db status"):
            run(desk, command)  # loads all that is loaded when it is needed
        yield desk


FOREIGN = [*READING, *CHANGING, *OF_ANY_SCHEMA[:-1], "db check", "db migrate"]


@pytest.mark.parametrize("command", FOREIGN)
def test_a_closed_directory_is_said_to_be_its_owners(foreign: Desk, command: str) -> None:
    with without_rights():
        answer = run(foreign, command)
    first, rest = answer.err.splitlines()
    assert (answer.code, answer.out) == (1, "")
    assert f"the database {foreign.path} cannot be reached (Permission denied)" in first
    assert "Run the command as the user that owns the data directory" in rest


@pytest.mark.parametrize("command", ["destination pause hook", "destination resume hook"])
def test_a_database_that_may_only_be_read_is_not_changed(foreign: Desk, command: str) -> None:
    for path in (foreign.data_dir, *foreign.data_dir.iterdir()):
        path.chmod(0o755)
    with without_rights():
        assert run(foreign, "status").code == 0
        answer = run(foreign, command)
    first, rest = answer.err.splitlines()
    assert (answer.code, answer.out) == (1, "")
    assert "the database cannot be opened for this" in first
    assert "Run the command as the user that owns the data directory" in rest


@pytest.mark.parametrize("command", ["db migrate", "db restore {new} --yes"])
def test_what_would_leave_files_behind_is_left_to_the_owner(foreign: Desk, command: str) -> None:
    foreign.data_dir.chmod(0o755)
    with without_rights():
        answer = run(foreign, command)
    assert (answer.code, answer.out) == (1, "")
    assert f"{foreign.data_dir} belongs to root" in answer.err
    assert "`sudo -u root streamer db …`" in answer.err


def test_a_destination_in_a_closed_directory_fails_its_test(foreign: Desk) -> None:
    with without_rights():
        answer = run(foreign, "destination test archive")
    assert answer.code == 1
    assert answer.out.startswith("FAILED  the directory cannot be written: ")
    assert answer.err == "streamer: archive: 1 test of 1 failed\n"


@pytest.mark.parametrize("command", ["status", "check", "doctor", "send-sample"])
@pytest.mark.parametrize("kind", ["missing", "unreadable", "directory"])
def test_a_configuration_that_cannot_be_read_is_named(
    foreign: Desk, command: str, kind: str
) -> None:
    if kind == "missing":
        foreign.config_file.unlink()
    elif kind == "unreadable":
        foreign.config_file.chmod(0o600)
    else:
        foreign.config_file = foreign.data_dir.parent
    with without_rights():
        answer = run(foreign, command)
    assert answer.code == (1 if command == "doctor" else 78)
    assert str(foreign.config_file) in answer.err + answer.out
    said = "does not exist" if kind == "missing" else "cannot be read"
    assert said in answer.err + answer.out


def test_a_file_that_cannot_be_written_is_named(desk: Desk) -> None:
    with desk.database() as db:
        append(db, unreadable(b"{"))
    answer = desk.run("quarantine", "show", "1", "--output", "/nowhere/at/all")
    assert (answer.code, answer.out) == (1, "")
    assert "/nowhere/at/all cannot be written (No such file or directory)" in answer.err
    assert "Name a new file." in answer.err

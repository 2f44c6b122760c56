"""However a command is cut off, it ends quietly, with the code that a shell expects.

Everything here is a process of its own with real pipes and a real terminal. What it waits for
is what the process says, never time.
"""

from __future__ import annotations

import errno
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from streamer.store import dead_letters, lockfile
from tests.cli.desk import Desk
from tests.store.build import NOW, append, body, burial, event, read_all, unreadable
from tests.support.service import START_SECONDS_MAX, clean_environment

PIPE_BYTES = 65_536
"""What a pipe holds on Linux; a command that has more to say waits for its reader."""


@pytest.fixture
def filled(desk: Desk) -> Desk:
    """Three events and their dead letters, each larger than a pipe, and an unreadable call."""
    with desk.database() as db:
        large = "x" * (2 * PIPE_BYTES)
        numbers = range(1, 4)
        append(db, *(event(number, body=body(f"event-{number}", t=large)) for number in numbers))
        append(db, unreadable(b"{"))
        db.execute("UPDATE cursors SET position = 3")
        letters = [burial(stored) for stored in read_all(db)]
        dead_letters.bury(db, "archive", letters, now=NOW)
    (desk.config_file.parent / "key").write_text("a key", encoding="utf-8")
    return desk


Popen = subprocess.Popen[bytes]

TAKE_TERMINAL = """
import os, sys
os.setsid()
os.close(os.open(os.ttyname(0), os.O_RDWR))
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes the terminal on standard input the one whose Ctrl-C is meant for the command."""


def closing_first(*numbers: int) -> tuple[str, ...]:
    """Return what starts a command with some of its streams closed."""
    closed = " ".join(f"{number}>&-" for number in numbers)
    return ("/bin/sh", "-c", f'exec "$@" {closed}', "sh")


@contextmanager
def started(
    desk: Desk,
    *arguments: str,
    environment: dict[str, str] | None = None,
    through: Sequence[str] = (),
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
    stderr: int = subprocess.PIPE,
) -> Iterator[Popen]:
    """Run a command beside the test; it is gone afterwards, whatever happens.

    Its output is buffered, as it is for users, so that much of it is written at the very end.
    """
    process = subprocess.Popen(
        [*through, sys.executable, "-m", "streamer", *arguments, "--config", str(desk.config_file)],
        env=clean_environment({"PYTHONUNBUFFERED": "", **(environment or {})}),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: Popen) -> tuple[int, str]:
    """Wait for the end; return the exit code and what was said on standard error."""
    _, said = process.communicate(timeout=START_SECONDS_MAX)
    return process.returncode, (said or b"").decode()


READING = [
    ["status"],
    ["events", "list"],
    ["events", "list", "--json"],
    ["events", "show", "1"],
    ["events", "show", "1", "--raw"],
    ["dead-letters", "list"],
    ["dead-letters", "show", "1"],
    ["dead-letters", "export", "--all"],
    ["quarantine", "list"],
    ["replay", "list"],
    ["destination", "list"],
    ["db", "status"],
    ["check"],
    ["--help"],
]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_reader_that_has_gone_ends_a_command_quietly(
    filled: Desk, arguments: Sequence[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with started(filled, *arguments, stdout=writing) as process:
        os.close(writing)
        assert ended(process) == (141, "")


def test_a_reader_that_goes_in_the_middle_ends_an_export_quietly(filled: Desk) -> None:
    with started(filled, "dead-letters", "export", "--all", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"{"
        process.stdout.close()
        process.stdout = None
        assert ended(process) == (141, "")


def test_an_error_that_nobody_reads_is_quiet_too(filled: Desk) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with started(filled, "events", "show", "x", stdout=writing, stderr=writing) as process:
        os.close(writing)
        assert ended(process)[0] == 141


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["events", "show", "1", "--raw"], ["--help"], ["status", "--help"]],
    ids=" ".join,
)
def test_an_output_that_is_full_is_an_error_that_says_so(
    filled: Desk, arguments: Sequence[str]
) -> None:
    with (
        Path("/dev/full").open("wb") as full,
        started(filled, *arguments, stdout=full.fileno()) as process,
    ):
        code, said = ended(process)
    assert code == 1
    assert said.startswith(
        f"streamer: standard output cannot be written ({os.strerror(errno.ENOSPC)})"
    )
    assert len(said.splitlines()) == 2


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_command_works_with_its_streams_closed(filled: Desk, closed: tuple[int, ...]) -> None:
    discard = ("quarantine", "discard", "1", "--yes")
    through = closing_first(*closed)
    with started(filled, *discard, through=through, stdout=subprocess.PIPE) as process:
        out, said = process.communicate(timeout=START_SECONDS_MAX)
    assert (process.returncode, said) == (0, b"")
    assert out == (b"" if 1 in closed else b"deleted 1 entry\n")
    assert filled.query("SELECT count(*) FROM quarantine") == [(0,)]


def test_a_question_with_standard_input_closed_asks_for_a_yes_on_the_command_line(
    filled: Desk,
) -> None:
    with started(filled, "quarantine", "discard", "--all", through=closing_first(0)) as process:
        code, said = ended(process)
    assert code == 2
    assert said.splitlines() == [
        "streamer: this wants a confirmation",
        "  Say --yes to do it without asking.",
    ]


def test_text_that_the_terminal_cannot_write_is_escaped(filled: Desk) -> None:
    with filled.database() as db:
        append(db, event("é"))
    with started(
        filled,
        "events", "show", "event-é",
        environment={"PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        out, said = process.communicate(timeout=START_SECONDS_MAX)
    assert (process.returncode, said) == (0, b"")
    assert b"Event id   event-\\xe9" in out


class Person:
    """Somebody at a terminal: what they see, and what they type."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.seen = ""

    def see(self, text: str) -> None:
        """Read on until a text has come."""
        while text not in self.seen:
            if not self._read():
                raise AssertionError(f"the terminal was closed; it shows {self.seen!r}")

    def see_all(self) -> str:
        """Read on to the end."""
        while self._read():
            pass
        return self.seen

    def type(self, text: str) -> None:
        """Type, and wait for nothing."""
        os.write(self._master, text.encode())

    def _read(self) -> bool:
        try:
            part = os.read(self._master, 4096)
        except OSError:  # the other side has been closed
            return False
        self.seen += part.decode().replace("\r\n", "\n")
        return bool(part)


@contextmanager
def at_a_terminal(
    desk: Desk, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[tuple[Person, Popen]]:
    """Run a command on a terminal of its own."""
    environment = {"TERM": "xterm", **(environment or {})}
    master, slave = pty.openpty()

    try:
        with started(
            desk, *arguments, stdin=slave, stdout=slave, stderr=slave,
            through=(sys.executable, "-c", TAKE_TERMINAL), environment=environment,
        ) as process:  # fmt: skip
            os.close(slave)
            yield Person(master), process
    finally:
        os.close(master)


@pytest.mark.parametrize(
    ("typed", "code", "end"),
    [
        ("\x03", 130, "[y/N] ^C\n"),
        ("\x04", 2, "[y/N] \nstreamer: nothing was done\n"),
        ("no\n", 2, "[y/N] no\nstreamer: nothing was done\n"),
        ("yes\n", 0, "[y/N] yes\ndeleted 1 entry\n"),
    ],
)
def test_a_question_can_be_answered_and_broken_off(
    filled: Desk, typed: str, code: int, end: str
) -> None:
    with at_a_terminal(filled, "quarantine", "discard", "--all") as (person, process):
        person.see("[y/N] ")
        person.type(typed)
        assert person.see_all().endswith(end)
        assert process.wait(START_SECONDS_MAX) == code
    assert filled.query("SELECT count(*) FROM quarantine") == [(0 if code == 0 else 1,)]


def test_ctrl_c_while_the_reader_is_slow_ends_an_export(filled: Desk) -> None:
    with started(filled, "dead-letters", "export", "--all", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"{"
        process.send_signal(signal.SIGINT)
        assert ended(process) == (130, "")


def test_ctrl_c_while_a_replay_is_watched_leaves_the_replay_and_says_so(filled: Desk) -> None:
    watching = ("replay", "start", "archive", "--all", "--yes", "--watch")
    with (
        lockfile.hold(filled.data_dir),  # as a service that is about to begin
        started(filled, *watching, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"replay 1 sends 3 events to archive\n"
        process.send_signal(signal.SIGINT)
        code, said = ended(process)
    assert code == 130
    assert said == "note: the replay goes on; call it off with `streamer replay cancel 1`\n"
    assert filled.query("SELECT state FROM replays") == [("running",)]


@pytest.mark.parametrize("arguments", [["send-sample"], ["doctor"]], ids=" ".join)
def test_ctrl_c_while_nobody_answers_ends_a_call(filled: Desk, arguments: list[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(START_SECONDS_MAX)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with started(filled, *arguments, "--url", url, stdout=subprocess.DEVNULL) as process:
            connection, _ = listener.accept()
            with closing(connection):
                process.send_signal(signal.SIGINT)
                assert ended(process) == (130, "")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}])
def test_colours_are_only_for_a_terminal_that_wants_them(
    filled: Desk, environment: dict[str, str]
) -> None:
    filled.query(
        "UPDATE cursors SET state = 'held', next_attempt_at = 1 WHERE destination = 'hook'"
    )
    with at_a_terminal(filled, "status") as (person, process):
        assert "hook (http): \x1b[1;31mheld\x1b[0m," in person.see_all()
        assert process.wait(START_SECONDS_MAX) == 0
    with at_a_terminal(filled, "status", environment=environment) as (person, process):
        said = person.see_all()
        assert process.wait(START_SECONDS_MAX) == 0
    assert "hook (http): held," in said
    assert "\x1b" not in said + filled.run("status").out


def test_a_doctors_failures_stand_out(filled: Desk) -> None:
    with at_a_terminal(filled, "doctor") as (person, process):
        assert "\x1b[1;31mFAILED\x1b[0m  the service is not running" in person.see_all()
        assert process.wait(START_SECONDS_MAX) == 1


def test_a_terminal_gets_bold_headings_and_a_pipe_plain_ones(filled: Desk) -> None:
    with at_a_terminal(filled, "destination", "list") as (person, process):
        assert person.see_all().startswith("\x1b[1mNAME")
        assert process.wait(START_SECONDS_MAX) == 0
    assert filled.run("destination", "list").out.startswith("NAME ")

"""The README's commands, run as they stand there, end with an event delivered to a file.

What differs: the tree is not cloned from anywhere, the program is not installed into ``.venv``
first, it listens on ports that are free, and it stops at once.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import pages
from tests.docs.pages import ROOT

README = ROOT / "README.md"
[START] = (block.splitlines() for block in pages.blocks(README, "sh"))
OURS = ".venv/bin/streamer"


def session() -> list[tuple[str, str]]:
    """Cut what is shown of the second terminal into each command and what it prints."""
    [shown] = pages.blocks(README, "console")
    parts = [part.partition("\n") for part in shown.removeprefix("$ ").split("\n$ ")]
    return [(command, printed.rstrip()) for command, _, printed in parts]


SESSION = session()
VARYING = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME"),
    (r"\b01[0-9A-HJKMNP-TV-Z]{24}\b", "EVENT-ID"),
    (r":\d{4,5}/", ":PORT/"),
    (r"(?<![\d.])\d+\.\d(?![\d.])", "MS"),
    (r"\d+ a second", "RATE"),
    (r"\d+ bytes", "BYTES"),
    (r" {2,}", "  "),
)
"""What is different each time: moments, ids, ports, figures of the machine, widths of columns."""


def steady(printed: str) -> str:
    """Return what a command prints without what differs each time."""
    text = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    for pattern, name in VARYING:
        text = re.sub(pattern, name, text)
    return text


def free_port() -> int:
    """Find a port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Shell:
    """A working directory with a running service, as somebody has who follows the README."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            **{name: value for name, value in os.environ.items() if "STREAMER" not in name},
            "PYTHONPATH": str(ROOT),
            "STREAMER_SERVER__BIND": f"127.0.0.1:{free_port()}",
            "STREAMER_ADMIN__BIND": f"127.0.0.1:{free_port()}",
            "STREAMER_SERVER__LAME_DUCK_SECONDS": "0",
        }

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a command of the README and wait until it has said all about itself."""
        process = subprocess.Popen(
            self._arguments(command), cwd=self.directory, env=self.environment, text=True,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("Look at it"):
                return process
        process.communicate()
        raise AssertionError("it ended before it was up: " + "".join(said))

    def run(self, line: str) -> str:
        """Run a command of the README, which must succeed; return what it printed."""
        done = self.attempt(line)
        assert (done.returncode, done.stderr) == (0, ""), line
        return done.stdout

    def attempt(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever becomes of it."""
        return subprocess.run(
            self._arguments(line), cwd=self.directory, env=self.environment, text=True,
            capture_output=True, check=False, timeout=30,
        )  # fmt: skip

    def _arguments(self, line: str) -> list[str]:
        ours = f"{shlex.quote(sys.executable)} -m streamer"
        return ["sh", "-c", line.replace(OURS, f"exec {ours}") if OURS in line else line]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Follow the README up to the second terminal."""
    shell = Shell(tmp_path_factory.mktemp("readme"))
    process = shell.start(f"{OURS} serve")
    yield shell
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_commands_are_few() -> None:
    assert len(START) == 2
    assert len(SESSION) == 4


def test_the_service_is_started_by_make() -> None:
    clone, run = START
    assert clone == "git clone URL streamer && cd streamer"
    printed = subprocess.run(
        ["make", "-n", *shlex.split(run)[1:]], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert f"{OURS} serve" in printed


def test_make_knows_what_the_readme_tells_of_it() -> None:
    makefile = pages.text(ROOT / "Makefile")
    for target in re.findall(r"`make (\w+)`", pages.prose(README)):
        assert f"\n{target}:" in makefile


def test_the_session_prints_what_is_shown(shell: Shell) -> None:
    (send, shown), *further = SESSION
    assert steady(shell.run(send)) == steady(shown)
    line = _first_line(shell)
    assert json.loads(line)["type"] == "io.customer.email.delivered"
    for command, shown in further:
        if shutil.which(command.split()[0]) is not None or command.startswith(OURS):
            assert steady(shell.run(command)) == steady(shown), command


def test_a_session_that_prints_something_else_would_be_noticed() -> None:
    [shown] = [shown for command, shown in SESSION if command.endswith("status")]
    assert steady(shown) != steady(shown.replace("nothing pending", "1 event pending"))
    assert steady(shown) != steady(shown.replace("cursor 1", "cursor 2"))


def _first_line(shell: Shell) -> str:
    """Read the delivered event as soon as the status says that nothing is left to deliver."""
    while True:
        status = json.loads(shell.run(f"{OURS} status --json"))
        if status["destinations"]["archive"]["lag_events"] == 0:
            [segment] = (shell.directory / "streamer-data" / "archive").glob("*.ndjson")
            [line] = segment.read_text(encoding="utf-8").splitlines()
            return line


def test_the_first_start_makes_up_a_key(shell: Shell) -> None:
    key = (shell.directory / "streamer-data" / "signing-key").read_text(encoding="ascii").strip()
    assert len(key) == 64


def test_a_second_service_is_told_that_the_first_one_runs(shell: Shell) -> None:
    second = shell.attempt(f"{OURS} serve")
    assert second.returncode == 1
    assert "streamer-data is in use by process" in second.stderr


def test_the_picture_is_narrow_enough_for_a_terminal() -> None:
    for picture in pages.blocks(README, "text"):
        assert max(map(len, picture.splitlines())) <= 80

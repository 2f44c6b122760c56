"""What `streamer serve` writes: for the log two lines that frame it, for a person where to go."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import eventually
from tests.support.service import clean_environment

KEY_LINE = re.compile(r"Signing key +([0-9a-f]{64}) ")
BANNER = ("Webhook URL", "Destination", "Metrics", "Try it", "Look at it")
CONFIG = """
data_dir = "data"
[sources.customerio]
kind = "customerio"
signing_keys = [{ file = "key" }]
[destinations.archive]
kind = "file"
directory = "archive"
[destinations.hook]
kind = "http"
url = "https://127.0.0.1:9/events?token=s3cret"
"""


def serve(
    directory: Path, environment: Mapping[str, str] | None = None, *, on_terminal: bool = False
) -> str:
    """Run it until it has started, stop it, and return what it wrote to standard error."""
    said = directory / "said"
    child, parent = pty.openpty() if on_terminal else (None, None)
    with said.open("wb") as file:
        to_journal = os.fstat(file.fileno())
        process = subprocess.Popen(
            [sys.executable, "-m", "streamer", "serve"],
            cwd=directory,
            env=clean_environment(
                {
                    "STREAMER_SERVER__BIND": "127.0.0.1:0",
                    "STREAMER_ADMIN__BIND": "127.0.0.1:0",
                    "STREAMER_SERVER__LAME_DUCK_SECONDS": "0",
                    **{
                        name: value.format(file=f"{to_journal.st_dev}:{to_journal.st_ino}")
                        for name, value in (environment or {}).items()
                    },
                }
            ),
            stdin=subprocess.DEVNULL,
            stderr=file if parent is None else parent,
        )
    try:
        if child is not None and parent is not None:
            os.close(parent)
            _copy_until(child, said, b"Look at it")
        eventually(lambda: "service.started" in said.read_text(), "it has started")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if child is not None:
            os.close(child)
    return said.read_text()


def _copy_until(terminal: int, said: Path, text: bytes) -> None:
    """Take what the process writes to its terminal, up to what it says last."""
    while text not in said.read_bytes():
        with said.open("ab") as file:
            file.write(os.read(terminal, 4096))


def configure(directory: Path) -> None:
    (directory / "streamer.toml").write_text(CONFIG)
    (directory / "key").write_text("key-of-the-tests")
    (directory / "key").chmod(0o600)


def parsed(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


def test_a_log_of_json_is_nothing_but_json_framed_by_two_lines(tmp_path: Path) -> None:
    configure(tmp_path)
    said = serve(tmp_path)
    lines = parsed(said)
    [started] = [line for line in lines if line["event"] == "service.started"]
    assert started["config"] == str(tmp_path / "streamer.toml")
    assert started["data_dir"] == str(tmp_path / "data")
    assert started["destinations"] == {"archive": "file", "hook": "http"}
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", started["admin"])
    [ingest] = started["ingest"]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", ingest)
    assert started["pid"] > 0
    assert started["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", started["sqlite"])
    stopped = lines[-1]
    assert stopped["event"] == "service.stopped"
    assert (stopped["reason"], stopped["failed"]) == ("SIGTERM", False)
    assert stopped["pending"] == {}
    assert 0 <= stopped["seconds"] <= stopped["up_seconds"]
    assert "s3cret" not in said


def test_the_built_in_default_tells_even_a_pipe_where_to_go(tmp_path: Path) -> None:
    said = serve(tmp_path)
    for words in BANNER:
        assert f"\n{words}" in said
    assert f" {sys.executable} -m streamer send-sample email.delivered\n" in said, (
        "as it was called"
    )
    key = KEY_LINE.search(said)
    assert key is not None
    assert key[1] == (tmp_path / "streamer-data" / "signing-key").read_text().strip()
    assert "Signing key" not in serve(tmp_path), "shown once"


@pytest.mark.parametrize(
    "environment",
    [{"JOURNAL_STREAM": "{file}"}, {"STREAMER_LOG__FORMAT": "json"}],
    ids=["the journal", "whoever asks for JSON"],
)
def test_the_built_in_default_tells_no_machine_its_key(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    said = serve(tmp_path, environment)
    key = (tmp_path / "streamer-data" / "signing-key").read_text().strip()
    assert key not in said
    without_priority = re.sub(r"^<\d>", "", said, flags=re.MULTILINE)
    assert (without_priority == said) is ("JOURNAL_STREAM" not in environment)
    [made] = [line for line in parsed(without_priority) if line["event"] == "key.made"]
    assert made["file"] == str(tmp_path / "streamer-data" / "signing-key")


def test_an_inherited_variable_does_not_make_a_pipe_the_journal(tmp_path: Path) -> None:
    said = serve(tmp_path, {"JOURNAL_STREAM": "1:1"})
    assert "Look at it" in said
    assert not said.startswith("<")


def test_a_log_of_text_has_a_banner_in_it(tmp_path: Path) -> None:
    configure(tmp_path)
    said = serve(tmp_path, {"STREAMER_LOG__FORMAT": "console"})
    for words in BANNER:
        assert f"\n{words}" in said
    assert "service.started" in said
    assert "hook: 127.0.0.1\n" in said
    assert "s3cret" not in said
    assert "{" not in said.partition("service.started")[0]


def test_a_person_at_a_terminal_is_told_where_to_go(tmp_path: Path) -> None:
    configure(tmp_path)
    said = serve(tmp_path, on_terminal=True)
    for words in BANNER:
        assert f"\n{words}" in said

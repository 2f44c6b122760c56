"""What is around the process and not as it should be: its streams, and what a stop leaves."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import Installation, eventually
from tests.support.serial_sender import SerialSender
from tests.support.service import CONFIG, KEY, clean_environment


def body(number: int, size: int = 0) -> bytes:
    return b'{"event_id":"event-%d","metric":"sent","x":"%s"}' % (number, b"x" * size)


def test_a_clean_stop_leaves_the_database_and_no_log_beside_it(
    installation: Installation, sender: SerialSender
) -> None:
    process = installation.start()
    for number in range(5):
        sender.send(number, body(number))
    assert (installation.data_dir / "streamer.db-wal").exists()
    assert process.stop() == 0
    left = sorted(path.name for path in installation.data_dir.glob("streamer.db*"))
    assert left == ["streamer.db"]
    assert installation.value("SELECT count(*) FROM outbox") == 5


def test_standard_output_that_nobody_reads_does_not_keep_it_from_stopping(
    installation: Installation, sender: SerialSender
) -> None:
    pipe = installation.directory / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    installation.configure('[destinations.out]\nkind = "stdout"\n', server="graceful_seconds = 0.5")
    process = installation.start("/bin/sh", "-c", f'exec "$@" >{pipe}', "sh")
    for number in range(4):
        sender.send(number, body(number, size=100_000))
    eventually(lambda: "service.started" in installation.log(), "it runs")
    process.signal(signal.SIGTERM)
    assert process.wait(10) == 0
    os.close(reading)
    assert "drain.given_up" in installation.log()


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_log_that_cannot_be_written_is_no_reason_not_to_serve(tmp_path: Path, form: str) -> None:
    (tmp_path / "streamer.toml").write_text(CONFIG)
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    address = tmp_path / "ingest"
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamer", "serve"],
            cwd=tmp_path,
            env=clean_environment(
                {
                    "STREAMER_SERVER__BIND": f"unix:{address}",
                    "STREAMER_ADMIN__BIND": f"unix:{tmp_path}/admin",
                    "STREAMER_SERVER__LAME_DUCK_SECONDS": "0",
                    "STREAMER_LOG__FORMAT": form,
                }
            ),
            stderr=full,
        )
    try:
        eventually((tmp_path / "data" / "streamer.db").exists, "it has begun")
        eventually(address.exists, "it listens")
        eventually(lambda: _answers(address) or process.poll() is not None, "it answers")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(5)
        try:
            caller.connect(str(address))
            caller.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return caller.recv(100).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

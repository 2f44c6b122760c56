"""Servers of the harness are real processes, and what they cost is what the kernel says."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import pytest

from benchmarks.harness import server
from benchmarks.harness.load import send, signed_requests
from benchmarks.harness.receiver import receiver

LISTENS = """
import socket, subprocess, sys, time
busy = "import time\\nwhile time.process_time() < 0.2: pass\\nprint(flush=True)\\ntime.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE)
child.stdout.readline()
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    time.sleep(60)
"""


def test_children_count_and_end_with_their_server(tmp_path: Path) -> None:
    port = server.free_port()
    command = [sys.executable, "-c", LISTENS, str(port)]
    with server.start(command, cwd=tmp_path, wait_for_port=port) as running:
        own, child = running.pids()
        assert own == running.pid
        assert running.cpu_seconds() >= 0.2
        assert running.resident_bytes() > 2 * 2**20
        ended = os.pidfd_open(child)
        running.kill()
    assert not running.is_running()
    assert select.select([ended], [], [], 10)[0] == [ended]
    os.close(ended)


def test_a_server_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    started = server.start(command, cwd=tmp_path, wait_for_port=server.free_port())
    with pytest.raises(RuntimeError, match="no such thing"), started:
        pass


def test_a_core_is_given_back() -> None:
    before = os.sched_getaffinity(0)
    with server.on_core(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_the_empty_app_and_the_receiver_answer() -> None:
    with server.empty_app() as empty, receiver() as hook:
        for running in (empty, hook):
            load = send(running.port, signed_requests(40, body_bytes=70_000), connections=4)
            assert load.statuses == {200: 40}


def test_the_service_stores_what_the_load_sends(tmp_path: Path) -> None:
    with server.streamer(tmp_path, "[outbox]\nretention_days = 9\n") as running:
        send(running.port, signed_requests(40), connections=4).must_be(200)
        assert server.ask_status(tmp_path)["outbox"]["events"] == 40

"""The real parts: a disk that fails on order, and a process that is kept running."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness.server import free_port
from benchmarks.hours_lost.faults import Edge, Kind
from benchmarks.hours_lost.faulty_disk import FaultyDisk
from benchmarks.hours_lost.manager import Manager, answers
from benchmarks.hours_lost.reality import Reality, Valve
from benchmarks.hours_lost.servers import Naive
from benchmarks.hours_lost.week import Event
from tests.support.recording_destination import RecordingDestination

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None and shutil.which("gcc") is None, reason="there is no C compiler"
)

WRITER = """
import os, sys, time
for name in sys.stdin:
    began = time.monotonic()
    try:
        with open(name.strip(), "ab", buffering=0) as file:
            file.write(b"x")
            os.fsync(file.fileno())
        said = 0
    except OSError as error:
        said = error.errno
    print(said, round(time.monotonic() - began, 3), os.statvfs(".").f_bavail, flush=True)
"""
"""Writes a byte to each file that it is told, and says how that went."""

SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

PAUSE_SECONDS = 0.3


class Writer:
    """A process that writes on order, with a disk of its own below one directory."""

    def __init__(self, disk: FaultyDisk, directory: Path) -> None:
        self.inside, self.outside = directory / "inside", directory / "outside"
        self.inside.mkdir()
        self.outside.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER],
            env={**os.environ, **disk.environment(self.inside)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def write(self, directory: Path) -> tuple[int, float, int]:
        """Write; return the error's number, the seconds it took, and the room that there is."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{directory / 'file'}\n")
        self.process.stdin.flush()
        error, seconds, room = self.process.stdout.readline().split()
        return int(error), float(seconds), int(room)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FaultyDisk]:
    built = FaultyDisk.build(tmp_path)
    assert built is not None
    yield built
    built.close()


@pytest.fixture
def writer(disk: FaultyDisk, tmp_path: Path) -> Iterator[Writer]:
    made = Writer(disk, tmp_path)
    with made.process:
        yield made
        assert made.process.stdin is not None
        made.process.stdin.close()


@needs_compiler
def test_a_disk_is_full_on_order_and_has_room_again(disk: FaultyDisk, writer: Writer) -> None:
    assert writer.write(writer.inside)[0] == 0
    disk.fill(full=True)
    error, _, room = writer.write(writer.inside)
    assert (error, room) == (errno.ENOSPC, 0)
    assert writer.write(writer.outside)[0] == 0
    assert disk.felt == (0, 1, 2)
    disk.fill(full=False)
    error, _, room = writer.write(writer.inside)
    assert error == 0
    assert room > 0


@needs_compiler
def test_syncs_are_slow_on_order_below_the_directory_alone(
    disk: FaultyDisk, writer: Writer
) -> None:
    disk.slow_down(0.2)
    assert writer.write(writer.inside)[1] >= 0.2
    writer.write(writer.outside)
    assert disk.felt == (1, 0, 0)
    assert disk.syncs_under_way == 0
    disk.slow_down(0.0)
    writer.write(writer.inside)
    assert disk.felt.syncs_delayed == 1


def launch(port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stderr=subprocess.DEVNULL)


def test_a_process_is_started_again_after_a_restart_and_after_a_kill() -> None:
    port = free_port()
    launched: list[float] = []

    def start() -> subprocess.Popen[bytes]:
        launched.append(time.monotonic())
        return launch(port)

    with Manager(start, port=port, restart_seconds=PAUSE_SECONDS) as manager:
        assert answers(port)
        manager.restart()
        assert not manager.is_settled
        manager.wait_settled(30)
        assert answers(port)
        killed_at = time.monotonic()
        manager.kill()
        assert not manager.is_settled
        manager.wait_settled(30)
        assert answers(port)
        assert launched[2] - killed_at >= PAUSE_SECONDS
    assert not answers(port)
    assert manager.ends == {-signal.SIGTERM: 2, -signal.SIGKILL: 1}


def test_a_restart_that_was_asked_for_makes_no_pause() -> None:
    port = free_port()
    with Manager(lambda: launch(port), port=port, restart_seconds=600) as manager:
        manager.restart()
        manager.wait_settled(30)
        assert answers(port)


def test_a_process_that_cannot_be_started_ends_the_trial() -> None:
    def fail() -> subprocess.Popen[bytes]:
        raise OSError("no such program")

    manager = Manager(fail, port=1, restart_seconds=0.0)
    with pytest.raises(RuntimeError, match="does not start"):
        manager.__enter__()


@needs_compiler
def test_a_fault_that_no_call_has_met_is_not_believed(disk: FaultyDisk, tmp_path: Path) -> None:
    """The server here stores nothing, so it cannot have met a full disk."""
    with RecordingDestination() as destination:
        server = Naive(tmp_path, destination)
        with Manager(lambda: launch(server.port), port=server.port, restart_seconds=0) as manager:
            reality = Reality(server, manager, Valve(), disk)
            full = Edge(0.0, Kind.FULL_DISK, begins=True)
            reality.switch(full)
            reality.switch(full._replace(begins=False))  # no call was made: nothing to doubt
            reality.switch(full)
            assert reality.attempt(Event(0, 0.0, b"{}")).reason is None
            with pytest.raises(RuntimeError, match="none met it"):
                reality.switch(full._replace(begins=False))
            reality.close()


def test_a_kill_excuses_the_call_that_it_cuts_off_and_no_other(tmp_path: Path) -> None:
    with RecordingDestination() as destination:
        server = Naive(tmp_path, destination)
        with Manager(lambda: launch(server.port), port=server.port, restart_seconds=5) as manager:
            reality = Reality(server, manager, Valve(), None)
            reality.switch(Edge(0.0, Kind.KILL_IN_CALL, begins=True))
            cut = reality.attempt(Event(0, 0.0, b"{}"))
            refused = reality.attempt(Event(0, 0.0, b"{}"))
            reality.close()
    assert cut.earns_hour
    assert cut.is_cut_by_kill
    assert refused.earns_hour
    assert not refused.is_cut_by_kill

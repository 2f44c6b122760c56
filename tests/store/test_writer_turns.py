"""A writer whose turn does not come, since a process stands still in its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from streamer.clock import SystemClock
from streamer.store import turns
from streamer.store.arrival import Kept
from streamer.store.turns import Turns
from streamer.store.writer import Writer
from tests.store.build import ROOM, event, open_fresh
from tests.store.writing import until
from tests.support.processes import REPOSITORY

pytestmark = pytest.mark.anyio

COMMAND = """
import sys
from pathlib import Path
from streamer.store import sqlite, turns

path = Path(sys.argv[1])
db = sqlite.open_writer(path)
with turns.beside_the_service(path.parent):
    db.execute(sys.argv[2])
    print("in its turn", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
async def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Writer:
    monkeypatch.setattr(turns, "TURN_WAIT_SECONDS", 0.01)
    path = tmp_path / "streamer.db"
    open_fresh(path).close()
    writer = Writer(
        path,
        SystemClock(),
        quarantine_bytes_max=ROOM,
        queue_bytes_max=2**20,
        queue_events_max=100,
        turns=Turns(tmp_path, writers=8),
    )
    await writer.open()
    return writer


@pytest.fixture(params=["BEGIN IMMEDIATE", "SELECT 1"])
def stopped(
    writer: Writer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[subprocess.Popen[str]]:
    """Give a command that is stopped in its turn, in its transaction or before it."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path / "streamer.db"), request.param],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in its turn\n"
        os.kill(process.pid, signal.SIGSTOP)
        yield process
        process.kill()


@pytest.mark.parametrize("stopped", ["BEGIN IMMEDIATE"], indirect=True)
async def test_a_command_stopped_in_its_transaction_is_met_as_any_lock_is(
    writer: Writer, stopped: subprocess.Popen[str]
) -> None:
    """It is counted, the writer goes round, and what waits is stored once the lock is gone."""
    task = asyncio.create_task(writer.run())
    kept = writer.append(event(1))
    with anyio.fail_after(10):
        await until(lambda: writer.stats.busy >= 2)
        assert writer.stats.ticks >= 2
        stopped.kill()
        assert await kept is Kept.STORED
        writer.stop()
        await task
        await writer.aclose()


async def test_the_end_does_not_wait_for_a_command_that_stands_still(
    writer: Writer, stopped: subprocess.Popen[str]
) -> None:
    task = asyncio.create_task(writer.run())
    writer.append(event(1)).add_done_callback(lambda future: future.exception())
    with anyio.fail_after(10):
        await until(lambda: writer.turns_missed[0] >= 1)
        task.cancel()
        await asyncio.wait({task})
        await writer.aclose()
    assert stopped.poll() is None


@pytest.mark.parametrize("stopped", ["SELECT 1"], indirect=True)
async def test_a_command_stopped_before_its_transaction_stops_nobody(
    writer: Writer, stopped: subprocess.Popen[str]
) -> None:
    task = asyncio.create_task(writer.run())
    with anyio.fail_after(10):
        assert [await writer.append(event(number)) for number in range(3)] == [Kept.STORED] * 3
        writer.stop()
        await task
    assert (writer.stats.busy, writer.turns_missed[0]) == (0, 1)
    assert stopped.poll() is None
    await writer.aclose()

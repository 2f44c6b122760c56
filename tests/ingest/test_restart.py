"""Restarts of the real program under senders that never rest: not one call may be lost on the way.

The listening socket belongs to the test, as it belongs to the socket unit in
production, so calls wait in its queue from one process to the next.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from streamer.store import sqlite
from tests.ingest.conftest import ENGINES
from tests.ingest.harness import eventually, listen
from tests.ingest.test_bodies import event
from tests.support.raw_http import KEY, Address, Sender, call, connect

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
RESTARTS = int(os.environ.get("STREAMER_TEST_RESTARTS", "3"))
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "ingest"}
os.execv(sys.executable, [sys.executable, "-m", "streamer", "serve", "--config", sys.argv[2]])
"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The loop of the senders; the program chooses its own."""
    return "asyncio"


class Record:
    """What the senders met."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.closing = 0
        self.failures: list[str] = []
        self.others: list[int] = []
        self.stop = False


async def call_for_ever(address: Address, name: str, record: Record, *, keep_alive: bool) -> None:
    """Call as fast as answers come; a new connection only when asked for one, or for each call."""
    number = 0
    while not record.stop:
        async with connect(address) as sender:
            going_on = True
            while going_on and not record.stop:
                number += 1
                going_on = await call_once(sender, f"{name}-{number}", record) and keep_alive


async def call_once(sender: Sender, event_id: str, record: Record) -> bool:
    """Call once; tell whether the connection may be used again."""
    try:
        await sender.send(call(event(event_id)))
        answer = await sender.answer()
    except ConnectionError as error:
        record.failures.append(type(error).__name__)
        return False
    if answer is None:
        record.failures.append("closed without an answer")
        return False
    record.closing += answer.closes
    if answer.status == 200:
        record.stored.append(event_id)
    else:
        record.others.append(answer.status)
    return not answer.closes


@asynccontextmanager
async def serving(
    listener: socket.socket, config: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the program on the listener; it must end well when told to."""
    with (config.parent / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", LAUNCH, str(listener.fileno()), str(config),
            pass_fds=[listener.fileno()], cwd=ROOT, stderr=log, stdout=log,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TEST_KEY": KEY},
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            ended = await asyncio.wait_for(process.wait(), 20)
    assert ended == 0, (config.parent / "log").read_text()


def write_config(directory: Path, engine: str) -> Path:
    """Write a configuration with nothing but an ingest side."""
    path = directory / "streamer.toml"
    path.write_text(
        f'data_dir = "{directory / "data"}"\n'
        f'[server]\nengine = "{engine}"\nlame_duck_seconds = 0.3\n'
        f'[admin]\nbind = "unix:{directory / "admin.sock"}"\n'
        "[outbox]\ningest_floor_bytes = 2\ndrain_floor_bytes = 1\n"
        '[sources.customerio]\nkind = "customerio"\nsigning_keys = [{ env = "TEST_KEY" }]\n'
    )
    return path


@pytest.mark.parametrize("engine", ENGINES)
async def test_no_call_is_lost_on_a_restart(tmp_path: Path, engine: str) -> None:
    config = write_config(tmp_path, engine)
    listener, address = listen(tmp_path)
    record = Record()
    senders = [
        asyncio.create_task(call_for_ever(address, f"s{n}", record, keep_alive=n % 2 == 0))
        for n in range(6)
    ]
    for _ in range(RESTARTS):
        async with serving(listener, config):
            enough = len(record.stored) + 60
            await eventually(lambda enough=enough: len(record.stored) >= enough)  # type: ignore[misc]  # mypy cannot infer a lambda's default
    async with serving(listener, config):  # answers those who wait
        record.stop = True
        await asyncio.wait(senders, timeout=15)
    listener.close()
    assert record.failures == []
    assert set(record.others) <= {503}
    assert record.closing >= RESTARTS
    with closing(sqlite.open_reader(tmp_path / "data" / "streamer.db")) as db:
        rows = db.execute("SELECT event_id FROM outbox").fetchall()
    assert {row[0] for row in rows} >= set(record.stored)

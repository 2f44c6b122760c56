"""Proof of life: who has to tick, and that silence is what feeds no watchdog."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamer.app.watch import Watch
from streamer.core.intervals import TURNS_TOLD_SECONDS, WRITER_STALL_SECONDS
from streamer.store.turns import Turns
from streamer.store.writer import Writer
from tests.store.writing import locked, make, running
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio


def _watch(clock: ManualClock, writer: Writer, deadlines: dict[str, float]) -> Watch:
    return Watch(clock, writer, alive_until=lambda: deadlines, status=lambda: "well")


async def test_a_loop_that_has_not_come_round_in_time_is_named(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path / "streamer.db") as writer:
        watch = _watch(
            clock, writer, {"drain lake": clock.monotonic() + 10, "janitor": float("inf")}
        )
        assert watch.stalled() == []
        clock.move(11)
        assert watch.stalled() == ["drain lake"]


async def test_an_idle_writer_is_alive_however_long_it_is_idle(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path / "streamer.db") as writer:
        watch = _watch(clock, writer, {})
        clock.move(WRITER_STALL_SECONDS * 10)
        assert watch.stalled() == []


async def test_a_writer_that_waits_for_a_lock_goes_round_and_is_alive(tmp_path: Path) -> None:
    clock = ManualClock()
    path = tmp_path / "streamer.db"
    async with running(path) as writer:
        watch = _watch(clock, writer, {})
        with locked(path):
            work = asyncio.ensure_future(writer.do(lambda db: db.total_changes))
            while writer.stats.busy < 2:
                assert watch.stalled() == []
                clock.move(WRITER_STALL_SECONDS / 2)
                before = writer.stats.ticks
                while writer.stats.ticks == before:  # noqa: ASYNC110 - a count, not an event
                    await asyncio.sleep(0)
        await work


async def test_a_writer_that_hangs_is_named(tmp_path: Path) -> None:
    """Nobody runs the writer here, so what is queued stays queued."""
    clock = ManualClock()
    writer = make(tmp_path / "streamer.db")
    watch = _watch(clock, writer, {})
    work = asyncio.ensure_future(writer.do(lambda db: db.total_changes))
    await asyncio.sleep(0)
    assert watch.stalled() == []
    clock.move(WRITER_STALL_SECONDS + 1)
    assert watch.stalled() == ["writer"]
    work.cancel()


async def test_turns_that_were_missed_are_told_of_once_a_minute(tmp_path: Path) -> None:
    clock = ManualClock()
    turns = Turns(tmp_path, writers=2)
    async with running(tmp_path / "streamer.db", turns=turns) as writer:
        with capture_logs() as said:
            watching = asyncio.ensure_future(_watch(clock, writer, {}).run(None))
            began_at = clock.monotonic()
            while clock.monotonic() < began_at + TURNS_TOLD_SECONDS * 2.5:
                turns.missed, turns.missed_because = 10 + turns.missed, "Input/output error"
                await asyncio.sleep(0)
            watching.cancel()
    told = [line for line in said if line["event"] == "writer.turns_missed"]
    assert len(told) == 3
    assert {line["reason"] for line in told} == {"Input/output error"}
    assert 0 < sum(line["times"] for line in told) <= turns.missed


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The service manager's end of the notification socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


async def test_the_watchdog_is_fed_while_all_are_alive_and_not_after(
    tmp_path: Path, manager: socket.socket
) -> None:
    clock = ManualClock()
    async with running(tmp_path / "streamer.db") as writer:
        watch = _watch(clock, writer, {"drain lake": clock.monotonic() + 25})
        watching = asyncio.ensure_future(watch.run(30.0))
        while clock.monotonic() < 1_100:  # noqa: ASYNC110 - the watch itself moves the clock
            await asyncio.sleep(0)
        watching.cancel()
    said = b"".join(_received(manager))
    assert said.count(b"WATCHDOG=1") == 5  # every 5 s for 25 s


def _received(listener: socket.socket) -> Iterator[bytes]:
    try:
        while True:
            yield listener.recv(4096)
    except BlockingIOError:
        return

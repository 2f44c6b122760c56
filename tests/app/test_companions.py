"""The main process's view of its companions, and the line between them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from streamer.app import companions
from streamer.app.channel import (
    Channel,
    Failed,
    FromCompanion,
    Leave,
    Room,
    Serve,
    Start,
    Stored,
    ToCompanion,
    open_channel,
)
from streamer.app.companions import Companions, Made
from streamer.app.ending import Ending
from streamer.app.terms import SourceTerms, Terms
from streamer.app.watch import Watch
from streamer.clock import SystemClock
from streamer.core.errors import StreamerError
from streamer.core.intervals import COMPANION_SILENCE_SECONDS
from streamer.core.limits import CHANNEL_BYTES_MAX
from streamer.ingest.front import Front
from streamer.observe.board import Board
from streamer.store import lockfile
from streamer.store.writer import Writer
from tests.store.writing import running
from tests.support.processes import POLL_SECONDS, REPOSITORY

pytestmark = pytest.mark.anyio

TERMS = Terms(
    sources={
        "customerio": SourceTerms(
            signing_keys=("a-secret",),
            refuse_bad_signature=False,
            age_warn_seconds=300,
            age_limit_seconds=None,
        )
    },
    quarantine_bytes_max=2**20,
    log_level="error",
)


def start_of(path: Path) -> Start:
    return Start(
        processes=2,
        instance="x",
        database=str(path),
        engine="hypercorn",
        terms=TERMS,
        body_bytes_max=2**20,
        queue_bytes_max=2**20,
        queue_events_max=100,
        deadline_seconds=3,
        lame_duck_seconds=0,
        graceful_seconds=1,
        log_format="json",
        under_journal=False,
    )


class _Clock(SystemClock):
    """The machine's clock, which can be moved on."""

    seconds_on = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.seconds_on


class Gathering:
    """A companion, and what the main process has beside it."""

    def __init__(self, made: list[Made], writer: Writer) -> None:
        self.made = made
        self.clock = _Clock()
        self.ending = Ending(self.clock)
        board = Board(self.clock)
        self.companions = Companions(
            made,
            writer=writer,
            front=Front(
                _nowhere,
                sources={},
                writer=writer,
                clock=self.clock,
                board=board,
                deadline_seconds=3,
                body_memory_bytes_max=2**20,
            ),
            board=board,
            clock=self.clock,
            ending=self.ending,
            on_stored=lambda keys: None,
        )
        self.watch = Watch(
            self.clock, writer, alive_until=self.companions.alive_until, status=lambda: ""
        )

    async def until_stalled(self, names: list[str]) -> None:
        with anyio.fail_after(15):
            while self.watch.stalled() != names:  # noqa: ASYNC110 - another process, not an event
                await asyncio.sleep(POLL_SECONDS)


async def _nowhere(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nothing is asked")


@asynccontextmanager
async def gathered(
    directory: Path, meanwhile: Callable[[Gathering], None] = lambda gathering: None
) -> AsyncIterator[Gathering]:
    """Run a companion that is ready; it is told to leave in the end.

    ``meanwhile`` is called when it has been made, and nothing was said to it yet.
    """
    path = directory / "streamer.db"
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, lockfile.hold(directory) as lock:
        made = companions.make(2, [listener], lock=lock)
        try:
            async with running(path) as writer, anyio.create_task_group() as tasks:
                gathering = Gathering(made, writer)
                gathering.companions.begin(tasks, start_of(path))
                meanwhile(gathering)
                await gathering.companions.gather()
                yield gathering
                gathering.companions.leave()
                await gathering.companions.end(10)
                tasks.cancel_scope.cancel()
        finally:
            for one in made:
                one.end()


async def test_one_that_says_nothing_any_more_is_named_to_the_watchdog(tmp_path: Path) -> None:
    async with gathered(tmp_path) as gathering:
        [pid] = gathering.companions.pids
        assert gathering.watch.stalled() == []
        os.kill(pid, signal.SIGSTOP)
        gathering.clock.seconds_on += COMPANION_SILENCE_SECONDS * 10
        assert gathering.watch.stalled() == ["ingest process 2"]
        os.kill(pid, signal.SIGCONT)
        await gathering.until_stalled([])
    assert not gathering.ending.failed


async def test_one_that_says_nothing_for_longer_is_killed_and_all_end(tmp_path: Path) -> None:
    with capture_logs() as said:
        async with gathered(tmp_path) as gathering:
            [pid] = gathering.companions.pids
            os.kill(pid, signal.SIGSTOP)
            gathering.clock.seconds_on += COMPANION_SILENCE_SECONDS * 10
            with anyio.fail_after(15):
                await gathering.ending.wait()
            assert gathering.ending.reason == "ingest process 2 failed"
            assert gathering.made[0].process.returncode == -signal.SIGKILL
    [hangs] = [line for line in said if line["event"] == "companion.hangs"]
    assert (hangs["process"], hangs["pid"]) == (2, pid)
    assert hangs["reason"] == "it reports nothing"


async def test_one_that_has_ended_as_it_was_told_is_not_missed(tmp_path: Path) -> None:
    async with gathered(tmp_path) as gathering:
        gathering.companions.leave()
        await gathering.companions.end(10)
        gathering.clock.seconds_on += COMPANION_SILENCE_SECONDS * 10
        assert gathering.watch.stalled() == []
    assert not gathering.ending.failed


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Give what this process says to the other one, as it says it."""
    every: list[object] = []
    say = Channel.say

    def listened(channel: Channel[object], message: ToCompanion | FromCompanion) -> None:
        every.append(message)
        say(channel, message)

    monkeypatch.setattr(Channel, "say", listened)
    return every


async def test_a_reload_before_it_listens_is_told_once_it_does(
    tmp_path: Path, said: list[object]
) -> None:
    changed = replace(TERMS, log_level="critical")
    async with gathered(tmp_path, lambda gathering: gathering.companions.follow(changed)):
        assert [type(one) for one in said] == [Start, Terms, Serve]
        assert said[1] == changed


async def test_it_does_not_begin_to_serve_what_is_to_end(
    tmp_path: Path, said: list[object]
) -> None:
    async with gathered(tmp_path, lambda gathering: gathering.ending.ask("SIGTERM")):
        pass
    assert [type(one) for one in said] == [Start, Leave]


async def test_what_fails_before_it_knows_how_to_log_goes_to_standard_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"\0\0\0\x04what")
        command = [sys.executable, "-m", "streamer.app.companion", str(theirs.fileno()), "0"]
        done = await anyio.run_process(
            command,
            check=False,
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
    assert (done.returncode, done.stdout) == (1, b"")
    assert json.loads(done.stderr)["event"] == "service.failed"


async def test_one_that_ends_by_itself_is_the_end_of_all(tmp_path: Path) -> None:
    async with gathered(tmp_path) as gathering:
        [pid] = gathering.companions.pids
        os.kill(pid, signal.SIGKILL)
        with anyio.fail_after(15):
            await gathering.ending.wait()
    assert gathering.ending.failed
    assert gathering.ending.reason == "ingest process 2 failed"


async def test_too_many_processes_are_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "missing"))
    with pytest.raises(StreamerError, match="3 processes cannot be started") as raised:
        companions.make(3, [], lock=0)
    assert "TasksMax" in raised.value.hint


async def test_what_is_said_is_heard_in_order_until_the_line_ends() -> None:
    ours, theirs = socket.socketpair()
    here, there = await open_channel(ours, FromCompanion), await open_channel(theirs, ToCompanion)
    orders: list[ToCompanion] = [TERMS, Room(disk_full=True), Leave()]
    for order in orders:
        here.say(order)
    there.say(Stored([2**63 - 1, -(2**63)], 3, 4))
    await here.aclose()
    here.say(Leave())
    assert [order async for order in there.hear()] == orders
    there.say(Failed("nobody hears it"))
    await there.aclose()


async def test_half_a_message_is_none() -> None:
    ours, theirs = socket.socketpair()
    there = await open_channel(theirs, ToCompanion)
    ours.sendall(b"\0\0\0\x09half")
    ours.close()
    assert [order async for order in there.hear()] == []
    await there.aclose()


async def test_a_side_that_does_not_listen_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    here = await open_channel(ours, FromCompanion)
    news = Stored(list(range(10_000)), 0, 0)
    said = 0
    while not here.is_clogged:
        here.say(news)
        said += 1
    assert CHANNEL_BYTES_MAX / 30_000 < said < 1_000
    theirs.close()
    await here.aclose()


async def test_keys_are_not_shown() -> None:
    assert "a-secret" not in repr(TERMS)
    assert "a-secret" not in repr(start_of(Path("x")))

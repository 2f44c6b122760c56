"""More connections than there are places for: they wait in the queue, and are answered in turn."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog

from streamer.app import listeners
from streamer.core.intervals import ROOM_SECONDS
from streamer.core.limits import ACCEPT_AT_ONCE_SHARED, CONNECTIONS_MAX
from streamer.web import server
from streamer.web.acceptor import Acceptor
from tests.ingest.harness import Engine, eventually, listen
from tests.support.raw_http import connect
from tests.web.test_server import REQUEST, Running

pytestmark = pytest.mark.anyio

PLACES = 2


@pytest.fixture
async def small(tmp_path: Path, engine: Engine) -> AsyncIterator[Running]:
    """A server with two places."""
    listener, address = listen(tmp_path)
    found = Running(listener, address, engine, connections_max=PLACES)
    yield found
    found.go_on.set()
    found.stop.set()
    await found.ended()
    listener.close()


async def test_whoever_finds_no_place_waits_and_is_answered_when_there_is_one(
    small: Running,
) -> None:
    small.go_on.clear()
    async with AsyncExitStack() as open_ones:
        senders = [
            await open_ones.enter_async_context(connect(small.address)) for _ in range(PLACES + 3)
        ]
        asking = [asyncio.create_task(one.ask(REQUEST)) for one in senders]
        await eventually(lambda: small.full > 0)
        for _ in range(3):
            await asyncio.wait(asking, timeout=ROOM_SECONDS)
        assert small.begun == PLACES, "calls that are being answered are not cut off for others"
        assert set(small.reasons) == {f"{PLACES} connections are open"}
        small.go_on.set()
        answers = await asyncio.gather(*asking)
    assert [answer.status for answer in answers] == [200] * len(senders)


class ShortListener(socket.socket):
    """Has no descriptors for the first who come."""

    refusals = 3

    def accept(self) -> tuple[socket.socket, Any]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


async def test_who_comes_while_descriptors_are_short_waits_and_the_reason_is_told(
    tmp_path: Path, engine: Engine
) -> None:
    listener, address = listen(tmp_path)
    short = Running(ShortListener(fileno=listener.detach()), address, engine)
    with structlog.testing.capture_logs() as lines:
        async with connect(address) as sender:
            assert (await sender.ask(REQUEST)).status == 200
    short.stop.set()
    await short.ended()
    short.listener.close()
    assert short.reasons == ["no connection can be accepted: Too many open files"] * 3
    assert not lines, "the alarm tells it, and once a minute"


async def test_the_connection_that_was_idle_for_longest_makes_room(
    small: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS_MIN", 0.0)
    async with AsyncExitStack() as open_ones:
        first, second = [
            await open_ones.enter_async_context(connect(small.address)) for _ in range(PLACES)
        ]
        await second.ask(REQUEST)
        await first.ask(REQUEST)
        async with connect(small.address) as third:
            assert (await third.ask(REQUEST)).status == 200
        assert (await first.ask(REQUEST)).status == 200, "it was idle for less long"
        assert await second.rest() == b"", "closed"


async def test_a_connection_that_was_just_made_is_not_closed_for_another(small: Running) -> None:
    """Its call may be on the way; the other one waits until it has been idle for long enough."""
    async with AsyncExitStack() as open_ones:
        first, second, third = [
            await open_ones.enter_async_context(connect(small.address)) for _ in range(PLACES + 1)
        ]
        asking = asyncio.create_task(third.ask(REQUEST))
        await eventually(lambda: small.full > 0)
        assert (await first.ask(REQUEST)).status == 200
        assert (await second.ask(REQUEST)).status == 200
        assert (await asking).status == 200


async def test_a_stop_while_all_places_are_taken_ends(small: Running) -> None:
    small.go_on.clear()
    async with AsyncExitStack() as open_ones:
        asking = []
        for _ in range(PLACES + 1):
            sender = await open_ones.enter_async_context(connect(small.address))
            asking.append(asyncio.create_task(sender.ask(REQUEST)))
        await eventually(lambda: small.full > 0)
        small.stop.set()
        small.go_on.set()
        await small.ended()
        assert small.begun == PLACES, "the last one is left to the next process"
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


@pytest.mark.parametrize(
    ("descriptors", "connections"),
    [(1_024, 512), (65_536, CONNECTIONS_MAX), (resource.RLIM_INFINITY, CONNECTIONS_MAX), (1, 1)],
)
def test_connections_leave_descriptors_for_everything_else(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, connections: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    assert listeners.connections_max() == connections


@pytest.mark.parametrize(("shared", "most"), [(True, ACCEPT_AT_ONCE_SHARED), (False, 9)])
async def test_of_those_who_come_at_once_some_are_left_to_whoever_shares_the_listener(
    tmp_path: Path, shared: bool, most: int
) -> None:
    served = asyncio.Event()

    async def serve(accepted: socket.socket) -> None:
        await served.wait()
        accepted.close()

    listener, address = listen(tmp_path)
    with listener:
        listener.setblocking(False)
        assert isinstance(address, tuple)
        waiting = [socket.create_connection(address) for _ in range(9)]
        acceptor = Acceptor(
            listener, serve, connections_max=100, make_room=lambda: None,
            on_full=lambda reason: None, shared=shared,
        )  # fmt: skip
        steps = []
        while len(acceptor.tasks) < 9:
            before = len(acceptor.tasks)
            await asyncio.sleep(0)
            steps.append(len(acceptor.tasks) - before)
        assert max(steps) == most
        acceptor.stop()
        served.set()
        await asyncio.gather(*acceptor.tasks)
        for one in waiting:
            one.close()

"""What uvicorn by itself would do otherwise; what both engines do alike is tested with both."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from streamer.core.limits import REQUESTS_WAITING_MAX
from streamer.ingest.front import Application
from streamer.web import engine_uvicorn, heads
from streamer.web.engine_uvicorn import UvicornEngine
from tests.ingest.conftest import ENGINES
from tests.ingest.harness import Engine, eventually, listen
from tests.support.raw_http import (
    SECONDS_MAX,
    Address,
    Sender,
    chunk,
    chunked_head,
    connect,
    head,
)
from tests.web.test_server import REQUEST, Running

pytestmark = pytest.mark.anyio

NONSENSE = b"\0nonsense\r\n\r\n"
RESET = struct.pack("ii", 1, 0)
"""Linger, for no time: what makes of a close a reset."""
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@pytest.fixture
def engine() -> Engine:
    """The engine under test."""
    return ENGINES["uvicorn"]


@pytest.fixture
async def running(tmp_path: Path, engine: Engine) -> AsyncIterator[Running]:
    """A server whose application answers when it is let go."""
    listener, address = listen(tmp_path)
    found = Running(listener, address, engine)
    yield found
    found.go_on.set()
    found.stop.set()
    await found.ended()
    listener.close()


@asynccontextmanager
async def serving(
    application: Application, engine: Engine, directory: Path
) -> AsyncIterator[Address]:
    """Serve another application; whatever is under way at the end is given up at once."""
    stop = asyncio.Event()
    listener, address = listen(directory)
    task = asyncio.create_task(engine(application, listener, stop=stop.wait, graceful_seconds=0))
    try:
        yield address
    finally:
        stop.set()
        await task
        listener.close()


async def answers(sender: Sender) -> list[tuple[int, bool]]:
    """Read all answers until the connection ends: each status, and whether it announces the end."""
    found = []
    while (answer := await sender.answer()) is not None:
        found.append((answer.status, answer.closes))
    return found


async def test_what_cannot_be_read_costs_no_call_before_it_its_answer(running: Running) -> None:
    running.go_on.clear()
    async with connect(running.address) as sender:
        await sender.send(REQUEST * 3 + NONSENSE + REQUEST)
        await eventually(lambda: running.begun == 1)
        running.go_on.set()
        assert await answers(sender) == [(200, False), (200, False), (200, True)]


async def test_a_body_that_cannot_be_read_costs_no_call_before_it_its_answer(
    running: Running,
) -> None:
    running.go_on.clear()
    async with connect(running.address) as sender:
        await sender.send(REQUEST * 2 + chunked_head([]) + b"zz\r\n")
        await eventually(lambda: running.begun == 1)
        running.go_on.set()
        assert await answers(sender) == [(200, False), (200, True)]


async def test_a_body_that_never_comes_costs_no_call_before_it_its_answer(
    running: Running,
) -> None:
    running.go_on.clear()
    async with connect(running.address) as sender:
        await sender.send(REQUEST * 2 + chunked_head([]))
        await eventually(lambda: running.begun == 1)
        await sender.finish()
        running.go_on.set()
        assert [status for status, _ in await answers(sender)] == [200, 200]


async def test_a_call_whose_body_cannot_be_read_is_answered_once(running: Running) -> None:
    running.go_on.clear()
    async with connect(running.address) as sender:
        await sender.send(chunked_head([]) + chunk(b"x"))
        await eventually(lambda: running.begun == 1)
        await sender.send(b"zz\r\n")
        assert await answers(sender) == [(400, True)]


async def test_an_answer_that_has_begun_is_not_followed_by_a_refusal(
    engine: Engine, tmp_path: Path
) -> None:
    async def application(_scope: object, _receive: object, send: Send) -> None:
        headers = [(b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await asyncio.Event().wait()

    async with serving(application, engine, tmp_path) as address, connect(address) as sender:
        await sender.send(chunked_head([]) + chunk(b"x"))
        assert (await sender.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await sender.send(b"zz\r\n")
        assert await sender.rest() == b""


async def test_a_sender_that_is_refused_may_write_on_for_a_moment(running: Running) -> None:
    """A reset would take the answer away from one that has not read it yet."""
    async with connect(running.address) as sender:
        assert (await sender.ask(NONSENSE)).status == 400
        for _ in range(20):
            await sender.send(NONSENSE * 2_000)
            await eventually(lambda: sender.transport.get_write_buffer_size() == 0)
        await sender.finish()
        assert await sender.rest() == b""


async def test_who_is_being_answered_hears_that_the_sender_has_gone(
    engine: Engine, tmp_path: Path
) -> None:
    """Whether or not another call came behind it."""
    heard: list[str] = []
    begun = asyncio.Event()

    async def application(_scope: object, receive: Receive, _send: object) -> None:
        await receive()
        begun.set()
        heard.append((await receive())["type"])

    async with serving(application, engine, tmp_path) as address:
        for number in (1, 2):
            begun.clear()
            async with connect(address) as sender:
                await sender.send(REQUEST * number)
                await begun.wait()
                # An end alone could be that of a sender which still listens.
                sender.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                sender.abort()
                await eventually(lambda number=number: len(heard) == number)  # type: ignore[misc]  # mypy cannot infer a lambda's default
    assert heard == ["http.disconnect"] * 2


async def test_who_is_accepted_at_the_very_end_does_not_keep_the_server() -> None:
    async def application(*_: object) -> None:
        raise AssertionError

    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    late = UvicornEngine(application)
    await late.leave()
    async with asyncio.timeout(SECONDS_MAX):
        await late.serve(ours)
    theirs.close()


async def test_so_many_calls_wait_on_one_connection_and_no_more(running: Running) -> None:
    running.go_on.clear()
    async with connect(running.address) as sender:
        await sender.send(REQUEST * (REQUESTS_WAITING_MAX + 10))
        await eventually(lambda: running.begun == 1)
        running.go_on.set()
        found = await answers(sender)
    assert found == [(200, False)] * REQUESTS_WAITING_MAX + [(200, True)]


@pytest.mark.parametrize("beginning", ["5;", "0\r\nX-Trailer: "], ids=["extension", "trailer"])
async def test_what_belongs_to_a_body_and_never_ends_is_cut_off(
    running: Running, beginning: str
) -> None:
    running.go_on.clear()
    async with connect(running.address) as sender:
        await sender.send(chunked_head([]) + beginning.encode())
        await eventually(lambda: running.begun == 1)
        await sender.send(b"x" * 20_000)
        assert await answers(sender) == [(400, True)]


@pytest.mark.parametrize("trailer", [b"Content-Length: 9", b"Transfer-Encoding: gzip"])
async def test_what_a_trailer_may_name_is_still_no_framing_of_a_head(
    running: Running, trailer: bytes
) -> None:
    first = chunked_head([], "/") + b"0\r\n" + trailer + b"\r\n\r\n"
    both = head([("Transfer-Encoding", "chunked"), ("Content-Length", "0")], "POST", "/")
    async with connect(running.address) as sender:
        await sender.send(first + REQUEST + first + both + chunk(b""))
        assert await answers(sender) == [(200, False), (200, False), (200, True)]
        await sender.finish()
    async with connect(running.address) as sender:
        assert (await sender.ask(first)).status == 200
        assert (await sender.ask(both + chunk(b""))).status == 400


@pytest.mark.parametrize("upgrade", [False, True], ids=["by itself", "behind an upgrade"])
async def test_a_last_request_is_the_last_and_says_so(running: Running, upgrade: bool) -> None:
    """Even if it says so in a trailer only, and whichever parser read it."""
    offer = head([("Connection", "Upgrade"), ("Upgrade", "websocket")], "GET", "/")
    last = chunked_head([], "/") + b"0\r\nConnection: close\r\n\r\n"
    async with connect(running.address) as sender:
        await sender.send(offer * upgrade + last + REQUEST)
        assert await answers(sender) == [(200, False)] * upgrade + [(200, True)]
    assert running.begun == 1 + upgrade


@pytest.fixture
async def early(engine: Engine, tmp_path: Path) -> AsyncIterator[Address]:
    """A server whose application answers before it has read anything."""

    async def application(_scope: object, _receive: object, send: Send) -> None:
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with serving(application, engine, tmp_path) as address:
        yield address


@pytest.mark.parametrize(
    ("nonsense", "status"), [(NONSENSE, 400), (head([("X", "x" * 400_000)])[:-2], 431)]
)
async def test_what_was_answered_before_it_was_complete_is_over_once_it_is(
    early: Address, nonsense: bytes, status: int
) -> None:
    async with connect(early) as sender:
        assert (await sender.ask(chunked_head([]) + chunk(b"x"))).status == 200
        await sender.send(chunk(b"x" * 100_000) + chunk(b""))
        assert (await sender.ask(head([], "GET", "/"))).status == 200
        assert (await sender.ask(chunked_head([]) + chunk(b"x"))).status == 200
        await sender.send(chunk(b""))
        await sender.send(nonsense)
        assert await answers(sender) == [(status, True)]


async def test_the_rest_of_what_has_its_answer_is_not_waited_for_long(
    early: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_uvicorn, "LINGER_SECONDS", 0.05)
    async with connect(early) as sender:
        assert (await sender.ask(chunked_head([]) + chunk(b"x"))).status == 200
        assert await sender.rest() == b""


async def test_a_last_request_that_had_its_answer_ends_the_connection_when_it_is_complete(
    early: Address,
) -> None:
    async with connect(early) as sender:
        assert (await sender.ask(chunked_head([]) + chunk(b"x"))).status == 200
        await sender.send(b"0\r\nConnection: close\r\n\r\n" + REQUEST)
        assert await sender.rest() == b""


async def test_a_bug_in_the_reading_of_a_call_is_503(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def check(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(heads, "check", check)
    async with connect(running.address) as sender:
        await sender.send(REQUEST)
        assert await answers(sender) == [(503, True)]
    assert [one.name for one in caplog.records] == ["streamer.server"]


async def test_an_application_that_fails_is_503(engine: Engine, tmp_path: Path) -> None:
    async def application(*_: object) -> None:
        raise RuntimeError("a bug")

    async with serving(application, engine, tmp_path) as address, connect(address) as sender:
        await sender.send(REQUEST)
        assert await answers(sender) == [(503, True)]


async def test_an_application_that_is_given_up_is_503(engine: Engine, tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def application(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with AsyncExitStack() as connections:
        async with serving(application, engine, tmp_path) as address:
            sender = await connections.enter_async_context(connect(address))
            await sender.send(REQUEST)
            await begun.wait()
        assert await answers(sender) == [(503, True)]


async def test_an_unread_upgrade_does_not_hide_what_comes_behind_it(running: Running) -> None:
    offer = head([("Connection", "Upgrade"), ("Upgrade", "websocket")], "GET", "/")
    async with connect(running.address) as sender:
        await sender.send((offer + REQUEST) * 3)
        for _ in range(6):
            answer = await sender.answer()
            assert answer is not None
            assert answer.status == 200
    assert running.begun == 6


async def test_a_response_carries_the_date(running: Running) -> None:
    async with connect(running.address) as sender:
        for request in (REQUEST, NONSENSE):
            answer = await sender.ask(request)
            assert (answer.one("date") or "").endswith(" GMT")

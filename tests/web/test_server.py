"""The server itself: what it writes at once, and whom it still hears when it is told to stop."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from streamer.core.limits import NEWCOMER_SECONDS
from streamer.web.engine import EngineName
from tests.ingest.harness import Engine, eventually, listen
from tests.support.raw_http import Address, connect, head

pytestmark = pytest.mark.anyio

REQUEST = head([], "GET", "/")
Message = dict[str, Any]


class Running:
    """A server with an application that waits until it is let go."""

    def __init__(
        self,
        listener: socket.socket,
        address: Address,
        engine: Engine,
        *,
        graceful_seconds: float = 0.5,
        connections_max: int = 100,
    ) -> None:
        self.listener = listener
        self.address = address
        self.engine = engine
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.stop = asyncio.Event()
        self.begun = 0
        self.reasons: list[str] = []
        self.task = asyncio.create_task(
            engine(
                self._serve,
                listener,
                stop=self.stop.wait,
                graceful_seconds=graceful_seconds,
                connections_max=connections_max,
                on_full=self.reasons.append,
            )
        )

    @property
    def full(self) -> int:
        """How often somebody had to wait to be accepted."""
        return len(self.reasons)

    async def _serve(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self.begun += 1
        await receive()
        await self.go_on.wait()
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def ended(self) -> None:
        """Wait for the server's end."""
        async with asyncio.timeout(10):
            await self.task


@pytest.fixture
async def running(tmp_path: Path, engine: Engine) -> AsyncIterator[Running]:
    """A server on loopback."""
    listener, address = listen(tmp_path)
    found = Running(listener, address, engine)
    yield found
    found.go_on.set()
    found.stop.set()
    await found.ended()
    listener.close()


async def test_an_answer_is_one_write(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    async with connect(running.address) as sender:
        transport = type(sender.transport)
        real = transport.write

        def write(self: asyncio.Transport, data: bytes) -> None:
            if data and data != REQUEST:
                written.append(bytes(data))
            real(self, data)

        monkeypatch.setattr(transport, "write", write)
        await sender.ask(REQUEST)
    assert len(written) == 1
    assert written[0].startswith(b"HTTP/1.1 200")
    assert written[0].endswith(b"\r\n\r\n")


async def test_a_connection_that_was_just_accepted_is_heard_before_the_end(
    running: Running,
) -> None:
    async with connect(running.address) as sender:
        await sender.ask(REQUEST)  # accepted, certainly
        running.stop.set()
        async with asyncio.timeout(NEWCOMER_SECONDS / 2):
            assert (await sender.ask(REQUEST)).status == 200
        await running.ended()


async def test_a_sender_that_comes_after_the_end_waits_for_the_next_process(
    running: Running,
) -> None:
    running.stop.set()
    await running.ended()
    async with connect(running.address) as sender:
        await sender.send(REQUEST)
        following = Running(running.listener, running.address, running.engine)
        answer = await sender.answer()
        assert answer is not None
        assert answer.status == 200
        following.stop.set()
        await following.ended()


async def test_a_request_under_way_is_answered_before_the_end(running: Running) -> None:
    running.go_on.clear()
    async with connect(running.address) as sender:
        await sender.send(REQUEST)
        await eventually(lambda: running.begun == 1)
        running.stop.set()
        await asyncio.sleep(0)
        running.go_on.set()
        answer = await sender.answer()
        assert answer is not None
        assert answer.status == 200
    await running.ended()


async def test_a_request_that_never_ends_does_not_keep_the_server(running: Running) -> None:
    running.go_on.clear()
    async with connect(running.address) as sender:
        await sender.send(REQUEST)
        await eventually(lambda: running.begun == 1)
        running.stop.set()
        await running.ended()


async def test_an_idle_connection_does_not_keep_the_server(running: Running) -> None:
    async with connect(running.address) as sender:
        await sender.ask(REQUEST)
        running.stop.set()
        assert await sender.rest() == b""
        await running.ended()


async def test_a_connection_that_stays_idle_is_closed_and_one_that_waits_is_not(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each one costs a descriptor; but a request under way may take longer than an idle one."""
    for name in get_args(EngineName):
        monkeypatch.setattr(f"streamer.web.engine_{name}.KEEP_ALIVE_SECONDS", 0.2)
    listener, address = listen(tmp_path)
    running = Running(listener, address, engine)
    async with connect(address) as idle, connect(address) as waiting:
        running.go_on.clear()
        await waiting.send(REQUEST)
        assert await idle.rest() == b""
        running.go_on.set()
        answer = await waiting.answer()
        assert answer is not None
        assert answer.status == 200
        assert await waiting.rest() == b""
    running.stop.set()
    await running.ended()
    listener.close()


async def test_a_head_that_comes_too_slowly_ends_like_silence(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a few such senders would take all the places for ever."""
    for name in get_args(EngineName):
        monkeypatch.setattr(f"streamer.web.engine_{name}.KEEP_ALIVE_SECONDS", 0.3)
    listener, address = listen(tmp_path)
    running = Running(listener, address, engine)
    async with connect(address) as sender:
        ended = asyncio.create_task(sender.rest())
        for byte in REQUEST[:-1] * 20:
            await sender.send(bytes([byte]))
            if (await asyncio.wait({ended}, timeout=0.05))[0]:
                break
        assert await ended == b""
    assert running.begun == 0
    running.stop.set()
    await running.ended()
    listener.close()


async def test_a_connection_ends_after_so_many_requests(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in get_args(EngineName):
        monkeypatch.setattr(f"streamer.web.engine_{name}.CONNECTION_REQUESTS_MAX", 2)
    listener, address = listen(tmp_path)
    running = Running(listener, address, engine)
    async with connect(address) as sender:
        assert [(await sender.ask(REQUEST)).closes for _ in range(2)] == [False, True]
        assert await sender.rest() == b""
    running.stop.set()
    await running.ended()
    listener.close()


async def test_the_grace_is_for_requests_and_not_for_idle_connections(
    tmp_path: Path, engine: Engine
) -> None:
    """The idle one is closed first; the request may take its time, and then nothing is left."""
    listener, address = listen(tmp_path)
    running = Running(listener, address, engine, graceful_seconds=60)
    running.go_on.clear()
    async with connect(address) as idle, connect(address) as busy:
        await busy.send(REQUEST)
        await eventually(lambda: running.begun == 1)
        running.stop.set()
        assert await idle.rest() == b""
        assert not running.task.done()
        running.go_on.set()
        answer = await busy.answer()
        assert answer is not None
        assert answer.status == 200
        await running.ended()
    listener.close()


async def test_nobody_is_let_in_any_more_once_it_is_told_to_stop(running: Running) -> None:
    """Who comes then waits for the next process, which takes the same listener over."""
    running.go_on.clear()
    async with connect(running.address) as first, connect(running.address) as second:
        await first.send(REQUEST)
        await eventually(lambda: running.begun == 1)
        running.stop.set()
        await asyncio.sleep(0)
        async with connect(running.address) as late:
            await late.send(REQUEST)
            await running.ended()
            assert running.begun == 1
            assert await second.rest() == b""
            following = Running(running.listener, running.address, running.engine)
            answer = await late.answer()
            assert answer is not None
            assert answer.status == 200
            following.stop.set()
            await following.ended()


async def test_what_is_cut_off_at_the_end_may_still_say_so(tmp_path: Path, engine: Engine) -> None:
    """The loop ends right after the server: an answer that is not out by then never is."""
    said: list[str] = []
    begun, stop = asyncio.Event(), asyncio.Event()

    async def application(*_: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _turn in range(10):
                await asyncio.sleep(0)
            said.append("farewell")

    listener, address = listen(tmp_path)
    serving = asyncio.create_task(engine(application, listener, stop=stop.wait, graceful_seconds=0))
    async with connect(address) as sender:
        await sender.send(REQUEST)
        await begun.wait()
        stop.set()
        await serving
        assert said == ["farewell"]
    listener.close()


async def test_a_crowd_can_wait_to_be_accepted(running: Running) -> None:
    """Customer.io opens many at once; one that the kernel turns away costs an hour."""
    crowd = [socket.socket() for _ in range(100)]
    try:
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(running.listener.getsockname())
        # The loop stands still meanwhile, as it does in a moment of much work.
        connected = [one for one in crowd if select.select([], [one], [], 0.2)[1]]
        assert len(connected) == len(crowd)
    finally:
        for one in crowd:
            one.close()


async def test_an_error_of_an_application_is_told_in_the_log(
    tmp_path: Path, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async def application(*_: object) -> None:
        raise RuntimeError("a bug")

    stop = asyncio.Event()
    listener, address = listen(tmp_path)
    serving = asyncio.create_task(engine(application, listener, stop=stop.wait, graceful_seconds=0))
    async with connect(address) as sender:
        await sender.ask(REQUEST)
    stop.set()
    await serving
    listener.close()
    assert [one.levelname for one in caplog.records if one.name == "streamer.server"] == ["ERROR"]

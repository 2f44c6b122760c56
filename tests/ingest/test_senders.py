"""Senders as they are: slow, gone, half closed, or on one connection for a thousand calls.

No answer may be lost on a sender that is still listening: a reset or an end
of the connection without an answer costs it an hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from streamer.ingest.front import Application
from tests.ingest.conftest import StartIngest
from tests.ingest.harness import Ingest, eventually, hold
from tests.ingest.test_bodies import event
from tests.support.raw_http import (
    SECONDS_MAX,
    Answer,
    Sender,
    call,
    chunk,
    chunked_head,
    connect,
    head,
    signature,
)

pytestmark = pytest.mark.anyio


async def test_a_sender_that_has_finished_writing_still_gets_its_answer(ingest: Ingest) -> None:
    async with connect(ingest.address) as sender:
        await sender.send(call(event()))
        await sender.finish()
        answer = await sender.answer()
        assert answer is not None
        assert answer.status == 200
        assert await sender.rest() == b"", "and the connection ends at once"
    assert ingest.bodies() == [event()]


async def test_connections_that_senders_have_closed_are_closed_here_too(ingest: Ingest) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counting is all
    for number in range(30):
        assert (await ingest.post(event(str(number)))).status == 200
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before + 2)  # noqa: PTH208 - so


async def test_a_thousand_calls_share_a_connection(ingest: Ingest) -> None:
    async with connect(ingest.address) as sender:
        for number in range(1_000):
            answer = await sender.ask(call(event(str(number))))
            assert answer.status == 200
            assert not answer.closes
    assert ingest.rows("SELECT count(*) FROM outbox") == [(1_000,)]


async def test_ten_senders_of_the_same_event_are_all_answered(ingest: Ingest) -> None:
    answers = await asyncio.gather(*(ingest.post(event()) for _ in range(10)))
    assert [answer.status for answer in answers] == [200] * 10
    assert ingest.bodies() == [event()]
    assert not ingest.quarantined()


async def test_a_sender_that_goes_in_the_middle_of_its_body_leaves_nothing(ingest: Ingest) -> None:
    body = event(padding="x" * 100_000)
    for vanish in (Sender.close, _abort):
        async with connect(ingest.address) as sender:
            await sender.send(call(body)[:-10])
            await vanish(sender)
    await eventually(lambda: ingest.front._budget._bytes == 0)
    assert ingest.is_empty()
    assert (await ingest.post(body)).status == 200


async def _abort(sender: Sender) -> None:
    sender.abort()


@pytest.mark.parametrize("vanish", [Sender.close, _abort], ids=["closed", "reset"])
async def test_a_sender_that_goes_during_the_commit_finds_its_event_stored(
    ingest: Ingest, vanish: Callable[[Sender], object]
) -> None:
    with ingest.locked() as db:
        async with connect(ingest.address) as sender:
            await sender.send(call(event()))
            await eventually(lambda: not ingest.writer.is_idle)
            if vanish is Sender.close:
                await sender.close()
            else:
                sender.abort()
        hold(db)
    await eventually(lambda: ingest.bodies() == [event()])
    assert (await ingest.post(event())).status == 200


async def write_slowly(sender: Sender, pieces: list[bytes], pause_seconds: float) -> None:
    """Write on whatever comes back, as most senders do, and fail if the pipe breaks."""
    for piece in pieces:
        await sender.send(piece)
        await asyncio.sleep(pause_seconds)


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ("signed", "/webhooks/customerio", 503),
        ("signed", "/webhooks/nobody", 404),
        ("unsigned", "/webhooks/customerio", 401),
    ],
)
async def test_a_sender_that_is_still_writing_gets_its_answer_and_no_reset(
    start_ingest: StartIngest, headers: str, path: str, status: int
) -> None:
    """The deadline passes half way through a mebibyte; the rest comes within the sender's time."""
    pieces = [chunk(b"x" * 32_768)] * 32
    async with start_ingest(deadline_seconds=0.3) as ingest, connect(ingest.address) as sender:
        await sender.send(chunked_head(signature(b"") if headers == "signed" else [], path))
        await write_slowly(sender, [*pieces, chunk(b"")], pause_seconds=0.02)
        answer = await sender.answer()
        assert answer is not None
        assert answer.status == status
        assert answer.closes
        assert await sender.rest() == b"", "the end of the connection is an end and no reset"
        assert ingest.is_empty()


async def test_a_sender_that_never_ends_is_cut_off(start_ingest: StartIngest) -> None:
    async with start_ingest(deadline_seconds=0.2) as ingest, connect(ingest.address) as sender:
        await sender.send(chunked_head(signature(b"")))
        writing = asyncio.create_task(
            write_slowly(sender, [chunk(b"x")] * 2_000, pause_seconds=0.01)
        )
        answer = await sender.answer()
        assert answer is not None
        assert answer.status == 503
        begun = asyncio.get_running_loop().time()
        with contextlib.suppress(ConnectionError):
            await sender.rest()
        assert asyncio.get_running_loop().time() - begun < 2
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await writing


@pytest.mark.parametrize("headers", ["signed", "unsigned"])
@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
async def test_an_answer_leaves_in_one_piece(
    start_ingest: StartIngest, headers: str, unix: bool
) -> None:
    """The whole answer is there with the first read, each of many times."""
    loop = asyncio.get_running_loop()
    async with start_ingest(unix=unix) as ingest:
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as connection:
            connection.setblocking(False)
            target = ingest.address
            await loop.sock_connect(connection, str(target) if isinstance(target, Path) else target)
            for number in range(50):
                body = event(str(number))
                request = call(body, headers=None if headers == "signed" else [])
                await loop.sock_sendall(connection, request)
                async with asyncio.timeout(SECONDS_MAX):
                    data = await loop.sock_recv(connection, 65_536)
                assert data.startswith(b"HTTP/1.1 200" if headers == "signed" else b"HTTP/1.1 401")
                assert data.endswith(b"\r\n\r\n")
                assert b"content-length: 0\r\n" in data


async def test_while_leaving_each_answer_asks_for_another_connection(ingest: Ingest) -> None:
    ingest.front.gate.leaving = True
    for request, status in (
        (call(event()), 200),
        (call(event(), headers=[]), 401),
        (call(event(), path="/webhooks/nobody"), 404),
        (head([], "GET", "/livez"), 200),
        (head([], "GET", "/nothing"), 404),
    ):
        async with connect(ingest.address) as sender:
            answer = await sender.ask(request)
            assert (answer.status, answer.closes) == (status, True)
            assert await sender.rest() == b""
    assert ingest.bodies() == [event()]


def failing(inner: Application) -> Application:
    """Break what stands behind the front: before an answer, or in the middle of it."""

    async def application(scope: object, receive: object, send: Callable[..., object]) -> None:
        assert isinstance(scope, dict)
        if scope["path"] == "/half":
            start = {"type": "http.response.start", "status": 200, "headers": []}
            await send(start)  # type: ignore[misc]  # ASGI's own untyped callable
        raise RuntimeError("a bug")

    return application


async def test_a_bug_behind_the_front_is_503(start_ingest: StartIngest) -> None:
    async with start_ingest(wrap=failing) as ingest:
        answer = await ingest.raw(head([], "GET", "/livez"))
        assert (answer.status, answer.one("retry-after"), answer.closes) == (503, "5", True)
        assert (await ingest.post(event())).status == 200


async def test_a_bug_in_the_middle_of_an_answer_ends_the_connection_and_nothing_else(
    start_ingest: StartIngest, caplog: pytest.LogCaptureFixture
) -> None:
    """No second answer can be begun; the sender sees an end, and the server is told of no error."""
    async with start_ingest(wrap=failing) as ingest, connect(ingest.address) as sender:
        await sender.send(head([], "GET", "/half"))
        answered = await sender.rest()
        assert answered.count(b"HTTP/1.1 ") <= 1
        assert b"HTTP/1.1 5" not in answered
        assert (await ingest.post(event())).status == 200
    assert [record.name for record in caplog.records if record.name == "streamer.server"] == []


async def test_a_request_that_is_cut_off_at_the_end_is_503(start_ingest: StartIngest) -> None:
    """The server gives up after its grace, and would answer 500 by itself."""
    answers: list[Answer | None] = []
    async with start_ingest(deadline_seconds=10.0) as ingest:
        sender_context = connect(ingest.address)
        sender = await sender_context.__aenter__()
        await sender.send(call(event())[:-1])
        await eventually(lambda: ingest.front._budget._bytes > 0)
    answers.append(await sender.answer())
    await sender_context.__aexit__(None, None, None)
    assert answers[0] is not None
    assert answers[0].status == 503


async def test_a_large_body_to_a_wrong_place_leaves_no_connection_behind(ingest: Ingest) -> None:
    """The framework answers without reading; whatever it left unread must not be kept for ever."""
    assert (await ingest.post(event())).status == 200
    before = len(asyncio.all_tasks())
    for path in ("/nothing", "/livez"):
        async with connect(ingest.address) as sender:
            with contextlib.suppress(ConnectionError):
                await sender.send(call(b"x" * 3_000_000, path=path))
                answer = await sender.answer()
                assert answer is None or answer.status in {404, 405, 413}
    await eventually(lambda: len(asyncio.all_tasks()) <= before)


async def test_a_flood_that_never_ends_leaves_no_connection_behind(
    start_ingest: StartIngest,
) -> None:
    """Chunks of one byte come faster than they are taken; all that waits is let go at the end."""
    async with start_ingest(deadline_seconds=0.2) as ingest:
        assert (await ingest.post(event())).status == 200
        before = len(asyncio.all_tasks())
        async with connect(ingest.address) as sender:
            await sender.send(chunked_head(signature(b"")))
            with contextlib.suppress(ConnectionError):
                flooding = asyncio.create_task(flood(sender))
                answer = await sender.answer()
                assert answer is not None
                assert answer.status == 503
                await sender.rest()
            flooding.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await flooding
        await eventually(lambda: len(asyncio.all_tasks()) <= before)


async def flood(sender: Sender) -> None:
    """Write tiny chunks for ever."""
    while True:
        await sender.send(chunk(b"x") * 5_000)
        await asyncio.sleep(0)

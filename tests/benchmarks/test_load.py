"""The load's requests are genuine, and its client takes answers however they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.harness.load import (
    HEAD_END,
    KEY,
    Answer,
    Load,
    make_body,
    percentile,
    send_async,
    signed_requests,
)
from streamer.core import customerio
from streamer.core.signature import Verifier

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\ndate: now\r\n\r\nfine"
EMPTY = b"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 503 \r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n"
LAST = b"HTTP/1.1 200 \r\ncontent-length: 0\r\nConnection: close\r\n\r\n"

Reply = Callable[[asyncio.StreamWriter, int], None]


@asynccontextmanager
async def tiny_server(reply: Reply) -> AsyncIterator[int]:
    """Serve connections one request at a time; ``reply`` is told how many came before."""
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                head = await reader.readuntil(HEAD_END)
                await reader.readexactly(int(head.rpartition(b": ")[2]))
                reply(writer, seen)
                seen += 1
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_each_request_is_answered_once() -> None:
    async with tiny_server(lambda writer, _: writer.write(OK)) as port:
        load = await send_async(port, signed_requests(20), connections=3)
    assert load.statuses == {200: 20}
    assert len(load.latencies_ms) == 20
    assert load.per_second == pytest.approx(20 / load.seconds)
    assert load.must_be(200) is load


async def test_an_answer_may_come_in_pieces() -> None:
    def in_pieces(writer: asyncio.StreamWriter, number: int) -> None:
        cut = 1 + number % (len(OK) - 1)
        writer.write(OK[:cut])
        asyncio.get_running_loop().call_later(0.001, writer.write, OK[cut:])

    async with tiny_server(in_pieces) as port:
        load = await send_async(port, signed_requests(len(OK)), connections=4)
    assert load.statuses == {200: len(OK)}


async def test_other_answers_are_counted_and_not_taken_for_success() -> None:
    def sometimes_busy(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(EMPTY if number % 3 else BUSY)

    async with tiny_server(sometimes_busy) as port:
        load = await send_async(port, signed_requests(9), connections=1)
    assert load.statuses == {200: 6, 503: 3}
    assert load.per_second == pytest.approx(6 / load.seconds)
    with pytest.raises(RuntimeError, match="503: 3"):
        load.must_be(200)


async def test_a_connection_that_the_server_ends_is_opened_anew() -> None:
    def last(writer: asyncio.StreamWriter, _: int) -> None:
        writer.write(LAST)
        writer.close()

    async with tiny_server(last) as port:
        load = await send_async(port, signed_requests(5), connections=2)
    assert load.statuses == {200: 5}


async def test_a_call_without_an_answer_is_counted_as_such() -> None:
    def first_one_hangs_up(writer: asyncio.StreamWriter, number: int) -> None:
        if number:
            writer.write(EMPTY)
        else:
            writer.close()

    async with tiny_server(first_one_hangs_up) as port:
        load = await send_async(port, signed_requests(4), connections=1)
    assert load.statuses == {0: 1, 200: 3}
    assert len(load.latencies_ms) == 3


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\ndate: now\r\n\r\n", "without its length"),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 xyz\r\ncontent-length: 0\r\n\r\n", "not HTTP/1.1"),
        (EMPTY + EMPTY, "more than one answer"),
    ],
)
async def test_what_is_no_answer_ends_the_load(answer: bytes, why: str) -> None:
    async with tiny_server(lambda writer, _: writer.write(answer)) as port:
        with pytest.raises(RuntimeError, match=why):
            await send_async(port, signed_requests(4), connections=2)


async def test_nobody_who_listens_is_an_error() -> None:
    async with tiny_server(lambda writer, _: writer.close()) as port:
        pass
    with pytest.raises(OSError, match="onnect"):
        await send_async(port, signed_requests(1), connections=1)


@pytest.mark.parametrize("whole", [OK, EMPTY, BUSY])
def test_an_answer_is_whole_at_its_last_byte(whole: bytes) -> None:
    answer = Answer()
    for _ in range(2):
        taken = [answer.take(whole[at : at + 1]) for at in range(len(whole))]
        assert taken.index(True) == len(whole) - 1
        assert answer.status == int(whole[9:12])
        assert not answer.closes


def test_no_content_needs_no_length() -> None:
    assert Answer().take(b"HTTP/1.1 204 No Content\r\n\r\n")


def test_requests_are_what_the_service_takes() -> None:
    requests = signed_requests(3, first=7)
    event_ids = set()
    for request in requests:
        head, _, body = request.partition(HEAD_END)
        line, *fields = head.decode().split("\r\n")
        headers = dict(field.split(": ") for field in fields)
        assert line == "POST /webhooks/customerio HTTP/1.1"
        assert int(headers["Content-Length"]) == len(body)
        running = Verifier([KEY]).start(
            headers["X-CIO-Timestamp"].encode(), headers["X-CIO-Signature"].encode()
        )
        assert running is not None
        running.update(body)
        assert running.matches()
        decoded = customerio.decode(body)
        assert isinstance(decoded, customerio.Decoded)
        event_ids.add(decoded.event_id)
    assert len(event_ids) == 3


def test_a_body_has_the_size_that_was_asked_for() -> None:
    assert len(make_body(1, 1_750_000_000, 2_000)) == 2_000
    [request] = signed_requests(1, body_bytes=600)
    assert len(request.partition(HEAD_END)[2]) == 600
    with pytest.raises(ValueError, match="over 100"):
        make_body(1, 1_750_000_000, 100)


def test_percentiles_are_values_that_occurred() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, share) for share in (0, 20, 21, 50, 99, 100)] == [1, 1, 2, 3, 5, 5]
    assert percentile([7.0], 50) == 7.0
    load = Load(seconds=1, latencies_ms=values, statuses={200: 5})
    assert load.percentile(90) == 5
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)

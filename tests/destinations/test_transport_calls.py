"""Calls other than a delivery: for a token, or to look at and set up the far side."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streamer.destinations.transport import Fault, Transport, TransportError
from tests.support.http_destination import (
    closed_port,
    hang,
    raw,
    reply,
    reply_json,
    scripted_server,
)

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def transport(*, total_seconds_max: float = 5.0) -> AsyncIterator[Transport]:
    one = Transport(connect_seconds_max=1.0, total_seconds_max=total_seconds_max, connections_max=1)
    try:
        yield one
    finally:
        await one.aclose()


@pytest.mark.parametrize(
    ("method", "body"), [("GET", None), ("PUT", b"{}"), ("POST", b"a=b"), ("DELETE", None)]
)
async def test_a_call_is_made_with_its_method_body_and_headers(
    method: str, body: bytes | None
) -> None:
    async with scripted_server() as server, transport() as calls:
        answer = await calls.request(
            method, server.url, body=body, headers={"X-Api-Key": "k"}, answer_bytes_max=100
        )
    (received,) = server.received
    assert (received.method, received.body) == (method, body or b"")
    assert received.headers["x-api-key"] == "k"
    assert answer.status == 200


@pytest.mark.parametrize("size", [2**20, 2**20 + 1])
async def test_a_large_body_arrives_whole_and_the_client_warns_of_none(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"." * (size % 256)
    async with scripted_server() as server, transport() as calls:
        await calls.request("POST", server.url, body=body, headers={}, answer_bytes_max=10)
    assert server.received[0].body == body


async def test_an_answer_has_its_headers_by_lower_case_name_and_its_body() -> None:
    head = b"HTTP/1.1 404 No\r\nETag: a\r\nX-Twice: 1\r\nx-twice: 2\r\nContent-Length: 2\r\n\r\n"
    async with scripted_server() as server, transport() as calls:
        server.script = [raw(head + b"{}")]
        answer = await calls.request("GET", server.url, headers={}, answer_bytes_max=100)
    assert (answer.status, answer.body) == (404, b"{}")
    assert (answer.headers["etag"], answer.headers["x-twice"]) == ("a", "1")


async def test_an_answer_is_read_up_to_the_limit_and_the_next_call_is_not_disturbed() -> None:
    async with scripted_server() as server, transport() as calls:
        server.script = [reply(200, b"x" * 1_000_000), reply_json({"access_token": "t"})]
        long = await calls.request("GET", server.url, headers={}, answer_bytes_max=1000)
        short = await calls.request("GET", server.url, headers={}, answer_bytes_max=1000)
    assert long.body == b"x" * 1000
    assert json.loads(short.body) == {"access_token": "t"}


async def test_calls_share_a_connection() -> None:
    async with scripted_server() as server, transport() as calls:
        for method in ("GET", "PUT", "GET"):
            await calls.request(method, server.url, headers={}, answer_bytes_max=10)
    assert server.connections == 1


async def test_no_redirect_is_followed() -> None:
    async with scripted_server() as server, transport() as calls:
        server.script = [reply(302, Location="/elsewhere")]
        answer = await calls.request("GET", server.url, headers={}, answer_bytes_max=10)
    assert (answer.status, answer.headers["location"]) == (302, "/elsewhere")
    assert len(server.received) == 1


async def test_no_answer_is_one_of_a_few_faults() -> None:
    url = f"http://127.0.0.1:{closed_port()}/"
    async with transport() as calls:
        with pytest.raises(TransportError) as failure:
            await calls.request("GET", url, headers={}, answer_bytes_max=10)
    assert failure.value.fault is Fault.CONNECT
    async with scripted_server() as server, transport(total_seconds_max=0.2) as calls:
        server.script = [hang]
        with pytest.raises(TransportError) as failure:
            await calls.request("GET", server.url, headers={}, answer_bytes_max=10)
    assert failure.value.fault is Fault.TIMEOUT

"""What both listeners' applications are made from: no page can be made to hold a large body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quart import request

from streamer.core.limits import PAGE_BODY_BYTES_MAX
from streamer.web.refusals import make_bare
from streamer.web.server import run_server
from tests.ingest.harness import listen
from tests.support.raw_http import Address, call, chunk, chunked_head, connect, exchange, head

pytestmark = pytest.mark.anyio


@pytest.fixture
async def greedy(tmp_path: Path) -> AsyncIterator[Address]:
    """An application with a page that reads whatever body it is sent."""
    app = make_bare("greedy")

    @app.post("/")
    async def swallow() -> str:
        return str(len(await request.get_data()))

    listener, address = listen(tmp_path)
    stop = asyncio.Event()
    serving = asyncio.create_task(run_server(app, listener, stop=stop.wait, graceful_seconds=1))
    yield address
    stop.set()
    await serving
    listener.close()


@pytest.mark.parametrize(("further", "status"), [(0, 200), (1, 413)])
async def test_a_body_is_read_to_a_bound(greedy: Address, further: int, status: int) -> None:
    body = b"x" * (PAGE_BODY_BYTES_MAX + further)
    assert (await exchange(greedy, call(body, path="/"))).status == status


async def test_a_body_that_does_not_say_its_length_is_bounded_too(greedy: Address) -> None:
    async with connect(greedy) as sender:
        await sender.send(chunked_head([], "/") + chunk(b"x" * (PAGE_BODY_BYTES_MAX + 1)))
        answer = await sender.answer()
        assert answer is not None
        assert answer.status == 413


async def test_nothing_is_served_that_nobody_wrote(greedy: Address) -> None:
    for path in ("/static/x", "/favicon.ico", "/robots.txt"):
        assert (await exchange(greedy, head([], "GET", path))).status == 404

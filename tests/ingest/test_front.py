"""The front as an ASGI callable: what no HTTP/1.1 connection can show."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ingest.conftest import StartIngest
from tests.ingest.harness import Ingest

pytestmark = pytest.mark.anyio

Message = dict[str, Any]


async def test_a_websocket_is_refused_by_any_server(ingest: Ingest) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await ingest.front({"type": "websocket", "path": "/webhooks/customerio"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_the_life_of_the_process_is_the_frameworks(start_ingest: StartIngest) -> None:
    seen: list[str] = []

    async def inner(scope: Message, receive: object, send: object) -> None:
        seen.append(scope["type"])

    async def nothing(*_: object) -> Message:
        return {}

    async with start_ingest(wrap=lambda _: inner) as ingest:
        await ingest.front({"type": "lifespan"}, nothing, nothing)  # type: ignore[arg-type]  # it is never sent to
    assert seen == ["lifespan"]

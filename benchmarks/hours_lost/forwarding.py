"""The FastAPI server of the rivals with delivery inside the request: a handler without an outbox.

An event is stored, handed on, and answered 200 once both are done. When it cannot be handed on the
answer is 502, so that Customer.io sends it again: that is this server's only way to try again. Run:
``FORWARD_TO=URL python -m benchmarks.hours_lost.forwarding --port 8001 --database events.db``
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import aiohttp
import uvicorn
from fastapi import Request, Response

from benchmarks.rivals import sqlite_store
from benchmarks.rivals.fastapi_receiver import make_app
from benchmarks.rivals.receiver import arguments

FORWARD_SECONDS_MAX = 2.0
"""For the destination's answer; the sender waits four seconds in all."""


class Forwarder:
    """Hands each stored event on before it is answered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def __call__(
        self, request: Request, store: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Be the middleware around the handler that stores."""
        body = await request.body()
        answer = await store(request)
        if answer.status_code == 200 and not await self._is_delivered(body):
            return Response(status_code=502)
        return answer

    async def _is_delivered(self, body: bytes) -> bool:
        if self._session is None:
            limit = aiohttp.ClientTimeout(total=FORWARD_SECONDS_MAX)
            self._session = aiohttp.ClientSession(timeout=limit)
        try:
            async with self._session.post(self._url, data=body) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False


def main() -> None:
    """Serve until SIGTERM."""
    chosen = arguments("FastAPI, one SQLite commit and one delivery for each request").parse_args()
    app = make_app(sqlite_store.opened(chosen.database))
    app.middleware("http")(Forwarder(os.environ["FORWARD_TO"]))
    uvicorn.run(
        app, host="127.0.0.1", port=chosen.port,
        loop="uvloop", http="httptools", access_log=False, log_level="warning",
    )  # fmt: skip


if __name__ == "__main__":
    main()

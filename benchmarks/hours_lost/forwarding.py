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
from fastapi import FastAPI, Request, Response

from benchmarks.rivals.fastapi_sqlite import make_app
from benchmarks.rivals.receiver import parse

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


def forwarding_app() -> tuple[FastAPI, int]:
    """Build the application from command line and environment; return it and its port."""
    options = parse("FastAPI on uvicorn, one SQLite commit and one delivery for each request")
    app = make_app(options)
    app.middleware("http")(Forwarder(os.environ["FORWARD_TO"]))
    return app, options.port


if __name__ == "__main__":
    application, port = forwarding_app()
    uvicorn.run(
        application, host="127.0.0.1", port=port,
        loop="uvloop", http="httptools", access_log=False, log_level="warning",
    )  # fmt: skip

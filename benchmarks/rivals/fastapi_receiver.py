"""The FastAPI application that all servers on FastAPI are, whatever they store with.

It verifies, decodes, waits until the event is kept, and answers; uvicorn runs it as fast as it
can: uvloop, httptools and no access log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request, Response

from benchmarks.rivals.receiver import PATH, SIGNATURE, TIMESTAMP, Keep, Refused, receive


def make_app(store: AbstractAsyncContextManager[Keep]) -> FastAPI:
    """Build the application around a store that is open as long as it serves."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with store as app.state.keep:
            yield

    app = FastAPI(lifespan=lifespan)

    async def webhook(request: Request) -> Response:
        try:
            headers, body = request.headers, await request.body()
            received = receive(headers.get(TIMESTAMP), headers.get(SIGNATURE), body)
        except Refused as refused:
            return Response(status_code=refused.status)
        await app.state.keep(received)
        return Response(status_code=200)

    app.add_api_route(PATH, webhook, methods=["POST"])
    return app


def serve(store: AbstractAsyncContextManager[Keep], port: int) -> None:
    """Serve until SIGTERM."""
    uvicorn.run(
        make_app(store), host="127.0.0.1", port=port,
        loop="uvloop", http="httptools", access_log=False, log_level="warning",
    )  # fmt: skip

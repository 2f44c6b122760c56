"""FastAPI on uvicorn, and aiosqlite with one commit for each request.

What most people would write first. Run:
``python -m benchmarks.rivals.fastapi_sqlite --port 8001 --database events.db``
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request, Response

from benchmarks.rivals import sqlite_store
from benchmarks.rivals.receiver import PATH, SIGNATURE, TIMESTAMP, Options, Refused, parse, receive


def make_app(options: Options) -> FastAPI:
    """Build the application around its one connection to the database."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with sqlite_store.opened(options.database) as db:
            app.state.db = db
            yield

    app = FastAPI(lifespan=lifespan)

    async def webhook(request: Request) -> Response:
        try:
            headers, body = request.headers, await request.body()
            received = receive(headers.get(TIMESTAMP), headers.get(SIGNATURE), body)
        except Refused as refused:
            return Response(status_code=refused.status)
        await sqlite_store.commit(app.state.db, received)
        return Response(status_code=200)

    app.add_api_route(PATH, webhook, methods=["POST"])
    return app


if __name__ == "__main__":
    options = parse("FastAPI on uvicorn, one SQLite commit for each request")
    uvicorn.run(
        make_app(options), host="127.0.0.1", port=options.port,
        loop="uvloop", http="httptools", access_log=False, log_level="warning",
    )  # fmt: skip

"""Quart on Hypercorn, and aiosqlite with one commit for each request.

The naive server on the parts that streamer is made of. Run:
``python -m benchmarks.rivals.quart_sqlite --port 8001 --database events.db``
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator

import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart, request

from benchmarks.rivals import sqlite_store
from benchmarks.rivals.receiver import PATH, SIGNATURE, TIMESTAMP, Refused, arguments, receive


def make_app(database_file: str) -> Quart:
    """Build the application around its one connection to the database."""
    app = Quart(__name__)

    @app.while_serving
    async def database() -> AsyncGenerator[None, None]:
        async with sqlite_store.opened(database_file) as keep:
            app.extensions["keep"] = keep
            yield

    @app.post(PATH)
    async def webhook() -> tuple[str, int]:
        try:
            headers, body = request.headers, await request.data
            received = receive(headers.get(TIMESTAMP), headers.get(SIGNATURE), body)
        except Refused as refused:
            return "", refused.status
        await app.extensions["keep"](received)
        return "", 200

    return app


def main() -> None:
    """Serve on one event loop until SIGTERM."""
    chosen = arguments("Quart on Hypercorn, one SQLite commit for each request").parse_args()
    config = Config()
    config.bind = [f"127.0.0.1:{chosen.port}"]
    config.keep_alive_max_requests = sys.maxsize  # it hangs up after a thousand calls otherwise
    uvloop.run(serve(make_app(chosen.database), config))


if __name__ == "__main__":
    main()

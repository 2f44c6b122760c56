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
from benchmarks.rivals.receiver import PATH, SIGNATURE, TIMESTAMP, Options, Refused, parse, receive


def make_app(options: Options) -> Quart:
    """Build the application around its one connection to the database."""
    app = Quart(__name__)

    @app.while_serving
    async def database() -> AsyncGenerator[None, None]:
        async with sqlite_store.opened(options.database) as db:
            app.extensions["db"] = db
            yield

    @app.post(PATH)
    async def webhook() -> tuple[str, int]:
        try:
            headers, body = request.headers, await request.data
            received = receive(headers.get(TIMESTAMP), headers.get(SIGNATURE), body)
        except Refused as refused:
            return "", refused.status
        await sqlite_store.commit(app.extensions["db"], received)
        return "", 200

    return app


def main() -> None:
    """Serve on one event loop until SIGTERM."""
    options = parse("Quart on Hypercorn, one SQLite commit for each request")
    config = Config()
    config.bind = [f"127.0.0.1:{options.port}"]
    config.keep_alive_max_requests = sys.maxsize  # it hangs up after a thousand calls otherwise
    uvloop.run(serve(make_app(options), config))


if __name__ == "__main__":
    main()

"""FastAPI that answers first and stores later: what a background task comes to.

The event goes into a list in memory and the call is answered; another task writes what has
gathered, many events to a commit. It is what most tutorials on webhooks advise. A kill takes
everything that was answered and not written yet. Run:
``python -m benchmarks.rivals.fastapi_memory --port 8001 --database events.db``
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiosqlite

from benchmarks.rivals import fastapi_receiver, sqlite_store
from benchmarks.rivals.receiver import Keep, Received, arguments

WRITE_EVERY_SECONDS = 0.5


@asynccontextmanager
async def opened(database: str) -> AsyncIterator[Keep]:
    """Open the database, and write to it behind the answers' back."""
    gathered: list[Received] = []

    async def keep(received: Received) -> None:
        gathered.append(received)

    async def write_now() -> None:
        batch = gathered.copy()
        gathered.clear()
        await db.executemany(sqlite_store.INSERT, batch)
        await db.commit()

    async def write_on() -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            await write_now()

    async with aiosqlite.connect(database) as db:
        await db.execute("PRAGMA journal_mode = WAL")
        await db.execute(sqlite_store.SCHEMA)
        writing = asyncio.create_task(write_on())
        yield keep
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await write_now()


if __name__ == "__main__":
    chosen = arguments("FastAPI on uvicorn, stored after the answer").parse_args()
    fastapi_receiver.serve(opened(chosen.database), chosen.port)

"""The table that the naive SQLite servers write to, on one connection of aiosqlite.

With ``synchronous=FULL`` SQLite syncs the write-ahead log before a commit returns, and the answer
comes after it. One statement outside of a transaction is a transaction of its own; that is one
commit for each request. The other way that people write it, an INSERT and then ``commit()``, looks
the same and is not: the connection is shared, so whoever commits first commits what others have
inserted meanwhile. That is a group commit by accident: much faster under load, as durable, and
one request's rollback takes other requests' events with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosqlite

from benchmarks.rivals.receiver import Keep, Received

SCHEMA = "CREATE TABLE IF NOT EXISTS events (event_id TEXT PRIMARY KEY, body BLOB NOT NULL)"
INSERT = "INSERT OR IGNORE INTO events (event_id, body) VALUES (?, ?)"


@asynccontextmanager
async def opened(
    database: str, *, synchronous: str = "FULL", shared: bool = False
) -> AsyncIterator[Keep]:
    """Open the database, make its table if it is new, and give what stores one event."""
    async with aiosqlite.connect(database, isolation_level="" if shared else None) as db:
        await db.execute("PRAGMA journal_mode = WAL")
        await db.execute(f"PRAGMA synchronous = {synchronous}")
        await db.execute(SCHEMA)

        async def keep(received: Received) -> None:
            await db.execute(INSERT, received)
            if shared:
                await db.commit()

        yield keep

"""The table that the naive SQLite servers write to, on a connection of aiosqlite.

One statement outside of a transaction is a transaction of its own: with ``synchronous=FULL``
SQLite syncs the write-ahead log before the statement returns, and so does the answer after it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite

from benchmarks.rivals.receiver import Received

SCHEMA = "CREATE TABLE IF NOT EXISTS events (event_id TEXT PRIMARY KEY, body BLOB NOT NULL)"
INSERT = "INSERT OR IGNORE INTO events (event_id, body) VALUES (?, ?)"


@asynccontextmanager
async def opened(
    database: Path, *, synchronous: str = "FULL"
) -> AsyncIterator[aiosqlite.Connection]:
    """Open the database, and make its table if it is new."""
    async with aiosqlite.connect(database, isolation_level=None) as db:
        await db.execute("PRAGMA journal_mode = WAL")
        await db.execute(f"PRAGMA synchronous = {synchronous}")
        await db.execute(SCHEMA)
        yield db


async def commit(db: aiosqlite.Connection, received: Received) -> None:
    """Store an event that is not there yet, in one commit."""
    await db.execute(INSERT, received)

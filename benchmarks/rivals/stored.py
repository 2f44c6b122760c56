"""What a contestant has after it was killed: the ids of the events in its store.

Each store is read as the contestant itself would read it after a restart: SQLite recovers its
log when the file is opened, PostgreSQL and NATS when their server starts again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.rivals import running

Stored = Callable[[Path], set[str]]

FETCH = 500
FETCH_SECONDS_MAX = 2.0


def in_file(name: str, query: str) -> Stored:
    """Read the ids that a query finds in an SQLite file below the directory."""

    def stored(directory: Path) -> set[str]:
        with closing(sqlite3.connect(directory / name)) as db:
            return {event_id for (event_id,) in db.execute(query)}

    return stored


def in_postgres(directory: Path) -> set[str]:
    """Start the cluster again and read the ids of procrastinate's jobs."""
    import psycopg  # noqa: PLC0415 - not installed for development

    with (
        running.postgres(directory) as server,
        psycopg.connect(running.postgres_address(server)) as db,
    ):
        return {row[0] for row in db.execute("SELECT queueing_lock FROM procrastinate_jobs")}


def in_jetstream(directory: Path) -> set[str]:
    """Start the NATS server again and read the ids of the stream's messages."""
    with running.nats_server(directory) as server:
        return asyncio.run(_read_stream(f"nats://127.0.0.1:{server.port}"))


async def _read_stream(address: str) -> set[str]:
    import nats  # noqa: PLC0415 - not installed for development

    from benchmarks.rivals import fastapi_jetstream as there  # noqa: PLC0415 - the same

    connection = await nats.connect(address)
    try:
        stream = connection.jetstream()
        count = (await stream.stream_info(there.STREAM)).state.messages
        pulling = await stream.pull_subscribe(there.SUBJECT, stream=there.STREAM)
        found: set[str] = set()
        while len(found) < count:
            fetched = await pulling.fetch(FETCH, timeout=FETCH_SECONDS_MAX)
            found |= {(one.headers or {})[there.ID_HEADER] for one in fetched}
        return found
    finally:
        await connection.close()

"""Runs writers for tests, and gets in their way: a held lock, a disk that fails."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

from streamer.clock import SystemClock
from streamer.core.errors import StoreError
from streamer.store import sqlite
from streamer.store.sqlite import Connection
from streamer.store.turns import Turns
from streamer.store.writer import Writer
from tests.store.build import ROOM, open_fresh


def make(
    path: Path,
    *,
    queue_bytes: int = 2**20,
    queue_events: int = 100,
    turns: Turns | None = None,
) -> Writer:
    open_fresh(path).close()
    return Writer(
        path, SystemClock(), quarantine_bytes_max=ROOM, queue_bytes_max=queue_bytes,
        queue_events_max=queue_events, turns=turns,
    )  # fmt: skip


@asynccontextmanager
async def running(path: Path, turns: Turns | None = None) -> AsyncIterator[Writer]:
    """Run a writer, and see that it stops when it is asked to."""
    writer = make(path, turns=turns)
    await writer.open()
    task = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        writer.stop()
        try:
            await task
        finally:
            await writer.aclose()


@contextmanager
def locked(path: Path) -> Iterator[Connection]:
    """Hold the write lock, as a sqlite3 shell inside a transaction does."""
    with closing(sqlite.open_writer(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other
        if other.in_transaction:
            other.execute("ROLLBACK")


@contextmanager
def failing_disk(path: Path) -> Iterator[None]:
    """Let every write beyond the log's present end fail with EFBIG, an I/O error to SQLite."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = path.with_name(path.name + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(size, 1), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something is so; the suite's time limit ends a vain wait."""
    while not condition():  # noqa: ASYNC110 - the writer's figures announce no change
        await asyncio.sleep(0)


async def outcome(future: Awaitable[object]) -> object:
    try:
        return await future
    except StoreError as error:
        return error

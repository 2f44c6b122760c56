"""aiosqlite connections on which whole transactions run as plain functions.

aiosqlite gives every connection a thread and sends it one call at a time. A
transaction made of several awaited calls costs a round trip to that thread for
each, and may be cancelled in the middle. Here a transaction is one function
that takes the bare connection: one round trip, no cancelling half way, and the
same function serves the command line, which has no event loop. See
``docs/decisions/0003-transactions-are-functions.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import aiosqlite
import anyio

from streamer.store.sqlite import Connection, open_reader, open_writer

T = TypeVar("T")

_ITERATION_ROWS = 64  # aiosqlite's own default; nothing here iterates


class Database(aiosqlite.Connection):
    """One SQLite connection and its thread."""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run ``work(connection)`` on the connection's thread and return what it returns.

        A caller that is cancelled stops waiting; the work itself goes on to
        its end, so it must be a whole transaction.
        """
        execute: Any = self._execute  # untyped in aiosqlite
        return cast(T, await execute(work, self._conn))

    async def aclose(self) -> None:
        """Finish what is queued and close, even when cancelled: an open thread blocks the exit."""
        with anyio.CancelScope(shield=True):
            await self.close()


async def connect_writer(path: Path) -> Database:
    """Open the writing connection; its thread starts with it."""
    return await _connect(partial(open_writer, path))


async def connect_reader(path: Path) -> Database:
    """Open a connection that cannot write."""
    return await _connect(partial(open_reader, path))


async def _connect(connector: Callable[[], Connection]) -> Database:
    database = Database(connector, _ITERATION_ROWS)
    # A cancelled connect would leak the native connection (aiosqlite issue 259).
    with anyio.CancelScope(shield=True):
        try:
            await database
        except BaseException:
            # The thread has nothing left to do but to report its end, which takes a loop.
            database._thread.join()
            raise
    return database

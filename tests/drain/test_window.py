"""A track's window: what becomes of a piece that is still being read when the track ends."""

from __future__ import annotations

import asyncio

import pytest

from streamer.drain.feed import LiveFeed
from streamer.drain.window import Reading
from tests.drain.bench import POLICY, Bench

pytestmark = pytest.mark.anyio


async def _look_ahead(on_bench: Bench) -> tuple[Reading, asyncio.Task[object]]:
    """Begin to read on; return the task that does it as well."""
    cursor = on_bench.cursor()
    feed = LiveFeed(POLICY.selection, cursor.lane)
    reading = Reading(on_bench.shared(), feed, cursor.progress)
    before = asyncio.all_tasks()
    reading.look_ahead([])
    (coming,) = asyncio.all_tasks() - before
    return reading, coming


async def test_what_is_being_read_is_given_up(on_bench: Bench) -> None:
    reading, coming = await _look_ahead(on_bench)
    reading.close()
    await asyncio.wait([coming])
    assert coming.cancelled()


async def test_a_reading_that_was_cancelled_already_stops_nobody_from_closing(
    on_bench: Bench,
) -> None:
    """The loop cancels every task when it ends, and a track has more to do after this."""
    reading, coming = await _look_ahead(on_bench)
    coming.cancel()
    await asyncio.wait([coming])
    reading.close()

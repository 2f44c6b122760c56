"""Locks, full disks, failing disks and cancellation: nobody is forgotten and nothing is lost."""

from __future__ import annotations

import asyncio
import gc
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from streamer.clock import SystemClock
from streamer.core import limits
from streamer.core.errors import StoreDamaged, StoreError
from streamer.store import facts, sqlite
from streamer.store.arrival import Kept
from streamer.store.sqlite import Connection
from streamer.store.writer import Writer
from tests.store.build import ROOM, event, read_all
from tests.store.writing import failing_disk, locked, make, outcome, until

pytestmark = pytest.mark.anyio


async def test_nothing_is_lost_and_order_is_kept_while_another_program_holds_the_lock(
    writer: Writer, reader: Connection, path: Path
) -> None:
    with locked(path):
        ticks = writer.stats.ticks
        futures = [writer.append(event(number)) for number in range(3)]
        await until(lambda: writer.stats.ticks > ticks)
        futures += [writer.append(event(number)) for number in range(3, 5)]
        work = asyncio.create_task(writer.do(lambda db: facts.write(db, "a", 1)))
        await until(lambda: writer.stats.busy >= 1)
        futures += [writer.append(event(number)) for number in range(5, 9)]
        assert not any(future.done() for future in futures)
    assert await asyncio.gather(*futures) == [Kept.STORED] * 9
    await work
    assert [one.event_id for one in read_all(reader)] == [f"event-{n}" for n in range(9)]
    assert writer.stats.take_busy()
    assert not writer.stats.take_busy()


async def test_who_gave_up_while_the_lock_was_held_is_dropped(
    writer: Writer, reader: Connection, path: Path
) -> None:
    with locked(path):
        futures = [writer.append(event(number)) for number in range(4)]
        await until(lambda: writer.stats.busy >= 1)
        futures[0].cancel()
        futures[2].cancel()
        busy = writer.stats.busy
        await until(lambda: writer.stats.busy > busy)
    await asyncio.gather(futures[1], futures[3])
    assert [one.event_id for one in read_all(reader)] == ["event-1", "event-3"]


async def test_a_full_disk_fails_the_batch_and_the_next_one_is_stored(
    writer: Writer, reader: Connection
) -> None:
    await writer.append(event(1))
    await writer.maintain(lambda db: db.execute("PRAGMA max_page_count = 1"))
    large = event(2, body=b'"' + b"x" * 200_000 + b'"')
    failure = await outcome(writer.append(large))
    assert str(failure) == "the disk is full"
    assert writer.stats.disk_errors_in_row == 0
    await writer.maintain(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
    assert await writer.append(large) is Kept.STORED
    assert len(read_all(reader)) == 2


async def test_a_disk_error_fails_the_batch_and_a_new_connection_goes_on(
    writer: Writer, reader: Connection, path: Path
) -> None:
    await writer.append(event(1))
    with failing_disk(path):
        failure = await outcome(writer.append(event(2)))
    assert isinstance(failure, StoreDamaged)
    assert writer.stats.disk_errors_in_row == 1
    assert len(read_all(reader)) == 1, "what was answered with an error is not there"
    assert await writer.append(event(3)) is Kept.STORED
    assert writer.stats.disk_errors_in_row == 0
    assert [one.event_id for one in read_all(reader)] == ["event-1", "event-3"]


async def test_a_disk_that_keeps_failing_ends_the_writer_and_fails_all_who_wait(
    path: Path,
) -> None:
    writer = make(path)
    await writer.open()
    with closing(sqlite.open_reader(path)) as reader:
        reader.execute("SELECT 1 FROM outbox").fetchall()
        task = asyncio.create_task(writer.run())
        await writer.append(event(1))
        with failing_disk(path):
            for number in range(limits.FSYNC_ERRORS_IN_A_ROW_MAX):
                assert isinstance(await outcome(writer.append(event(number + 2))), StoreDamaged)
            with pytest.raises(StoreDamaged):
                await task
        assert isinstance(await outcome(writer.append(event(99))), StoreError)
        assert isinstance(await outcome(writer.do(lambda db: None)), StoreError)
        await writer.aclose()
        assert [one.event_id for one in read_all(reader)] == ["event-1"]


async def test_a_database_that_cannot_be_opened_again_counts_as_a_failing_disk(
    path: Path,
) -> None:
    writer = make(path)
    await writer.open()
    task = asyncio.create_task(writer.run())
    await writer.append(event(1))
    with failing_disk(path):
        await outcome(writer.append(event(2)))
    hidden = path.parent.rename(path.parent.with_name("hidden"))
    for number in range(3, 2 + limits.FSYNC_ERRORS_IN_A_ROW_MAX):
        assert isinstance(await outcome(writer.append(event(number))), StoreError)
    with pytest.raises(StoreError, match="cannot be"):
        await task
    await writer.aclose()
    hidden.rename(path.parent)


async def test_a_writer_that_is_cancelled_leaves_nobody_waiting(
    path: Path, reader: Connection, writer: Writer
) -> None:
    other = Writer(
        path, SystemClock(), quarantine_bytes_max=ROOM, queue_bytes_max=ROOM, queue_events_max=9
    )
    await other.open()
    task = asyncio.create_task(other.run())
    with locked(path):
        futures = [other.append(event(number)) for number in range(3)]
        await until(lambda: not other.is_idle and other.stats.ticks > 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        said = await asyncio.gather(*map(outcome, futures))
    assert all(isinstance(one, StoreError) for one in said)
    await other.aclose()
    # The thread went on with what it had begun, so a repeat finds it or stores it: never twice.
    for number in range(3):
        await writer.append(event(number))
    assert len(read_all(reader)) == 3


async def test_the_loop_turns_while_commits_wait_for_the_lock(writer: Writer, path: Path) -> None:
    with locked(path):
        future = writer.append(event(1))
        turns = 0
        while writer.stats.busy < 1:
            turns += 1
            await asyncio.sleep(0)
        assert turns > 100
    await future


class WatchedBody(bytes):
    """A body that tells when nobody holds it any more."""

    gone: ClassVar[list[int]] = []

    def __del__(self) -> None:
        self.gone.append(len(self))


async def test_the_bodies_of_failed_commits_do_not_wait_for_the_garbage_collector(
    writer: Writer, path: Path
) -> None:
    """While the lock is held for long every call brings another body, and goes away again."""
    WatchedBody.gone.clear()
    gc.collect()
    gc.disable()
    try:
        with locked(path):
            for size in (100, 200, 300):
                future = writer.append(event(size, body=WatchedBody(b" " * size)))
                busy = writer.stats.busy
                await until(lambda busy=busy: writer.stats.busy > busy)  # type: ignore[misc]  # a default
                future.cancel()
                del future
        await writer.append(event(9))
        await until(lambda: len(WatchedBody.gone) == 3 or writer.is_idle)
        assert sorted(WatchedBody.gone) == [100, 200, 300]
    finally:
        gc.enable()

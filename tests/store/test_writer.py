"""The writer releases nobody before the commit, forgets nobody, and hurts nobody for another."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from streamer.clock import SystemClock
from streamer.core import limits
from streamer.core.errors import StoreBusy, StoreError, UsageError
from streamer.store import facts
from streamer.store import writer as writers
from streamer.store.arrival import Kept
from streamer.store.sqlite import Connection
from streamer.store.turns import Turns
from streamer.store.writer import Writer
from tests.store.build import NOW, ROOM, event, open_fresh, read_all, unreadable
from tests.store.writing import locked, make, outcome, until

pytestmark = pytest.mark.anyio


async def test_a_waiter_is_released_only_when_others_can_read_the_row(
    writer: Writer, reader: Connection
) -> None:
    seen: list[int] = []
    for number in range(20):
        future = writer.append(event(number))
        future.add_done_callback(lambda _: seen.append(len(read_all(reader))))
        await future
    assert seen == list(range(1, 21))


async def test_those_who_wait_together_share_a_commit(writer: Writer, reader: Connection) -> None:
    arrivals = [writer.append(event(number)) for number in range(50)]
    works = [
        asyncio.create_task(writer.do(lambda db, n=n: facts.write(db, f"fact-{n}", n)))  # type: ignore[misc]  # n is bound
        for n in range(50)
    ]
    assert await asyncio.gather(*arrivals) == [Kept.STORED] * 50
    await asyncio.gather(*works)
    assert writer.stats.transactions <= 2
    assert [one.event_id for one in read_all(reader)] == [f"event-{n}" for n in range(50)]
    assert facts.read(reader, "fact-49") == 49


async def test_a_group_has_its_limits_in_events_and_bytes(
    path: Path, reader: Connection, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "COMMIT_EVENTS_MAX", 3)
    before = writer.stats.transactions
    await asyncio.gather(*(writer.append(event(number)) for number in range(9)))
    assert writer.stats.transactions - before == 3
    monkeypatch.setattr(writers, "COMMIT_BYTES_MAX", 2 * len(event(99).body))
    before = writer.stats.transactions
    await asyncio.gather(*(writer.append(event(number)) for number in range(10, 14)))
    assert writer.stats.transactions - before == 2
    assert len(read_all(reader)) == 13
    assert limits.COMMIT_BYTES_MAX >= limits.BODY_BYTES_HARD_MAX


async def test_a_commit_that_stored_something_is_announced_with_its_lane_keys(
    writer: Writer,
) -> None:
    stored: list[set[int]] = []
    writer.on_stored = lambda lane_keys: stored.append(set(lane_keys))
    await writer.append(event(1))
    await writer.append(event(1))
    await writer.append(unreadable(b"x"))
    await writer.do(lambda db: facts.write(db, "a", 1))
    assert stored == [{event(1).lane_key}]
    await asyncio.gather(
        *(writer.append(event(number)) for number in (1, 2, 3)), writer.append(unreadable(b"y"))
    )
    assert stored[1:] == [{event(2).lane_key, event(3).lane_key}]


@pytest.mark.parametrize(
    "culprit",
    [
        event(7, event_id="half \ud800"),
        event(7, event_id="x" * 513),
        event(7, occurred_at=2**70),
        event(7, lane_key=-1),
        event(7, body=b'{"event_id": "\xff"}'),
        event(7, metric=object()),
    ],
    ids=["surrogate", "oversized", "overflow", "check", "bytes", "unbindable"],
)
async def test_one_culprit_goes_to_quarantine_and_its_neighbours_are_stored(
    writer: Writer, reader: Connection, culprit: object
) -> None:
    futures = [writer.append(event(1)), writer.append(culprit), writer.append(event(2))]  # type: ignore[arg-type]  # that is the point
    kept = await asyncio.gather(*futures)
    assert kept == [Kept.STORED, Kept.QUARANTINED, Kept.STORED]
    assert [one.position for one in read_all(reader)] == [1, 2], "no position was burnt"
    row = reader.execute("SELECT reason, detail FROM quarantine").fetchone()
    assert row[0] == "unstorable"
    assert row[1].startswith("the database refused the row (")


async def test_a_call_that_not_even_quarantine_takes_is_refused_alone(
    writer: Writer, reader: Connection
) -> None:
    poison = event(7, received_at=2**70)
    futures = [writer.append(event(1)), writer.append(poison), writer.append(event(2))]
    kept = await asyncio.gather(*map(outcome, futures))
    assert (kept[0], kept[2]) == (Kept.STORED, Kept.STORED)
    assert isinstance(kept[1], StoreError)
    assert await writer.append(event(3)) is Kept.STORED


async def test_a_work_that_raises_undoes_its_own_changes_alone(
    writer: Writer, reader: Connection
) -> None:
    def bad(db: Connection) -> None:
        facts.write(db, "bad", 1)
        raise UsageError("no")

    def wrong(db: Connection) -> None:
        facts.write(db, "wrong", 1)
        db.execute("SELECT * FROM no_such_table")

    futures: list[asyncio.Future[Any]] = [
        writer.append(event(1)),
        asyncio.ensure_future(writer.do(bad)),
        asyncio.ensure_future(writer.do(wrong)),
        asyncio.ensure_future(writer.do(lambda db: facts.write(db, "good", 1))),
    ]
    said = await asyncio.gather(*futures, return_exceptions=True)
    assert said[0] is Kept.STORED
    assert isinstance(said[1], UsageError)
    assert type(said[2]) is StoreError, "mapped, not SQLite's own"
    assert said[3] is None
    assert [facts.read(reader, name) for name in ("bad", "wrong", "good")] == [None, None, 1]


async def test_a_cancelled_waiter_of_a_work_does_not_stop_the_writer(writer: Writer) -> None:
    task = asyncio.create_task(writer.do(lambda db: facts.write(db, "a", 1)))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await writer.append(event(1)) is Kept.STORED


async def test_work_that_gets_no_transaction_in_time_is_withdrawn_and_never_done(
    writer: Writer, path: Path, reader: Connection
) -> None:
    with locked(path):
        with pytest.raises(StoreBusy):
            await writer.do_within(lambda db: facts.write(db, "late", 1), 0.01)
        assert writer.is_idle, "it was not left to be done when the lock is gone"
    await writer.do(lambda db: facts.write(db, "later", 1))
    assert [facts.read(reader, name) for name in ("late", "later")] == [None, 1]


async def test_work_that_is_being_done_when_its_time_is_over_is_not_called_undone(
    writer: Writer, reader: Connection
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(db: Connection) -> str:
        begun.set()
        go_on.wait(10)
        facts.write(db, "slow", 1)
        return "done"

    doing = asyncio.create_task(writer.do_within(slow, 0.05))
    await until(begun.is_set)
    await asyncio.wait({doing}, timeout=0.2)
    go_on.set()
    assert await doing == "done"
    assert facts.read(reader, "slow") == 1


async def test_the_failure_of_work_that_was_late_is_its_own(writer: Writer) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def bad(_: Connection) -> None:
        begun.set()
        go_on.wait(10)
        raise UsageError("no")

    doing = asyncio.create_task(writer.do_within(bad, 0.01))
    await until(begun.is_set)
    await asyncio.wait({doing}, timeout=0.1)
    go_on.set()
    with pytest.raises(UsageError):
        await doing


async def test_stopping_commits_what_waits_and_then_takes_no_more(path: Path) -> None:
    writer = make(path)
    await writer.open()
    futures = [writer.append(event(number)) for number in range(5)]
    work = asyncio.create_task(writer.do(lambda db: facts.write(db, "a", 1)))
    await asyncio.sleep(0)
    writer.stop()
    await writer.run()
    assert await asyncio.gather(*futures) == [Kept.STORED] * 5
    await work
    assert "stopping" in str(await outcome(writer.append(event(9))))
    await writer.aclose()


async def test_closing_a_writer_that_never_ran_fails_those_who_wait(path: Path) -> None:
    writer = make(path)
    await writer.open()
    future = writer.append(event(1))
    await writer.aclose()
    assert isinstance(await outcome(future), StoreError)
    with pytest.raises(StoreError, match="not open"):
        await writer.maintain(lambda db: None)


async def test_room_is_counted_in_events_and_bytes_until_the_commit_is_over(path: Path) -> None:
    size = len(event(1).body)
    writer = make(path, queue_bytes=3 * size, queue_events=5)
    await writer.open()
    futures = [writer.append(event(1)), writer.append(event(2))]
    assert writer.has_room(size)
    assert not writer.has_room(size + 1)
    task = asyncio.create_task(writer.run())
    with locked(path):
        await until(lambda: writer.stats.busy >= 1)
        assert not writer.has_room(size + 1), "what is being committed is still in memory"
        futures[0].cancel()
        busy = writer.stats.busy
        await until(lambda: writer.stats.busy > busy)
        assert writer.has_room(2 * size)
    await futures[1]
    assert writer.has_room(3 * size)
    assert not writer.has_room(3 * size + 1)
    writer.stop()
    await task
    waiting = [unreadable(b"") for _ in range(5)]
    assert writer.is_idle
    await writer.aclose()
    full = make(path.with_name("other.db"), queue_events=5)
    crowd = [full.append(one) for one in waiting]
    assert not full.has_room(0)
    await full.aclose()
    assert all([isinstance(await outcome(one), StoreError) for one in crowd])


async def test_the_log_is_checkpointed_and_reused(
    writer: Writer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "CHECKPOINT_TRANSACTIONS", 5)
    for number in range(60):
        await writer.append(event(number))
    log_bytes = path.with_name(path.name + "-wal").stat().st_size
    assert log_bytes < 60 * 4096
    assert writer.stats.wal_pages == 0


async def test_one_writer_checkpoints_for_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others tell it how much they have written."""
    monkeypatch.setattr(writers, "CHECKPOINT_TRANSACTIONS", 5)
    open_fresh(path).close()
    log = path.with_name(path.name + "-wal")
    main, other = _beside(path, checkpoints=True), _beside(path, checkpoints=False)
    running = []
    for one in (main, other):
        await one.open()
        running.append(asyncio.create_task(one.run()))
    for number in range(30):
        await other.append(event(number))
    alone_bytes = log.stat().st_size
    assert alone_bytes > 30 * 4096, "by itself it makes none"
    main.note_written(*other.take_written())
    for _ in range(2):  # when the second is done, the checkpoint behind the first is over
        await main.do(lambda db: db.total_changes)
    for number in range(30, 60):
        await other.append(event(number))
        main.note_written(*other.take_written())
    assert log.stat().st_size == alone_bytes, "the log began anew"
    for one, task in zip((main, other), running, strict=True):
        one.stop()
        await task
        await one.aclose()


def _beside(path: Path, *, checkpoints: bool) -> Writer:
    return Writer(
        path, SystemClock(), quarantine_bytes_max=ROOM, queue_bytes_max=2**20, queue_events_max=100,
        turns=Turns(path.parent, writers=2), checkpoints=checkpoints,
    )  # fmt: skip


async def test_a_reader_that_stays_keeps_pages_in_the_log(
    writer: Writer, reader: Connection
) -> None:
    await writer.append(event(1))
    reader.execute("BEGIN")
    reader.execute("SELECT 1 FROM outbox").fetchall()
    await writer.append(event(2))
    await writer.checkpoint()
    assert writer.stats.wal_pages > 0
    reader.execute("ROLLBACK")
    await writer.append(event(3, received_at=NOW))
    await writer.checkpoint()
    assert writer.stats.wal_pages == 0

"""What is answered when a call cannot be stored now: always 503, never late, never an hour's wait.

A late commit is a harmless repeat, because the sender will send the event again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time

import pytest

from streamer.core import limits
from streamer.core.errors import StoreError
from streamer.store.arrival import Arrival, Kept
from streamer.store.writer import Writer
from tests.ingest.conftest import StartIngest
from tests.ingest.harness import Ingest, eventually, hold
from tests.ingest.test_bodies import event
from tests.support.raw_http import Answer, Sender, call, chunk, chunked_head, connect, signature

pytestmark = pytest.mark.anyio

DEADLINE_SECONDS = 0.4


def assert_come_back(answer: Answer | None, reason: str = "not stored in time") -> None:
    """The sender is asked to come again soon, and a person who looks is told why."""
    assert answer is not None, "the connection was closed without an answer"
    assert (answer.status, answer.one("streamer-reason")) == (503, reason)
    assert answer.one("retry-after") == str(limits.RETRY_AFTER_SECONDS)


async def test_a_body_that_drips_is_answered_in_time(start_ingest: StartIngest) -> None:
    async with (
        start_ingest(deadline_seconds=DEADLINE_SECONDS) as ingest,
        connect(ingest.address) as sender,
    ):
        begun = time.monotonic()
        body = event()
        await sender.send(call(body)[: -len(body)])
        dripping = asyncio.create_task(drip(sender, body))
        answer = await sender.answer()
        took = time.monotonic() - begun
        dripping.cancel()
        assert_come_back(answer)
        assert answer is not None
        assert answer.closes
        assert DEADLINE_SECONDS * 0.9 < took < DEADLINE_SECONDS + 1
        assert await sender.rest() == b""
        assert ingest.is_empty()
        assert ingest.alarmed("STR-106") == 1


async def drip(sender: Sender, body: bytes) -> None:
    """Send a body far too slowly."""
    for byte in body:
        await sender.send(bytes([byte]))
        await asyncio.sleep(DEADLINE_SECONDS / 8)


async def test_a_body_that_stops_half_way_is_answered_in_time(start_ingest: StartIngest) -> None:
    async with (
        start_ingest(deadline_seconds=DEADLINE_SECONDS) as ingest,
        connect(ingest.address) as sender,
    ):
        await sender.send(call(event())[:-5])
        assert_come_back(await sender.answer())
        assert await sender.rest() == b"", "the connection ends: the next request cannot be found"
        assert ingest.is_empty()


async def test_a_stuck_commit_is_answered_in_time(start_ingest: StartIngest) -> None:
    async with start_ingest(deadline_seconds=DEADLINE_SECONDS) as ingest:
        with ingest.locked() as db:
            begun = time.monotonic()
            answer = await ingest.post(event())
            took = time.monotonic() - begun
            hold(db)
        assert_come_back(answer)
        assert not answer.closes, "the request was read to its end: the connection can go on"
        assert DEADLINE_SECONDS * 0.9 < took < DEADLINE_SECONDS + 1
        assert ingest.alarmed("STR-106") == 1
        await ingest.settled()
        assert (await ingest.post(event())).status == 200, "the sender comes again"
        assert ingest.bodies() == [event()]
        assert not ingest.quarantined()


async def test_a_lock_that_is_released_in_time_costs_nobody_anything(ingest: Ingest) -> None:
    with ingest.locked() as db:
        waiting = asyncio.create_task(ingest.post(event()))
        await eventually(lambda: ingest.writer.stats.busy > 0)
        hold(db)
        assert (await waiting).status == 200
    assert ingest.bodies() == [event()]


@pytest.mark.parametrize(
    "limit",
    [{"queue_events_max": 2}, {"queue_bytes_max": 2 * len(event("0"))}],
    ids=["events", "bytes"],
)
async def test_a_full_queue_refuses_at_once(
    start_ingest: StartIngest, limit: dict[str, int]
) -> None:
    async with start_ingest(**limit) as ingest:
        with ingest.locked() as db:
            tasks = [await in_commit(ingest, event("0"))]
            tasks += [asyncio.create_task(ingest.post(event(str(n)))) for n in range(1, 6)]
            await eventually(lambda: any(task.done() for task in tasks))
            hold(db)
            answers = [await task for task in tasks]
        refused = [answer for answer in answers if answer.status != 200]
        kept = [answer for answer in answers if answer.status == 200]
        assert refused
        for answer in refused:
            assert_come_back(answer, "overloaded")
            assert not answer.closes
        assert len(ingest.bodies()) == len(kept) > 0
        assert ingest.alarmed("STR-107") == len(refused)


async def in_commit(ingest: Ingest, body: bytes) -> asyncio.Task[Answer]:
    """Send a call and wait until its commit has begun."""
    task = asyncio.create_task(ingest.post(body))
    await eventually(lambda: not ingest.writer.is_idle)
    return task


async def test_memory_for_bodies_that_are_still_coming_is_bounded(
    start_ingest: StartIngest,
) -> None:
    async with (
        start_ingest(body_memory_bytes_max=400_000) as ingest,
        connect(ingest.address) as first,
        connect(ingest.address) as second,
    ):
        body = event("large", padding="x" * 250_000)
        await first.send(call(body)[:-1])
        await eventually(lambda: ingest.front._budget._bytes > 200_000)
        await second.send(call(body)[:-1])
        assert_come_back(await second.answer(), "overloaded")
        await first.send(body[-1:])
        answer = await first.answer()
        assert answer is not None
        assert answer.status == 200
        assert ingest.bodies() == [body]
        assert ingest.front._budget._bytes == 0, "all of it was given back"


async def test_calls_that_cannot_be_genuine_take_no_memory(start_ingest: StartIngest) -> None:
    async with start_ingest(body_memory_bytes_max=1_000) as ingest:
        body = b"x" * 100_000
        assert (await ingest.post(body, headers=[])).status == 401
        assert (await ingest.post(body, path="/webhooks/nobody")).status == 404
        assert (await ingest.post(body, method="PUT")).status == 405
        assert not ingest.alarmed("STR-107")


async def test_a_full_disk_is_answered_503_until_there_is_room(ingest: Ingest) -> None:
    ingest.front.gate.disk_full = True
    assert_come_back(await ingest.post(event()), "disk full")
    assert ingest.is_empty()
    ingest.front.gate.disk_full = False
    assert (await ingest.post(event())).status == 200
    assert ingest.bodies() == [event()]


class FailingWriter(Writer):
    """A writer whose database fails."""

    error: Exception = StoreError("the disk is failing")

    def append(self, arrival: Arrival) -> asyncio.Future[Kept]:
        failed: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        failed.set_exception(self.error)
        return failed


class BrokenWriter(FailingWriter):
    """A writer with a bug."""

    error = ZeroDivisionError("a bug")


@pytest.mark.parametrize(
    ("writer", "reason"), [(FailingWriter, "store failing"), (BrokenWriter, "internal error")]
)
async def test_a_failing_store_and_a_bug_are_both_503(
    start_ingest: StartIngest, writer: type[Writer], reason: str
) -> None:
    async with start_ingest(writer=writer) as ingest:
        assert_come_back(await ingest.post(event()), reason)
        assert ingest.is_empty()
        assert ingest.front.tally.of("customerio").refused == 1


async def test_what_is_not_answered_503_does_not_count_as_refused(ingest: Ingest) -> None:
    answers = [
        await ingest.post(event()),
        await ingest.post(b"not JSON"),
        await ingest.post(event(), headers=[]),
        await ingest.post(event(), method="GET"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 401, 405]
    assert ingest.front.tally.of("customerio").refused == 0


async def test_a_writer_that_has_ended_is_503(ingest: Ingest) -> None:
    ingest.writer.stop()
    await ingest.settled()
    assert_come_back(await ingest.post(event()), "store failing")


async def test_a_row_that_breaks_the_commit_does_not_hurt_its_neighbours(ingest: Ingest) -> None:
    """The database itself refuses one row, as it would a value that it cannot hold."""
    with ingest.locked() as db:
        db.execute("CREATE TRIGGER poison BEFORE INSERT ON outbox WHEN new.event_id = 'poison'"
                   " BEGIN SELECT RAISE(ABORT, 'poison'); END")  # fmt: skip
        db.execute("COMMIT")
        db.execute("BEGIN IMMEDIATE")
        names = ["a", "poison", "b"]
        tasks = [await in_commit(ingest, event("first"))]
        for name in names:
            tasks.append(asyncio.create_task(ingest.post(event(name))))
        await eventually(lambda: ingest.writer._arrivals.held_bytes >= 4 * len(event("a")))
        hold(db)
        answers = [await task for task in tasks]
    assert [answer.status for answer in answers] == [200] * 4
    assert sorted(ingest.bodies()) == sorted([event("first"), event("a"), event("b")])
    assert ingest.quarantined() == [("unstorable", event("poison"))]
    assert ingest.alarmed("STR-102") == 1


async def test_a_body_beyond_the_usual_size_is_kept_whole(start_ingest: StartIngest) -> None:
    async with start_ingest(body_bytes_max=1_000) as ingest:
        spare = 1_000 - len(event(padding=""))
        fits, over = event(padding="x" * spare), event("over", padding="x" * 1_000)
        assert len(fits) == 1_000
        assert (await ingest.post(fits)).status == 200
        assert (await ingest.post(over)).status == 200
        assert ingest.bodies() == [fits]
        assert ingest.quarantined() == [("too_large", over)]


async def test_beyond_the_hard_cap_the_beginning_and_a_digest_are_kept(
    start_ingest: StartIngest,
) -> None:
    body = event(padding="x" * (33 * limits.MIB))
    async with start_ingest(deadline_seconds=15.0) as ingest, connect(ingest.address) as sender:
        await sender.send(chunked_head(signature(body)))
        for start in range(0, len(body), limits.MIB):
            await sender.send(chunk(body[start : start + limits.MIB]))
        await sender.send(chunk(b""))
        answer = await sender.answer()
        assert answer is not None
        assert answer.status == 200
        assert not ingest.bodies()
        assert ingest.rows("SELECT reason, body, body_bytes, body_sha256 FROM quarantine") == [
            (
                "too_large",
                body[: limits.TRUNCATED_COPY_BYTES],
                len(body),
                hashlib.sha256(body).digest(),
            )
        ]
        assert ingest.front._budget._bytes == 0


async def test_a_body_that_the_memory_can_never_hold_is_cut_and_not_refused_for_ever(
    start_ingest: StartIngest,
) -> None:
    async with start_ingest(body_memory_bytes_max=1_000_000) as ingest:
        body = event(padding="x" * 2_000_000)
        assert (await ingest.post(body)).status == 200
        assert ingest.quarantined() == [("too_large", body[: limits.TRUNCATED_COPY_BYTES])]
        assert ingest.rows("SELECT body_bytes FROM quarantine") == [(len(body),)]

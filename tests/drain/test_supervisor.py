"""The drain of one destination: lanes, replays, operators' changes, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from streamer.core.alarms import HELD
from streamer.core.errors import ConfigurationError
from streamer.core.event import StoredEvent
from streamer.core.intervals import OPEN_RETRY_SECONDS, SEND_MARGIN_SECONDS, TIDY_SECONDS
from streamer.core.outcome import ACCEPTED, Outcome, deferred, held
from streamer.store import cursors, destinations
from streamer.store.destinations import Known
from tests.drain.bench import NAME, POLICY, Bench
from tests.drain.whole import look, new_drain

pytestmark = pytest.mark.anyio


async def test_a_destination_is_opened_with_its_stored_mark_and_closed_at_the_end(
    on_bench: Bench,
) -> None:
    on_bench.destination.exclusive = True
    on_bench.destination.lines = [1, 2, 3, 4, 5]
    on_bench.transact(lambda db: destinations.save_mark(db, NAME, "3"))
    drain = new_drain(on_bench)
    running = on_bench.start(drain.run())
    await on_bench.settle_down()
    assert on_bench.destination.opened == ["3"]
    await drain.stop(5)
    assert on_bench.destination.closed == 1
    assert running.done()
    assert running.exception() is None


async def test_where_a_new_exclusive_destination_begins_is_stored_before_it_is_sent_anything(
    on_bench: Bench,
) -> None:
    on_bench.destination.exclusive = True
    on_bench.append(1)
    stored: list[str | None] = []

    async def look_at_mark(_: Sequence[StoredEvent]) -> None:
        stored.append(destinations.load(on_bench.db, NAME).mark)

    on_bench.destination.before_answer = look_at_mark
    on_bench.start(new_drain(on_bench).run())
    await on_bench.advance(1)
    assert stored == ["0"]


@pytest.mark.parametrize("error", [ConfigurationError("no directory"), PermissionError("no")])
async def test_a_destination_that_cannot_be_opened_is_tried_again_and_hurts_nobody(
    on_bench: Bench, error: Exception
) -> None:
    on_bench.append(1)
    attempts = 0

    def fail_once() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise error

    on_bench.destination.before_open = fail_once
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.advance(OPEN_RETRY_SECONDS - 1)
    assert HELD.code in on_bench.board.codes
    assert not on_bench.destination.sent
    assert drain.alive_until > on_bench.clock.monotonic()
    await on_bench.advance(2)
    assert on_bench.destination.sent == [(1,)]
    assert HELD.code not in on_bench.board.codes


async def test_a_pause_and_a_resume_by_an_operator_are_obeyed(on_bench: Bench) -> None:
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    look(on_bench, drain)
    on_bench.transact(lambda db: destinations.pause(db, NAME, now=1))
    look(on_bench, drain)
    on_bench.append(2)
    drain.wake()
    await on_bench.advance(600)
    assert not on_bench.destination.sent
    on_bench.transact(lambda db: destinations.resume(db, NAME, now=2))
    look(on_bench, drain)
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1, 2)]


async def test_a_resume_of_what_is_not_paused_probes_at_once(on_bench: Bench) -> None:
    on_bench.append(2)
    on_bench.destination.answer = lambda batch: [held("http_401") for _ in batch]
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.settle_down()
    look(on_bench, drain)
    await on_bench.settle_down()
    assert len(on_bench.destination.sent) == 1, "the first look is no poke"
    on_bench.transact(lambda db: destinations.resume(db, NAME, now=2))
    look(on_bench, drain)
    look(on_bench, drain)
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1, 2), (1,)]


@pytest.mark.parametrize("waiting", [False, True])
async def test_a_rewind_restarts_a_track_that_is_idle_or_waiting(
    on_bench: Bench, *, waiting: bool
) -> None:
    on_bench.append(3)
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.settle_down()
    if waiting:
        on_bench.destination.answer = lambda batch: [
            deferred("http_429", retry_after_seconds=3_600) for _ in batch
        ]
        on_bench.append(1)
        drain.wake()
        await on_bench.settle_down()
    on_bench.destination.answer = lambda batch: [ACCEPTED for _ in batch]
    on_bench.destination.sent.clear()
    on_bench.transact(lambda db: cursors.move(db, NAME, 1, now=5))
    look(on_bench, drain)
    await on_bench.settle_down()
    assert on_bench.clock.monotonic() == 0
    assert on_bench.destination.sent == [(2, 3, 4) if waiting else (2, 3)]


async def test_a_rewind_during_a_batch_is_not_overwritten_and_the_destination_undoes_it(
    on_bench: Bench,
) -> None:
    on_bench.append(6)
    on_bench.destination.exclusive = True
    batches = 0

    async def rewind(_: Sequence[StoredEvent]) -> None:
        nonlocal batches
        batches += 1
        if batches == 2:
            on_bench.transact(lambda db: cursors.move(db, NAME, 2, now=5))

    on_bench.destination.before_answer = rewind
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.advance(1)
    assert on_bench.destination.sent == [(1, 2, 3, 4), (5, 6), (3, 4, 5, 6)]
    assert on_bench.destination.lines == [1, 2, 3, 4, 3, 4, 5, 6]
    assert destinations.load(on_bench.db, NAME).mark == "8"


async def test_a_stop_lets_the_batch_under_way_finish(on_bench: Bench) -> None:
    on_bench.append(8)
    go_on = asyncio.Event()

    async def wait(_: Sequence[StoredEvent]) -> None:
        await go_on.wait()

    on_bench.destination.before_answer = wait
    drain = new_drain(on_bench)
    running = on_bench.start(drain.run())
    await on_bench.settle_down()
    stopping = on_bench.start(drain.stop(20))
    await on_bench.advance(19)
    assert not running.done()
    go_on.set()
    await on_bench.settle_down()
    assert running.done()
    assert stopping.done()
    assert on_bench.destination.sent == [(1, 2, 3, 4)]
    assert on_bench.cursor().progress.position == 4
    assert on_bench.destination.closed == 1


async def test_a_stop_gives_up_a_batch_that_takes_too_long(on_bench: Bench) -> None:
    on_bench.append(2)

    async def hang(_: Sequence[StoredEvent]) -> None:
        await asyncio.Event().wait()

    on_bench.destination.before_answer = hang
    drain = new_drain(on_bench)
    running = on_bench.start(drain.run())
    await on_bench.settle_down()
    stopping = on_bench.start(drain.stop(20))
    await on_bench.advance(21)
    assert running.done()
    assert not running.cancelled()
    assert stopping.done()
    assert on_bench.cursor().progress.position == 0
    assert on_bench.destination.closed == 1


async def test_a_track_that_fails_ends_the_drain_with_its_error(on_bench: Bench) -> None:
    on_bench.declare(lanes=2)
    on_bench.append(2)
    drain = new_drain(on_bench, replace(POLICY, lanes=2))
    running = on_bench.start(drain.run())
    await on_bench.settle_down()
    on_bench.transact(lambda db: db.execute("ALTER TABLE outbox RENAME TO elsewhere"))
    drain.wake()
    await on_bench.advance(1)
    assert running.done()
    assert running.exception() is not None
    assert on_bench.destination.closed == 1


async def test_a_drain_that_hangs_in_its_destination_is_seen_to_be_dead(on_bench: Bench) -> None:
    on_bench.append(1)

    async def hang(_: Sequence[StoredEvent]) -> None:
        await asyncio.Event().wait()

    on_bench.destination.before_answer = hang
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.advance(on_bench.destination.send_seconds_max + SEND_MARGIN_SECONDS - 1)
    assert drain.alive_until > on_bench.clock.monotonic()
    await on_bench.advance(2)
    assert drain.alive_until < on_bench.clock.monotonic()


async def test_a_drain_is_alive_through_pauses_waits_and_idleness(on_bench: Bench) -> None:
    on_bench.append(1)
    answers: list[Outcome] = [deferred("x", retry_after_seconds=500), ACCEPTED]
    on_bench.destination.answer = lambda batch: [answers[0] for _ in batch]
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    for step in range(120):
        await on_bench.advance(17)
        assert drain.alive_until > on_bench.clock.monotonic(), step
        if step == 40:
            answers.pop(0)
        drain.shared.paused = 60 < step < 90


async def test_our_own_settlements_do_not_wake_a_drain(on_bench: Bench) -> None:
    """The control loop looks after each commit; a look that finds nothing new costs nothing."""
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.settle_down()
    look(on_bench, drain)
    await on_bench.settle_down()
    naps: list[float] = []
    on_bench.clock.on_sleep = naps.append
    for _ in range(50):
        look(on_bench, drain)
        await on_bench.settle_down()
    assert not naps


async def test_a_destination_is_tidied_now_and_then_and_may_fail_at_it(on_bench: Bench) -> None:
    async def fail() -> None:
        raise PermissionError("no")

    on_bench.destination.before_tidy = fail
    running = on_bench.start(new_drain(on_bench).run())
    await on_bench.advance(TIDY_SECONDS * 5 + 1)
    assert on_bench.destination.tidied == 6
    assert not running.done()


async def test_a_long_tidying_holds_up_neither_the_events_nor_a_stop(on_bench: Bench) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    on_bench.append(1)
    on_bench.destination.before_tidy = hang
    drain = new_drain(on_bench)
    running = on_bench.start(drain.run())
    await on_bench.advance(1)
    assert on_bench.destination.sent == [(1,)]
    on_bench.start(drain.stop(20))
    await on_bench.settle_down()
    assert running.done()
    assert on_bench.clock.monotonic() == 1


async def test_a_forgotten_destination_ends_its_drain(on_bench: Bench) -> None:
    drain = new_drain(on_bench)
    running = on_bench.start(drain.run())
    await on_bench.settle_down()
    look(on_bench, drain)
    on_bench.transact(lambda db: destinations.declare(db, [], now=1))
    on_bench.transact(lambda db: destinations.forget(db, NAME, now=2))
    drain.apply(Known(NAME, "http", False, None, 0, None, 1, (), (), 0, 0), None, {})
    await on_bench.advance(1)
    assert running.done()
    assert running.exception() is None

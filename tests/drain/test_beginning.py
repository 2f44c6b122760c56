"""What a drain that a start or a reload has begun finds: what operators wanted before holds on."""

from __future__ import annotations

import pytest

from streamer.core.alarms import HELD
from streamer.core.outcome import ACCEPTED, deferred, held
from streamer.store import destinations
from tests.drain.bench import NAME, Bench
from tests.drain.whole import look, new_drain

pytestmark = pytest.mark.anyio


async def test_a_pause_holds_in_a_drain_that_takes_the_place_of_another(on_bench: Bench) -> None:
    """Nothing in the database has changed since, so no look tells the new one."""
    on_bench.append(9)
    on_bench.transact(lambda db: destinations.pause(db, NAME, now=1))
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.advance(60)
    assert not on_bench.destination.sent
    on_bench.transact(lambda db: destinations.resume(db, NAME, now=2))
    look(on_bench, drain)
    await on_bench.settle_down()
    assert on_bench.destination.sent[0] == (1, 2, 3, 4)


async def test_the_first_resume_of_a_new_drain_is_heard(on_bench: Bench) -> None:
    on_bench.append(1)
    on_bench.destination.answer = lambda batch: [held("http_401") for _ in batch]
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.settle_down()
    on_bench.destination.sent.clear()
    on_bench.transact(lambda db: destinations.resume(db, NAME, now=1))
    look(on_bench, drain)
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1,)]


async def test_a_wait_that_was_stored_ends_at_once_for_a_drain_that_a_reload_begins(
    on_bench: Bench,
) -> None:
    """The reload may have mended what was waited for, and pokes before there is any track."""
    on_bench.append(2)
    on_bench.destination.answer = lambda batch: [
        deferred("http_429", retry_after_seconds=3_600) for _ in batch
    ]
    first = new_drain(on_bench)
    on_bench.start(first.run())
    await on_bench.settle_down()
    await first.stop(1)
    on_bench.destination.sent.clear()
    on_bench.destination.answer = lambda batch: [ACCEPTED for _ in batch]
    restarted = new_drain(on_bench)
    on_bench.start(restarted.run())
    await on_bench.settle_down()
    assert not on_bench.destination.sent, "a restart keeps the wait"
    await restarted.stop(1)
    reloaded = new_drain(on_bench)
    reloaded.poke()
    on_bench.start(reloaded.run())
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1, 2)]


async def test_the_alarm_of_an_unopened_destination_ends_when_a_later_drain_opens_it(
    on_bench: Bench,
) -> None:
    """A reload has mended it; no event need come for the alarm to end."""

    def fail() -> None:
        raise PermissionError(13, "Permission denied")

    on_bench.destination.before_open = fail
    first = new_drain(on_bench)
    on_bench.start(first.run())
    await on_bench.settle_down()
    await first.stop(1)
    assert on_bench.board.codes == {HELD.code}
    on_bench.destination.before_open = lambda: None
    on_bench.start(new_drain(on_bench).run())
    await on_bench.settle_down()
    assert not on_bench.board.standing


async def test_opening_does_not_end_the_alarm_of_a_hold_that_nothing_has_probed_since(
    on_bench: Bench,
) -> None:
    on_bench.append(1)
    on_bench.destination.answer = lambda batch: [held("http_401") for _ in batch]
    first = new_drain(on_bench)
    on_bench.start(first.run())
    await on_bench.settle_down()
    await first.stop(1)
    on_bench.transact(lambda db: destinations.pause(db, NAME, now=1))
    on_bench.destination.sent.clear()
    on_bench.start(new_drain(on_bench).run())
    await on_bench.advance(60)
    assert not on_bench.destination.sent
    assert on_bench.board.codes == {HELD.code}

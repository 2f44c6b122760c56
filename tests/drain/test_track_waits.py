"""How a track waits: for the next attempt, the rate, a fuller batch, an operator, the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from streamer.core.alarms import HELD, OUTAGE
from streamer.core.drain import Phase
from streamer.core.event import StoredEvent
from streamer.core.intervals import SETTLE_RETRY_SECONDS_MAX
from streamer.core.limits import DAY_SECONDS
from streamer.core.outcome import ACCEPTED, NOT_ATTEMPTED, Outcome, deferred, held, rejected
from tests.drain.bench import POLICY, Bench

pytestmark = pytest.mark.anyio


def says(outcome: Outcome) -> Callable[[Sequence[StoredEvent]], list[Outcome]]:
    return lambda batch: [outcome for _ in batch]


async def test_nothing_is_sent_while_paused_and_a_resume_sends_at_once(on_bench: Bench) -> None:
    shared = on_bench.shared()
    shared.paused = True
    track = on_bench.track(shared)
    on_bench.start(track.run())
    on_bench.append(1)
    await on_bench.advance(3_600)
    assert not on_bench.destination.sent
    assert track.track.phase is Phase.PAUSED
    assert track.alive_until > on_bench.clock.monotonic()
    shared.paused = False
    shared.wake()
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1,)]


async def test_a_pause_while_waiting_for_the_rate_stops_the_next_batch(on_bench: Bench) -> None:
    on_bench.append(8)
    shared = on_bench.shared(replace(POLICY, rate_per_second=1))
    on_bench.start(on_bench.track(shared).run())
    await on_bench.advance(2)
    shared.paused = True
    shared.wake()
    await on_bench.advance(60)
    assert on_bench.destination.sent == [(1, 2, 3, 4)]


async def test_a_full_disk_stops_the_drain_until_there_is_room(on_bench: Bench) -> None:
    on_bench.append(1)
    shared = on_bench.shared()
    shared.blocked = True
    on_bench.start(on_bench.track(shared).run())
    await on_bench.advance(60)
    assert not on_bench.destination.sent
    shared.blocked = False
    await on_bench.advance(10)
    assert on_bench.destination.sent == [(1,)]


async def test_a_poke_ends_a_wait_and_a_hold(on_bench: Bench) -> None:
    on_bench.append(3)
    on_bench.destination.answer = says(held("http_401"))
    shared = on_bench.shared()
    track = on_bench.track(shared)
    on_bench.start(track.run())
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1, 2, 3)]
    assert HELD.code in on_bench.board.codes
    track.poked = True
    shared.wake()
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1, 2, 3), (1,)], "one event probes"
    on_bench.destination.answer = lambda batch: [ACCEPTED for _ in batch]
    track.poked = True
    shared.wake()
    await on_bench.settle_down()
    assert on_bench.cursor().progress.position == 3
    assert not on_bench.board.codes


async def test_a_held_destination_is_probed_with_one_event_and_the_wait_is_stored(
    on_bench: Bench,
) -> None:
    on_bench.append(3)
    on_bench.destination.answer = says(held("http_401", "Unauthorized"))
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(61)
    assert on_bench.destination.sent == [(1, 2, 3), (1,)]
    state = on_bench.cursor().state
    assert state.state == "held"
    assert state.last_error == "http_401: Unauthorized"
    assert state.next_attempt_at is not None
    assert not on_bench.buried()


async def test_a_halving_after_a_wait_can_be_stored(on_bench: Bench) -> None:
    """The wait is over: the schema refuses a track that is ready and has a next attempt."""
    on_bench.append(4)
    answers = [deferred("http_503"), rejected("http_400", whole=True), ACCEPTED]
    on_bench.destination.answer = lambda batch: (
        [answers.pop(0) if len(answers) > 1 else answers[0]] * len(batch)
    )
    running = on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(10)
    assert not running.done()
    assert on_bench.destination.sent == [(1, 2, 3, 4), (1, 2, 3, 4), (1, 2), (3, 4)]


async def test_a_restart_keeps_the_wait_and_does_not_begin_a_burst(on_bench: Bench) -> None:
    on_bench.append(20)
    on_bench.destination.answer = says(deferred("http_503", retry_after_seconds=100))
    first = on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    first.cancel()
    await on_bench.settle_down()
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(99)
    assert len(on_bench.destination.sent) == 1
    await on_bench.advance(2)
    assert len(on_bench.destination.sent) == 2
    assert on_bench.cursor().state.attempt == 2


async def test_a_stored_wait_is_cut_when_the_wall_clock_was_set_back(on_bench: Bench) -> None:
    on_bench.append(1)
    on_bench.destination.answer = says(deferred("http_503"))
    first = on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    first.cancel()
    await on_bench.settle_down()
    on_bench.set_wall_clock(-365 * 86_400_000)
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(3_599)
    assert len(on_bench.destination.sent) == 1
    await on_bench.advance(2)
    assert len(on_bench.destination.sent) > 1


async def test_a_running_wait_does_not_follow_the_wall_clock(on_bench: Bench) -> None:
    on_bench.append(1)
    on_bench.destination.answer = says(deferred("http_503", retry_after_seconds=50))
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    on_bench.set_wall_clock(-86_400_000)
    await on_bench.advance(51)
    assert len(on_bench.destination.sent) == 2


async def test_a_restart_does_not_send_beyond_what_is_ahead(on_bench: Bench) -> None:
    on_bench.append(8)
    on_bench.destination.answer = lambda batch: [
        deferred("busy") if at.position == 2 else ACCEPTED for at in batch
    ]
    first = on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    first.cancel()
    await on_bench.settle_down()
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(30)
    assert set(on_bench.destination.sent[1:]) == {(2,)}


async def test_a_lingering_batch_goes_when_it_is_full_or_the_time_is_over(on_bench: Bench) -> None:
    shared = on_bench.shared(replace(POLICY, linger_ms=2_000))
    on_bench.start(on_bench.track(shared).run())
    for _ in range(4):
        on_bench.append(1)
        shared.wake()
        await on_bench.advance(0.1)
    assert on_bench.destination.sent == [(1, 2, 3, 4)], "full: nothing to wait for"
    on_bench.append(1)
    shared.wake()
    await on_bench.advance(1.9)
    assert len(on_bench.destination.sent) == 1
    await on_bench.advance(0.2)
    assert on_bench.destination.sent[1:] == [(5,)]


async def test_a_lingering_batch_is_not_sent_once_paused(on_bench: Bench) -> None:
    shared = on_bench.shared(replace(POLICY, linger_ms=60_000))
    on_bench.append(1)
    on_bench.start(on_bench.track(shared).run())
    await on_bench.advance(1)
    shared.paused = True
    shared.wake()
    await on_bench.advance(120)
    assert not on_bench.destination.sent


async def test_an_old_backlog_does_not_linger(on_bench: Bench) -> None:
    on_bench.append(1)
    await on_bench.advance(10)
    on_bench.start(on_bench.track(on_bench.shared(replace(POLICY, linger_ms=5_000))).run())
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1,)]


async def test_the_rate_is_kept_over_batches(on_bench: Bench) -> None:
    on_bench.append(12)
    on_bench.start(on_bench.track(on_bench.shared(replace(POLICY, rate_per_second=2))).run())
    await on_bench.advance(1.9)
    assert len(on_bench.destination.sent) == 1
    await on_bench.advance(0.2)
    assert len(on_bench.destination.sent) == 2
    await on_bench.advance(2)
    assert len(on_bench.destination.sent) == 3


async def test_what_a_send_did_not_get_to_costs_nothing_of_the_rate(on_bench: Bench) -> None:
    on_bench.append(12)
    on_bench.destination.answer = lambda batch: [ACCEPTED, *[NOT_ATTEMPTED] * (len(batch) - 1)]
    on_bench.start(on_bench.track(on_bench.shared(replace(POLICY, rate_per_second=2))).run())
    await on_bench.advance(1.6)
    assert len(on_bench.destination.sent) == 4


async def test_a_batch_that_was_called_off_costs_nothing_of_the_rate(on_bench: Bench) -> None:
    on_bench.append(8)
    shared = on_bench.shared(replace(POLICY, rate_per_second=2))
    on_bench.start(on_bench.track(shared).run())
    await on_bench.advance(1)
    for paused in (True, False) * 3:
        shared.paused = paused
        shared.wake()
        await on_bench.settle_down()
    await on_bench.advance(0.9)
    assert len(on_bench.destination.sent) == 1
    await on_bench.advance(0.2)
    assert len(on_bench.destination.sent) == 2, "after two seconds, as if nobody had paused"


async def test_a_settlement_is_written_however_long_the_database_refuses(on_bench: Bench) -> None:
    """The disk is full: nothing more is sent, and nothing is forgotten or sent again."""
    on_bench.append(8)
    (pages,) = on_bench.db.execute("PRAGMA page_count").fetchone()
    await on_bench.writer.maintain(lambda db: db.execute(f"PRAGMA max_page_count = {pages}"))
    on_bench.destination.marked = "x" * 100_000
    track = on_bench.track(on_bench.shared())
    on_bench.start(track.run())
    await on_bench.advance(30)
    assert on_bench.destination.sent == [(1, 2, 3, 4)]
    assert on_bench.cursor().progress.position == 0
    assert track.alive_until > on_bench.clock.monotonic()
    await on_bench.writer.maintain(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
    await on_bench.advance(SETTLE_RETRY_SECONDS_MAX)
    assert on_bench.destination.sent == [(1, 2, 3, 4), (5, 6, 7, 8)]
    assert on_bench.cursor().progress.position == 8


async def test_nothing_is_sent_while_another_program_holds_the_write_lock(on_bench: Bench) -> None:
    on_bench.append(8)
    on_bench.db.execute("BEGIN IMMEDIATE")
    track = on_bench.track(on_bench.shared())
    on_bench.start(track.run())
    while not on_bench.writer.stats.busy:
        await on_bench.reader.run(lambda db: None)
    assert on_bench.destination.sent == [(1, 2, 3, 4)]
    on_bench.clock.move_to(DAY_SECONDS)
    assert track.alive_until > on_bench.clock.monotonic(), "a lock is no stall"
    on_bench.db.execute("ROLLBACK")
    await on_bench.advance(1)
    assert on_bench.destination.sent == [(1, 2, 3, 4), (5, 6, 7, 8)]


async def test_an_outage_alarm_is_raised_after_a_while_and_cleared(on_bench: Bench) -> None:
    on_bench.append(1)
    on_bench.destination.answer = says(deferred("http_503"))
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(600)
    assert OUTAGE.code not in on_bench.board.codes
    await on_bench.advance(900)
    assert OUTAGE.code in on_bench.board.codes
    on_bench.destination.answer = lambda batch: [ACCEPTED for _ in batch]
    await on_bench.advance(300)
    assert not on_bench.board.codes

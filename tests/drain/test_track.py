"""One track: reading on, sending, settling and waiting, on a real database in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from streamer.core.alarms import HELD, OUTAGE
from streamer.core.drain import Phase
from streamer.core.event import StoredEvent
from streamer.core.outcome import ACCEPTED, Outcome, Verdict, deferred, held, rejected
from streamer.core.selection import Selection
from streamer.drain.shared import DrainPolicy
from streamer.store import cursors, ledger
from tests.drain.bench import EVERYTHING, NAME, Bench

pytestmark = pytest.mark.anyio

POLICY = DrainPolicy(selection=EVERYTHING, batch_events_max=4)


def says(outcome: Outcome) -> Callable[[Sequence[StoredEvent]], list[Outcome]]:
    return lambda batch: [outcome for _ in batch]


async def test_events_go_out_in_order_in_batches_and_the_cursor_follows(on_bench: Bench) -> None:
    on_bench.append(10)
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(1)
    assert on_bench.destination.sent == [(1, 2, 3, 4), (5, 6, 7, 8), (9, 10)]
    assert on_bench.cursor().progress.position == 10
    accepted = on_bench.db.execute("SELECT accepted, buried FROM destinations").fetchone()
    assert accepted == (10, 0)


async def test_an_append_wakes_an_idle_track_at_once(on_bench: Bench) -> None:
    shared = on_bench.shared()
    on_bench.start(on_bench.track(shared).run())
    await on_bench.advance(60)
    on_bench.append(1)
    await on_bench.settle_down()
    assert not on_bench.destination.sent
    shared.wake()
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1,)]


async def test_an_idle_track_looks_up_every_few_seconds_and_no_more(on_bench: Bench) -> None:
    naps: list[float] = []
    on_bench.clock.on_sleep = naps.append
    track = on_bench.track(on_bench.shared())
    on_bench.start(track.run())
    await on_bench.advance(600)
    assert 100 <= len(naps) <= 130
    assert track.alive_until > on_bench.clock.monotonic()


async def test_a_settlement_refused_by_the_generation_ends_the_track(on_bench: Bench) -> None:
    on_bench.append(3)

    async def rewind(_: Sequence[StoredEvent]) -> None:
        on_bench.transact(lambda db: cursors.move(db, NAME, 1, now=5))

    on_bench.destination.before_answer = rewind
    running = on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(1)
    assert running.done()
    assert running.result() is False
    assert on_bench.cursor().progress.position == 1, "the operator's change stands"


async def test_a_refused_settlement_makes_an_exclusive_destination_undo_the_batch(
    on_bench: Bench,
) -> None:
    on_bench.append(6)
    on_bench.destination.exclusive = True
    shared = on_bench.shared()
    batches = 0

    async def rewind(_: Sequence[StoredEvent]) -> None:
        nonlocal batches
        batches += 1
        if batches == 2:
            on_bench.transact(lambda db: cursors.move(db, NAME, 0, now=5))

    on_bench.destination.before_answer = rewind
    running = on_bench.start(on_bench.track(shared).run())
    await on_bench.advance(1)
    assert running.done()
    assert on_bench.destination.opened == ["4"], "what was stored with the batch before"
    assert on_bench.destination.lines == [1, 2, 3, 4]


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
    assert HELD.code in on_bench.board.standing
    track.poked = True
    shared.wake()
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1, 2, 3), (1,)], "one event probes"
    on_bench.destination.answer = lambda batch: [ACCEPTED for _ in batch]
    track.poked = True
    shared.wake()
    await on_bench.settle_down()
    assert on_bench.cursor().progress.position == 3
    assert not on_bench.board.standing


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


async def test_what_was_accepted_beyond_a_deferred_event_is_stored_and_not_sent_again(
    on_bench: Bench,
) -> None:
    on_bench.append(6)
    on_bench.destination.answer = lambda batch: [
        deferred("busy") if at.position == 2 else ACCEPTED for at in batch
    ]
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    cursor = on_bench.cursor()
    assert (cursor.progress.position, cursor.progress.ahead) == (1, frozenset({3, 4}))
    assert cursor.state.attempt == 1
    await on_bench.advance(30)
    assert set(on_bench.destination.sent[1:]) == {(2,)}
    on_bench.destination.answer = lambda batch: [ACCEPTED for _ in batch]
    await on_bench.advance(60)
    assert on_bench.destination.sent[-1] == (5, 6)
    assert on_bench.cursor().progress.position == 6


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


async def test_filtered_events_are_passed_and_written_down_now_and_then(on_bench: Bench) -> None:
    wanted = Selection(include=("email.opened",), exclude=())
    shared = on_bench.shared(replace(POLICY, selection=wanted))
    on_bench.append(5)
    on_bench.append(1, metric="opened")
    on_bench.append(3)
    on_bench.start(on_bench.track(shared).run())
    await on_bench.advance(1)
    assert on_bench.destination.sent == [(6,)]
    # What the read looked at is passed together with the event.
    assert on_bench.cursor().progress.position == 9
    on_bench.append(4)
    shared.wake()
    await on_bench.advance(20)
    assert on_bench.cursor().progress.position == 9, "not worth a write each"
    await on_bench.advance(20)
    assert on_bench.cursor().progress.position == 13


@pytest.mark.parametrize("fault", ["raises", "too few", "too many"])
async def test_a_bug_in_a_destination_defers_and_does_not_end_the_drain(
    on_bench: Bench, fault: str
) -> None:
    def faulty(batch: Sequence[StoredEvent]) -> list[Outcome]:
        if len(on_bench.destination.sent) > 1:
            return [ACCEPTED for _ in batch]
        if fault == "raises":
            raise LookupError("secret of the far side")
        return [ACCEPTED] * (len(batch) + (1 if fault == "too many" else -1))

    on_bench.append(3)
    on_bench.destination.answer = faulty
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    state = on_bench.cursor().state
    assert state.state == "waiting"
    assert "secret" not in state.last_error
    await on_bench.advance(2)
    assert on_bench.destination.sent == [(1, 2, 3), (1, 2, 3)]
    assert on_bench.cursor().progress.position == 3


async def test_a_settlement_is_written_however_long_the_database_refuses(on_bench: Bench) -> None:
    """The disk is full: nothing more is sent, and nothing is forgotten or sent again."""
    on_bench.append(8)
    (pages,) = on_bench.db.execute("PRAGMA page_count").fetchone()
    await on_bench.writer.maintain(lambda db: db.execute(f"PRAGMA max_page_count = {pages}"))
    receipt = "x" * 100_000
    on_bench.destination.answer = lambda batch: [
        Outcome(Verdict.ACCEPTED, receipt=receipt) for _ in batch
    ]
    track = on_bench.track(on_bench.shared())
    on_bench.start(track.run())
    await on_bench.advance(30)
    assert on_bench.destination.sent == [(1, 2, 3, 4)]
    assert on_bench.cursor().progress.position == 0
    assert track.alive_until > on_bench.clock.monotonic()
    await on_bench.writer.maintain(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
    await on_bench.advance(2)
    assert on_bench.destination.sent == [(1, 2, 3, 4), (5, 6, 7, 8)]
    assert on_bench.cursor().progress.position == 8


async def test_nothing_is_sent_while_another_program_holds_the_write_lock(on_bench: Bench) -> None:
    on_bench.append(8)
    on_bench.db.execute("BEGIN IMMEDIATE")
    on_bench.start(on_bench.track(on_bench.shared()).run())
    while not on_bench.writer.stats.busy:
        await on_bench.reader.run(lambda db: None)
    assert on_bench.destination.sent == [(1, 2, 3, 4)]
    on_bench.db.execute("ROLLBACK")
    await on_bench.advance(1)
    assert on_bench.destination.sent == [(1, 2, 3, 4), (5, 6, 7, 8)]


async def test_an_outage_alarm_is_raised_after_a_while_and_cleared(on_bench: Bench) -> None:
    on_bench.append(1)
    on_bench.destination.answer = says(deferred("http_503"))
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(600)
    assert OUTAGE.code not in on_bench.board.standing
    await on_bench.advance(900)
    assert OUTAGE.code in on_bench.board.standing
    on_bench.destination.answer = lambda batch: [ACCEPTED for _ in batch]
    await on_bench.advance(300)
    assert not on_bench.board.standing


async def test_a_rejected_last_event_is_buried_when_a_new_one_is_accepted(on_bench: Bench) -> None:
    on_bench.append(2)
    on_bench.destination.answer = lambda batch: (
        [rejected("http_400", whole=True)] * len(batch)
        if any(at.position == 2 for at in batch)
        else [ACCEPTED] * len(batch)
    )
    shared = on_bench.shared()
    on_bench.start(on_bench.track(shared).run())
    await on_bench.advance(5)
    assert on_bench.cursor().state.state == "held"
    assert not on_bench.buried()
    on_bench.append(1)
    shared.wake()
    await on_bench.settle_down()
    assert on_bench.buried() == {2: "http_400"}
    assert on_bench.cursor().progress.position == 3


async def test_a_culprit_at_the_end_of_what_was_read_needs_no_hold(on_bench: Bench) -> None:
    """The window ends with it, the outbox does not: the drain reads on before it judges."""
    on_bench.append(170)
    on_bench.destination.answer = lambda batch: (
        [rejected("http_400", whole=True)] * len(batch)
        if any(at.position == 160 for at in batch)
        else [ACCEPTED] * len(batch)
    )
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    for _ in range(40):
        await on_bench.settle_down()
    assert on_bench.clock.monotonic() == 0
    assert on_bench.buried() == {160: "http_400"}
    assert on_bench.cursor().progress.position == 170
    assert HELD.code not in on_bench.board.standing


async def test_the_ledger_names_each_accepted_event_and_no_other(on_bench: Bench) -> None:
    on_bench.append(9)
    answers = {2: [deferred("busy")], 3: [held("http_401")]}

    def answer(batch: Sequence[StoredEvent]) -> list[Outcome]:
        return [
            answers[at.position].pop() if answers.get(at.position) else ACCEPTED for at in batch
        ]

    on_bench.destination.answer = answer
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(120)
    assert on_bench.cursor().progress.position == 9
    for position in range(1, 10):
        rows = ledger.find(on_bench.db, NAME, position, position)
        assert len(rows) == 1, (position, rows)
    (total,) = on_bench.db.execute("SELECT sum(events) FROM ledger").fetchone()
    assert total == 9


async def test_stopping_everywhere_loses_nothing_and_settles_nothing_falsely(
    on_bench: Bench,
) -> None:
    """Cancel at each turn of the loop, restart, and look at what the database says."""
    on_bench.append(12)
    position = 0
    taken: set[int] = set()

    def answer(batch: Sequence[StoredEvent]) -> list[Outcome]:
        outcomes = [
            deferred("busy") if at.position % 5 == 0 and at.position not in taken else ACCEPTED
            for at in batch
        ]
        taken.update(at.position for at in batch)
        return outcomes

    on_bench.destination.answer = answer
    for turns in range(400):
        running = on_bench.start(on_bench.track(on_bench.shared()).run())
        for _ in range(turns % 37):
            await asyncio.sleep(0)
        if turns % 3 == 0:
            await on_bench.reader.run(lambda db: None)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await on_bench.settle_down()
        on_bench.clock.move_to(on_bench.clock.seconds + 1)
        progress = on_bench.cursor().progress
        assert progress.position >= position, "a cursor moved back"
        position = progress.position
        assert set(range(1, position + 1)) | progress.ahead <= taken
        if position == 12:
            break
    assert position == 12
    assert not on_bench.buried()

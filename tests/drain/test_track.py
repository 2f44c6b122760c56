"""One track: reading on, sending, settling and waiting, on a real database in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import pytest
from msgspec.structs import replace

from streamer.core.alarms import HELD
from streamer.core.event import StoredEvent
from streamer.core.limits import SCAN_EVENTS_MAX, TRIED_EVENTS_MAX
from streamer.core.outcome import ACCEPTED, Outcome, Verdict, deferred, held, rejected
from streamer.core.selection import Selection
from streamer.drain.feed import LiveFeed
from streamer.drain.track import TrackLoop
from streamer.store import cursors, ledger
from streamer.store.outbox import Scan
from streamer.store.sqlite import Connection
from tests.drain.bench import NAME, POLICY, Bench

pytestmark = pytest.mark.anyio


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
    assert HELD.code not in on_bench.board.codes


@pytest.mark.parametrize("script", [{2: "d", 3: "h"}, {2: "h"}, {2: "hd"}, {3: "d", 6: "h"}])
async def test_the_ledger_names_each_accepted_event_and_no_other(
    on_bench: Bench, script: dict[int, str]
) -> None:
    on_bench.append(9)
    said = {"d": deferred("busy"), "h": held("http_401")}
    answers = {at: [said[letter] for letter in letters] for at, letters in script.items()}

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


async def test_a_long_stretch_of_filtered_events_is_read_without_waiting(on_bench: Bench) -> None:
    """One read looks at a bounded number of rows; the next follows at once."""
    on_bench.append(SCAN_EVENTS_MAX + 5, one_commit=True)
    on_bench.append(1, metric="opened")
    wanted = Selection(include=("email.opened",), exclude=())
    on_bench.start(on_bench.track(on_bench.shared(replace(POLICY, selection=wanted))).run())
    await on_bench.settle_down()
    assert on_bench.clock.monotonic() == 0
    assert on_bench.destination.sent == [(SCAN_EVENTS_MAX + 6,)]


async def test_each_run_of_a_batch_that_was_taken_apart_keeps_its_own_receipts(
    on_bench: Bench,
) -> None:
    """Every second of four hundred is deferred: two hundred rows, and each with one receipt."""
    on_bench.append(400, one_commit=True)
    on_bench.destination.answer = lambda batch: [
        deferred("busy")
        if at.position % 2
        else Outcome(Verdict.ACCEPTED, receipt=f"1565379005402:8391:{at.position:04}")
        for at in batch
    ]
    policy = replace(POLICY, batch_events_max=400)
    on_bench.start(on_bench.track(on_bench.shared(policy)).run())
    await on_bench.settle_down()
    rows = on_bench.db.execute("SELECT first_position, last_position, receipt FROM ledger")
    assert rows.fetchall() == [(at, at, f"1565379005402:8391:{at:04}") for at in range(2, 401, 2)]


class WatchedFeed(LiveFeed, frozen=True):
    """Notes from where it is read on."""

    reads: list[int] = msgspec.field(default_factory=list)

    def read(self, db: Connection, position: int, events_max: int, bytes_max: int) -> Scan:
        self.reads.append(position)
        return super().read(db, position, events_max, bytes_max)


async def test_what_comes_next_is_read_while_a_batch_is_under_way_and_sent_once_in_order(
    on_bench: Bench,
) -> None:
    on_bench.append(TRIED_EVENTS_MAX * 2 + 5, one_commit=True)
    cursor = on_bench.cursor()
    feed = WatchedFeed(POLICY.selection, cursor.lane)
    read_beside: dict[int, list[int]] = {}

    async def note(batch: Sequence[StoredEvent]) -> None:
        before = len(feed.reads)
        await asyncio.sleep(0)  # what was begun gets as far as the reader's thread
        await on_bench.reader.run(lambda db: None)
        read_beside[batch[0].position] = feed.reads[before:]

    on_bench.destination.before_answer = note
    on_bench.start(TrackLoop(on_bench.shared(), cursor, feed).run())
    await on_bench.advance(1)
    sent = [position for batch in on_bench.destination.sent for position in batch]
    assert sent == list(range(1, TRIED_EVENTS_MAX * 2 + 6))
    early = {first: beside for first, beside in read_beside.items() if beside}
    assert early == {  # with the last batch but one of each piece
        TRIED_EVENTS_MAX - 7: [TRIED_EVENTS_MAX],
        TRIED_EVENTS_MAX * 2 - 7: [TRIED_EVENTS_MAX * 2],
    }


async def test_a_look_ahead_that_met_the_end_is_not_taken_for_what_is_there_now(
    on_bench: Bench,
) -> None:
    on_bench.append(TRIED_EVENTS_MAX + 1, one_commit=True)

    async def append_one(batch: Sequence[StoredEvent]) -> None:
        if batch[-1].position == TRIED_EVENTS_MAX:
            on_bench.append(1)

    on_bench.destination.before_answer = append_one
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    assert on_bench.destination.sent[-1] == (TRIED_EVENTS_MAX + 1, TRIED_EVENTS_MAX + 2)

"""Lanes and replays: what goes out beside what, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from streamer.core.alarms import HELD, OUTAGE, Alarm
from streamer.core.event import StoredEvent
from streamer.core.intervals import FLOOR_CHECK_SECONDS
from streamer.core.limits import OUTAGE_ALARM_SECONDS
from streamer.core.outcome import ACCEPTED, Outcome, deferred, held, rejected
from streamer.core.selection import Selection
from streamer.store import cursors, dead_letters, replays
from streamer.store.replays import Request
from tests.drain.bench import NAME, POLICY, Bench
from tests.drain.whole import cancel, look, new_drain, replay_of, replay_state

pytestmark = pytest.mark.anyio


async def test_a_replay_runs_to_its_end_beside_the_live_order(on_bench: Bench) -> None:
    on_bench.append(5)
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.settle_down()
    on_bench.destination.sent.clear()
    replay_id = replay_of(on_bench, 2, 4)
    look(on_bench, drain)
    await on_bench.advance(1)
    assert on_bench.destination.sent == [(2, 4)]
    assert replay_state(on_bench, replay_id) == "done"
    assert len(on_bench.cursors()) == 1
    assert cursors.load(on_bench.db, NAME, replay_id=replay_id) == []


async def test_replays_go_one_after_the_other_and_survive_a_restart(on_bench: Bench) -> None:
    on_bench.append(3)
    on_bench.transact(lambda db: cursors.move(db, NAME, 3, now=1))
    first, second = replay_of(on_bench, 1), replay_of(on_bench, 2)
    on_bench.start(new_drain(on_bench).run())
    await on_bench.advance(1)
    assert on_bench.destination.sent == [(1,), (2,)]
    assert {replay_state(on_bench, one) for one in (first, second)} == {"done"}


async def test_a_cancelled_replay_stops_even_while_it_waits(on_bench: Bench) -> None:
    on_bench.append(3)
    on_bench.transact(lambda db: cursors.move(db, NAME, 3, now=1))
    on_bench.destination.answer = lambda batch: [deferred("http_503") for _ in batch]
    drain = new_drain(on_bench)
    replay_id = replay_of(on_bench, 1, 2)
    on_bench.start(drain.run())
    await on_bench.advance(10)
    cancel(on_bench, replay_id)
    look(on_bench, drain)
    await on_bench.settle_down()
    on_bench.destination.sent.clear()
    await on_bench.advance(600)
    assert not on_bench.destination.sent
    assert replay_state(on_bench, replay_id) == "cancelled"


async def test_a_retried_dead_letter_is_closed_or_returns_at_once(on_bench: Bench) -> None:
    on_bench.append(4)
    on_bench.destination.answer = lambda batch: [
        ACCEPTED if at.position % 2 else rejected("invalid") for at in batch
    ]
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.advance(1)
    assert on_bench.buried() == {2: "invalid", 4: "invalid"}
    letters = dead_letters.list_letters(on_bench.db)
    on_bench.destination.answer = lambda batch: [
        ACCEPTED if at.position == 2 else rejected("still_invalid") for at in batch
    ]
    on_bench.destination.sent.clear()
    replay_id = replay_of(on_bench, 2, letters=[letters[0].id])
    again = replay_of(on_bench, 4, letters=[letters[1].id])
    look(on_bench, drain)
    await on_bench.advance(1)
    states = {
        at.position: (at.state, at.reason, at.attempts)
        for at in dead_letters.list_letters(on_bench.db, state=None)
    }
    assert states == {2: ("accepted", "invalid", 1), 4: ("open", "still_invalid", 2)}
    assert {replay_state(on_bench, one) for one in (replay_id, again)} == {"done"}


async def test_lanes_keep_order_per_person_and_a_stuck_event_holds_one_lane_only(
    on_bench: Bench,
) -> None:
    on_bench.declare(lanes=2)
    for person in (0, 1, 0, 1, 0, 1):
        on_bench.append(1, lane_key=person)
    on_bench.destination.answer = lambda batch: [
        deferred("busy") if at.position == 1 else ACCEPTED for at in batch
    ]
    drain = new_drain(on_bench, replace(POLICY, lanes=2, batch_events_max=1))
    on_bench.start(drain.run())
    await on_bench.advance(100)
    accepted = [at for (at,) in on_bench.destination.sent if at != 1]
    assert accepted == [2, 4, 6]
    stands = {at.lane.lane: at for at in on_bench.cursors() if at.lane.lanes == 2}
    assert stands[0].progress.position == 0
    assert stands[1].progress.position == 6
    on_bench.destination.answer = lambda batch: [ACCEPTED for _ in batch]
    await on_bench.advance(300)
    accepted = [at for (at,) in on_bench.destination.sent if at in {3, 5}]
    assert accepted == [3, 5]


async def test_batches_of_lanes_overlap_and_those_of_an_exclusive_destination_do_not(
    on_bench: Bench,
) -> None:
    on_bench.declare(lanes=2)
    on_bench.append(8)

    async def take_a_second(_: Sequence[StoredEvent]) -> None:
        await on_bench.clock.sleep(1)

    on_bench.destination.before_answer = take_a_second
    drain = new_drain(on_bench, replace(POLICY, lanes=2, batch_events_max=2))
    on_bench.start(drain.run())
    await on_bench.advance(10)
    assert on_bench.destination.under_way_max == 2
    await drain.stop(5)
    on_bench.destination.under_way_max = 0
    on_bench.destination.exclusive = True
    on_bench.append(8)
    on_bench.start(new_drain(on_bench, replace(POLICY, lanes=2, batch_events_max=2)).run())
    await on_bench.advance(20)
    assert on_bench.destination.under_way_max == 1


async def test_a_success_on_one_lane_does_not_clear_the_alarm_of_another(on_bench: Bench) -> None:
    on_bench.declare(lanes=2)
    on_bench.destination.answer = lambda batch: [
        held("http_403") if at.lane_key == 0 else ACCEPTED for at in batch
    ]
    on_bench.append(1, lane_key=0)
    drain = new_drain(on_bench, replace(POLICY, lanes=2))
    on_bench.start(drain.run())
    await on_bench.advance(1)
    on_bench.append(1, lane_key=1)
    drain.wake()
    await on_bench.advance(1)
    assert (2,) in on_bench.destination.sent
    assert HELD.code in on_bench.board.codes


@pytest.mark.parametrize(
    ("outcome", "alarm"), [(held("http_403"), HELD), (deferred("http_503"), OUTAGE)]
)
async def test_the_alarm_of_a_replay_ends_when_it_is_cancelled(
    on_bench: Bench, outcome: Outcome, alarm: Alarm
) -> None:
    on_bench.append(1)
    on_bench.transact(lambda db: cursors.move(db, NAME, 1, now=1))
    on_bench.destination.answer = lambda batch: [outcome for _ in batch]
    drain = new_drain(on_bench)
    replay_id = replay_of(on_bench, 1)
    on_bench.start(drain.run())
    await on_bench.advance(OUTAGE_ALARM_SECONDS + 300)
    assert on_bench.board.codes == {alarm.code}
    cancel(on_bench, replay_id)
    look(on_bench, drain)
    await on_bench.settle_down()
    assert not on_bench.board.standing


async def test_the_alarm_of_a_lane_ends_when_an_operator_moves_it_away_and_not_at_a_stop(
    on_bench: Bench,
) -> None:
    on_bench.append(1)
    on_bench.destination.answer = lambda batch: [held("http_403") for _ in batch]
    first = new_drain(on_bench)
    on_bench.start(first.run())
    await on_bench.settle_down()
    await first.stop(5)
    assert on_bench.board.codes == {HELD.code}
    second = new_drain(on_bench)
    on_bench.start(second.run())
    await on_bench.settle_down()
    assert on_bench.board.codes == {HELD.code}
    on_bench.transact(lambda db: cursors.move(db, NAME, 1, now=1))
    look(on_bench, second)
    await on_bench.settle_down()
    assert not on_bench.board.standing


async def test_a_lane_of_bad_events_is_judged_by_what_the_other_lane_is_taken(
    on_bench: Bench,
) -> None:
    on_bench.declare(lanes=2)
    on_bench.destination.answer = lambda batch: [
        rejected("invalid") if at.lane_key == 0 else ACCEPTED for at in batch
    ]
    on_bench.append(1, lane_key=0)
    drain = new_drain(on_bench, replace(POLICY, lanes=2))
    on_bench.start(drain.run())
    await on_bench.advance(1)
    on_bench.append(1, lane_key=1)
    drain.wake()
    await on_bench.advance(1)
    assert not on_bench.buried(), "it may have been mended in between"
    await on_bench.advance(70)
    assert on_bench.buried() == {1: "invalid"}


async def test_after_a_change_of_lanes_nothing_is_sent_again_and_floors_go_once_passed(
    on_bench: Bench,
) -> None:
    for person in (0, 1, 2, 3, 0, 1, 2, 3):
        on_bench.append(1, lane_key=person)
    on_bench.destination.answer = lambda batch: [
        deferred("busy") if at.position == 3 else ACCEPTED for at in batch
    ]
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.advance(1)
    await drain.stop(5)
    assert on_bench.cursor().progress.ahead == {4}
    on_bench.declare(lanes=2)
    on_bench.destination.sent.clear()
    on_bench.destination.answer = lambda batch: [ACCEPTED for _ in batch]
    on_bench.start(new_drain(on_bench, replace(POLICY, lanes=2)).run())
    await on_bench.advance(1)
    assert sorted(at for sent in on_bench.destination.sent for at in sent) == [3, 5, 6, 7, 8]
    await on_bench.advance(FLOOR_CHECK_SECONDS + 40)
    assert [at.lane.lanes for at in on_bench.cursors()] == [2, 2]


async def test_a_replay_never_sends_what_the_destination_must_not_get(on_bench: Bench) -> None:
    on_bench.append(2)
    on_bench.append(1, metric="opened")
    wanted = Selection(include=("email.opened",), exclude=())
    replay_id = replay_of(on_bench, 1, 3)
    on_bench.start(new_drain(on_bench, replace(POLICY, selection=wanted)).run())
    await on_bench.advance(1)
    assert {at for sent in on_bench.destination.sent for at in sent} == {3}
    assert replay_state(on_bench, replay_id) == "done"


async def test_a_range_is_replayed_by_position_time_and_type(on_bench: Bench) -> None:
    for second in range(4):
        on_bench.append(1)
        on_bench.append(1, metric="opened")
        await on_bench.advance(1)
        assert second < 4
    on_bench.transact(lambda db: cursors.move(db, NAME, 8, now=1))
    begin = on_bench.clock.now() - 4_000
    request = Request(
        NAME, from_position=2, to_position=8, since=begin + 1_000, until=begin + 3_000,
        include=("email.opened",),
    )  # fmt: skip
    on_bench.transact(lambda db: replays.start(db, request, events=2, now=1))
    on_bench.start(new_drain(on_bench).run())
    await on_bench.advance(1)
    assert on_bench.destination.sent == [(4, 6)]

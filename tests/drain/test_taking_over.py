"""A drain takes a destination over: nothing that was given up is written behind its back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from streamer.core.errors import StoreError
from streamer.core.event import StoredEvent
from streamer.core.intervals import TIDY_SECONDS
from streamer.core.outcome import ACCEPTED, Outcome
from streamer.core.settlement import Progress
from streamer.store import cursors, destinations, settling
from streamer.store.cursors import CursorState
from streamer.store.outbox import Lane
from tests.drain.bench import NAME, POLICY, Bench, ScriptedDestination
from tests.drain.whole import new_drain

pytestmark = pytest.mark.anyio


@pytest.fixture
def exclusive(on_bench: Bench) -> ScriptedDestination:
    """A destination that writes lines, of which the mark is the number."""
    on_bench.destination = ScriptedDestination(exclusive=True)
    return on_bench.destination


async def test_a_settlement_of_the_drain_before_is_written_before_or_never(
    on_bench: Bench, exclusive: ScriptedDestination
) -> None:
    """It is committed at the worst moment: the mark is read, and the cursor is not."""
    on_bench.append(3)
    given_up = settling.Settlement(
        cursor=on_bench.cursor(),
        progress=Progress(2),
        state=CursorState(),
        now=on_bench.clock.now(),
        mark="2",
    )
    written: list[int | None] = []
    exclusive.before_open = lambda: written.append(
        on_bench.transact(lambda db: settling.settle(db, given_up))
    )
    on_bench.start(new_drain(on_bench).run())
    await on_bench.settle_down()
    assert written == [None]
    assert exclusive.lines == [1, 2, 3]
    assert on_bench.cursor().progress == Progress(3)


async def test_a_mark_of_the_drain_before_is_not_written_over_the_next_one(
    on_bench: Bench, exclusive: ScriptedDestination
) -> None:
    before = cursors.generations(on_bench.db, NAME)
    on_bench.append(1)
    on_bench.start(new_drain(on_bench).run())
    await on_bench.settle_down()
    assert not on_bench.transact(
        lambda db: settling.save_mark(db, NAME, "late", generations=before)
    )
    assert destinations.load(on_bench.db, NAME).mark == "1"


class _MovedMeanwhile(ScriptedDestination):
    """Somebody moves the cursor just when a rotation has made its mark."""

    def __init__(self, on_bench: Bench) -> None:
        super().__init__(exclusive=True)
        self._on_bench = on_bench
        self.moved = 0

    def mark(self) -> str | None:
        if self.marked == "closed" and not self.moved:
            self.moved += 1
            self._on_bench.transact(
                lambda db: cursors.move(db, NAME, 0, now=self._on_bench.clock.now())
            )
        return super().mark()


async def test_what_is_closed_and_not_committed_is_not_packed(on_bench: Bench) -> None:
    """It is committed in the next round, and packed then."""
    on_bench.destination = destination = _MovedMeanwhile(on_bench)
    on_bench.start(new_drain(on_bench).run())
    await on_bench.settle_down()
    packed = destination.tidied
    destination.marked = "closed"
    await on_bench.advance(TIDY_SECONDS)
    assert (destination.moved, destination.tidied) == (1, packed)
    await on_bench.advance(TIDY_SECONDS)
    assert destinations.load(on_bench.db, NAME).mark == "closed"
    assert destination.tidied == packed + 1


async def test_floors_are_judged_by_the_configured_lanes_only(on_bench: Bench) -> None:
    """A reload has added the lanes to come, while the drain of the former ones still runs."""
    on_bench.append(2, lane_key=0)
    on_bench.declare(lanes=2)
    on_bench.start(new_drain(on_bench, replace(POLICY, lanes=2)).run())
    await on_bench.settle_down()
    on_bench.declare(lanes=4)
    await on_bench.advance(200)
    assert {cursor.lane.lanes for cursor in on_bench.cursors()} >= {4}
    assert sum(cursor.lane.lanes == 4 for cursor in on_bench.cursors()) == 4


async def test_a_lost_cursor_is_no_quiet_end(on_bench: Bench) -> None:
    on_bench.transact(lambda db: cursors.drop(db, NAME))
    with pytest.raises(ExceptionGroup) as raised:
        await new_drain(on_bench).run()
    assert raised.group_contains(StoreError, match="has lost its cursor of lane 0 of 1", depth=2)


async def test_a_destination_that_was_forgotten_ends_its_drain_at_the_next_answer(
    on_bench: Bench, exclusive: ScriptedDestination
) -> None:
    drain = new_drain(on_bench)
    task = on_bench.start(drain.run())
    await on_bench.settle_down()

    def forget(_: Sequence[StoredEvent]) -> list[Outcome]:
        on_bench.transact(lambda db: destinations.retire(db, NAME))
        on_bench.transact(lambda db: destinations.forget(db, NAME, now=on_bench.clock.now()))
        return [ACCEPTED]

    exclusive.answer = forget
    on_bench.append(1)
    drain.hear_of([1])
    await on_bench.settle_down()
    assert task.done()
    assert task.exception() is None


async def test_nothing_is_pruned_while_a_lane_has_no_cursor(on_bench: Bench) -> None:
    on_bench.declare(lanes=2)
    assert cursors.settled_everywhere(on_bench.db) == 0
    on_bench.transact(lambda db: db.execute("DELETE FROM cursors WHERE lanes = 2 AND lane = 1"))
    assert cursors.settled_everywhere(on_bench.db) is None
    assert Lane(2, 0) in {cursor.lane for cursor in on_bench.cursors()}

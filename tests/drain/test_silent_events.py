"""Events that a destination has nothing to say of, on the whole way to the database."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from streamer.core.event import StoredEvent
from streamer.core.outcome import ACCEPTED, NOTHING_TO_SEND, Outcome, held, rejected
from tests.drain.bench import Bench

pytestmark = pytest.mark.anyio


async def drain(on_bench: Bench, seconds: float = 0) -> None:
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(seconds)


async def test_the_ledger_says_that_there_was_nothing_to_send(on_bench: Bench) -> None:
    on_bench.append(3)
    on_bench.destination.answer = lambda batch: [NOTHING_TO_SEND, ACCEPTED, NOTHING_TO_SEND]
    await drain(on_bench)
    assert on_bench.cursor().progress.position == 3
    rows = on_bench.db.execute("SELECT first_position, last_position, receipt FROM ledger")
    assert rows.fetchall() == [(1, 3, "nothing-to-send")]


async def test_they_end_no_hold_and_no_alarm(on_bench: Bench) -> None:
    on_bench.append(1)
    on_bench.destination.answer = lambda batch: [held("http_401")] * len(batch)
    await drain(on_bench)
    assert "STR-301" in on_bench.board.codes
    on_bench.destination.answer = lambda batch: [NOTHING_TO_SEND] * len(batch)
    await on_bench.advance(120)
    assert on_bench.cursor().progress.position == 1
    assert on_bench.cursor().state.state == "held"
    assert "STR-301" in on_bench.board.codes
    on_bench.destination.answer = lambda batch: [ACCEPTED] * len(batch)
    on_bench.append(1)
    await on_bench.advance(1_000)
    assert on_bench.cursor().progress.position == 2
    assert on_bench.board.codes == set()


async def test_they_are_no_proof_for_another_lane_or_a_replay(on_bench: Bench) -> None:
    on_bench.append(1)
    shared = on_bench.shared()
    on_bench.destination.answer = lambda batch: [NOTHING_TO_SEND] * len(batch)
    on_bench.start(on_bench.track(shared).run())
    await on_bench.settle_down()
    assert (shared.moment, shared.proof) == (1, 0)


async def test_a_destination_that_refuses_all_that_is_sent_is_held_and_nothing_is_buried(
    on_bench: Bench,
) -> None:
    def every_other(batch: Sequence[StoredEvent]) -> list[Outcome]:
        refused = rejected("http_400")
        return [refused if event.position % 2 else NOTHING_TO_SEND for event in batch]

    on_bench.append(40)
    on_bench.destination.answer = every_other
    await drain(on_bench, 7_200)
    assert on_bench.buried() == {}
    assert on_bench.cursor().progress.position == 0
    assert len(on_bench.cursor().progress.ahead) <= 4, "no more than was in the first batch"
    assert "STR-301" in on_bench.board.codes

"""Who is woken by new events: their own lanes, and of those only whom they can be of use to."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from streamer.core.outcome import Outcome, deferred, held, rejected
from tests.drain.bench import POLICY, Bench
from tests.drain.whole import new_drain

pytestmark = pytest.mark.anyio

LANES = 4


async def test_an_event_wakes_the_lane_that_it_belongs_to(on_bench: Bench) -> None:
    on_bench.declare(lanes=LANES)
    drain = new_drain(on_bench, replace(POLICY, lanes=LANES))
    on_bench.start(drain.run())
    await on_bench.settle_down()
    on_bench.append(1, lane_key=LANES + 2)
    drain.hear_of({1, LANES + 3})
    await on_bench.settle_down()
    assert not on_bench.destination.sent, "other lanes' events"
    drain.hear_of({LANES + 2})
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1,)]


@pytest.mark.parametrize(
    "answer", [deferred("http_503"), held("http_401")], ids=["backing off", "held"]
)
async def test_who_waits_sleeps_through_appends(on_bench: Bench, answer: Outcome) -> None:
    on_bench.append(3)
    on_bench.destination.answer = lambda batch: [answer for _ in batch]
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.settle_down()
    naps: list[float] = []
    on_bench.clock.on_sleep = naps.append
    on_bench.append(5)
    for _ in range(50):
        drain.hear_of({1})
        await on_bench.settle_down()
    assert not naps
    assert len(on_bench.destination.sent) == 1


async def test_who_waits_for_a_proof_is_woken_by_the_event_that_may_be_one(
    on_bench: Bench,
) -> None:
    on_bench.append(1)
    on_bench.destination.answer = lambda batch: [rejected("http_400") for _ in batch]
    drain = new_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.settle_down()
    before = len(on_bench.destination.sent)
    on_bench.append(1)
    drain.hear_of({2})
    await on_bench.settle_down()
    assert (2,) in on_bench.destination.sent[before:]


async def test_an_event_that_comes_while_a_batch_is_under_way_is_sent_after_it(
    on_bench: Bench,
) -> None:
    on_bench.append(1)
    drain = new_drain(on_bench)

    async def append_another(_: object) -> None:
        if len(on_bench.destination.sent) == 1:
            on_bench.append(1)
            drain.hear_of({2})

    on_bench.destination.before_answer = append_another
    on_bench.start(drain.run())
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1,), (2,)]

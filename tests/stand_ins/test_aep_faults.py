"""What is ordered to go wrong goes wrong, as ordered and no further."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.stand_ins.aep import Adobe, aep_stand_in
from tests.stand_ins.aep_sender import Sender, sending
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio

MANY = 400


@pytest.fixture
async def adobe() -> AsyncIterator[Adobe]:
    async with aep_stand_in(clock=ManualClock(), requests_per_second=10_000) as adobe:
        yield adobe


async def test_an_answer_on_order_is_given_once_and_nothing_is_done(
    adobe: Adobe, sender: Sender
) -> None:
    adobe.faults.answer(503, headers={"Retry-After": "3"}, body=b"busy", on="collection")
    answer = await sender.post(sender.message())
    assert (answer.status, answer.headers["Retry-After"], answer.body) == (503, "3", b"busy")
    assert not adobe.received
    assert (await sender.post(sender.message())).status == 200


async def test_a_fault_waits_for_its_place(adobe: Adobe, sender: Sender) -> None:
    adobe.faults.answer(500, on="ims", times=2)
    assert (await sender.post(sender.message())).status == 200
    assert [(await sender.fetch_token()).status for _ in range(3)] == [500, 500, 200]


async def test_garbage_is_no_json(adobe: Adobe, sender: Sender) -> None:
    adobe.faults.garbage(on="ims")
    with pytest.raises(ValueError, match="decode"):
        await sender.fetch_token()


async def test_a_hanging_request_is_never_answered(adobe: Adobe, sender: Sender) -> None:
    adobe.faults.hang(on="collection")
    waiting = asyncio.create_task(sender.post(sender.message()))
    await adobe.hanging.wait()
    assert not waiting.done()
    waiting.cancel()
    assert not adobe.received


async def test_a_reset_breaks_the_connection_before_anything_is_done(
    adobe: Adobe, sender: Sender
) -> None:
    adobe.faults.reset(on="collection")
    with pytest.raises(aiohttp.ClientError):
        await sender.post(sender.message())
    assert not adobe.received


async def test_a_lost_answer_is_lost_after_all_is_done(adobe: Adobe, sender: Sender) -> None:
    adobe.faults.lose_answer(on="collection")
    with pytest.raises(aiohttp.ClientError):
        await sender.post(sender.message("here"))
    assert [accepted.id for accepted in adobe.received] == ["here"]
    assert adobe.requests[-1].status == 0


async def test_answers_are_lost_by_a_share_as_well(adobe: Adobe, sender: Sender) -> None:
    adobe.faults.lost_answer_share = 1.0
    with pytest.raises(aiohttp.ClientError):
        await sender.post(sender.message("here"))
    assert [accepted.id for accepted in adobe.received] == ["here"]


async def test_messages_are_refused_in_turn(adobe: Adobe, sender: Sender) -> None:
    adobe.faults.refuse_messages(0, 429)
    messages = [sender.message(name) for name in "abc"]
    answer = await sender.post_batch(*messages)
    assert [entry.get("statusCode") for entry in answer.json["responses"]] == [None, 429, None]
    assert [accepted.id for accepted in adobe.received] == ["a", "c"]


async def test_a_refused_message_may_come_in_any_documented_shape(
    adobe: Adobe, sender: Sender
) -> None:
    async def entry() -> dict[str, object]:
        answer: dict[str, object] = (await sender.post_batch({})).json["responses"][0]
        return answer

    assert (await entry())["statusCode"] == 400
    adobe.faults.failure_shape = "status"
    assert {"status", "message"} == (await entry()).keys()
    adobe.faults.failure_shape = "text_status"
    assert (await entry())["status"] == "400"
    adobe.faults.failure_shape = "status_with_id"
    answer = await sender.post_batch(sender.message(), {})
    assert answer.json["responses"][1]["status"] == 400
    assert answer.json["responses"][1]["xactionId"].endswith("-1")
    adobe.faults.failure_shape = "mixed"
    shapes = {frozenset(entry) for entry in (await sender.post_batch(*[{}] * 50)).json["responses"]}
    assert len(shapes) == 3


async def test_an_answer_may_have_an_entry_too_few(adobe: Adobe, sender: Sender) -> None:
    adobe.faults.short_answer_share = 1.0
    answer = await sender.post_batch(*[sender.message()] * 5)
    assert len(answer.json["responses"]) == 4
    assert len(adobe.received) == 5
    assert len((await sender.post_batch(sender.message())).json["responses"]) == 1


async def test_a_share_of_requests_and_messages_goes_wrong(adobe: Adobe, sender: Sender) -> None:
    adobe.faults.refuse_share = 0.25
    adobe.faults.defer_share = 0.25
    answer = await sender.post_batch(*[sender.message()] * MANY)
    statuses = [entry.get("statusCode", 200) for entry in answer.json["responses"]]
    assert 0.15 * MANY < statuses.count(400) < 0.35 * MANY
    assert {200, 400, 429, 503} == set(statuses)
    assert len(adobe.received) == statuses.count(200)


async def test_shares_of_requests_meet_429_500_and_503(adobe: Adobe, sender: Sender) -> None:
    adobe.faults.unavailable_share = adobe.faults.throttled_share = 0.3
    adobe.faults.failing_share = 0.3
    answers = [await sender.post(sender.message()) for _ in range(60)]
    assert {answer.status for answer in answers} == {200, 429, 500, 503}
    assert all("Retry-After" in answer.headers for answer in answers if answer.status == 503)
    throttled = {"Retry-After" in answer.headers for answer in answers if answer.status == 429}
    assert throttled == {True, False}


async def test_chance_is_the_same_in_each_run() -> None:
    async def statuses() -> list[int]:
        async with aep_stand_in(clock=ManualClock(), seed=7) as adobe, sending(adobe) as sender:
            adobe.faults.unavailable_share = 0.5
            return [(await sender.post(sender.message())).status for _ in range(20)]

    assert await statuses() == await statuses()


async def test_tokens_expire_at_every_third_request(adobe: Adobe, sender: Sender) -> None:
    adobe.faults.expire_tokens_every = 3
    statuses = [(await sender.post(sender.message())).status for _ in range(4)]
    assert statuses == [200, 200, 401, 401]
    await sender.fetch_token()
    assert (await sender.post(sender.message())).status == 200


async def test_a_poisonous_message_fails_its_whole_request(adobe: Adobe, sender: Sender) -> None:
    adobe.faults.poison = lambda entity: entity.get("_id") == "bad"
    answer = await sender.post_batch(sender.message("good"), sender.message("bad"))
    assert answer.status == 500
    assert (await sender.post(sender.message("bad"))).status == 500
    assert (await sender.post_batch(sender.message("good"))).status == 207
    assert [accepted.id for accepted in adobe.received] == ["good"]

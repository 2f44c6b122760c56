"""What the destination of kind ``aep`` makes of the answers of a stand-in for Adobe."""

from __future__ import annotations

import asyncio
import json

import pytest

from streamer.core.limits import FAILURES_MAX
from streamer.core.outcome import NOT_ATTEMPTED, Verdict
from streamer.destinations.common_options import Secret
from tests.destinations.aep_cases import (
    aep_destination,
    aep_options,
    ids,
    inlet_requests,
    options_for,
    words,
)
from tests.destinations.examples import (
    Alarms,
    stored_events,
)
from tests.stand_ins.aep import Adobe, SeededInlet
from tests.support.http_destination import reply, reply_json, scripted_server

pytestmark = pytest.mark.anyio

ACC, DEF, REJ, HELD = Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.REJECTED, Verdict.HELD


# Answers


async def test_messages_are_settled_one_by_one(adobe: Adobe, inlet: SeededInlet) -> None:
    adobe.faults.refuse_messages(0, 400, 0, 429, 0)
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        outcomes = await destination.send(stored_events(1, 2, 3, 4, 5))
    assert [outcome.verdict for outcome in outcomes] == [ACC, REJ, ACC, DEF, ACC]
    assert words(outcomes) == ["", "http_400", "", "http_429", ""]
    assert not outcomes[1].whole
    assert "refused with 400 on order" in outcomes[1].detail


async def test_an_address_that_is_not_on_the_allow_list_holds_without_a_new_token(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    adobe.rules.allowed_addresses = frozenset({"192.0.2.1"})
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        (outcome,) = await destination.send(stored_events(1))
    assert (outcome.verdict, outcome.reason) == (HELD, "http_403")
    assert "allow-list" in outcome.detail
    assert adobe.token_requests == 1


async def test_a_lost_answer_defers_and_the_repeat_carries_the_same_id(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        adobe.faults.lose_answer(on="collection")
        (first,) = await destination.send(stored_events(1))
        (again,) = await destination.send(stored_events(1))
    assert (first.verdict, first.reason, again.verdict) == (DEF, "reset", ACC)
    assert len(adobe.lake(inlet.dataset_id)) == 2
    assert len(adobe.profile(inlet.dataset_id)) == 1, "Adobe's profiles drop the repeat"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_adobe_is_given_the_time_it_asks_for(
    adobe: Adobe, inlet: SeededInlet, status: int
) -> None:
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        adobe.faults.answer(status, on="collection", headers={"Retry-After": "40"})
        outcomes = await destination.send(stored_events(1, 2))
    assert [(said.verdict, said.retry_after_seconds) for said in outcomes] == [(DEF, 40)] * 2


async def test_a_bad_request_is_left_to_be_halved(adobe: Adobe, inlet: SeededInlet) -> None:
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        adobe.faults.answer(400, on="collection", times=2)
        pair = await destination.send(stored_events(1, 2))
        (alone,) = await destination.send(stored_events(1))
    assert all(said.whole for said in pair)
    assert (alone.verdict, alone.whole) == (REJ, False)


async def test_answers_that_leave_a_message_out_are_asked_again_until_they_do_not(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    adobe.faults.short_answer_share = 1.0
    alarms = Alarms()
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret, alarms=alarms) as destination:
        outcomes = await destination.send(stored_events(1, 2, 3, 4, 5))
    assert [outcome.verdict for outcome in outcomes] == [ACC] * 5
    profile = adobe.profile(inlet.dataset_id)
    assert [one.entity["_id"] for one in profile] == [f"01E0000{at}" for at in range(1, 6)]
    assert alarms.codes == ["STR-321"]


async def test_a_poisoned_message_is_found_and_the_others_arrive(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    adobe.faults.poison = lambda entity: entity["_id"] == "01E00003"
    events = stored_events(1, 2, 3, 4)
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        for _ in range(FAILURES_MAX):
            assert words(await destination.send(events)) == ["http_500"] * 4
        outcomes = await destination.send(events)
    assert [outcome.verdict for outcome in outcomes] == [ACC, ACC, REJ, DEF]
    assert outcomes[2].reason == "http_500"
    assert outcomes[3] == NOT_ATTEMPTED
    assert ids(adobe) == ["01E00001", "01E00002"]


@pytest.mark.parametrize("kind", ["reset", "hang"])
async def test_no_answer_defers(adobe: Adobe, inlet: SeededInlet, kind: str) -> None:
    (adobe.faults.hang if kind == "hang" else adobe.faults.reset)(on="collection")
    options = options_for(adobe, inlet, timeout_seconds=0.3)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        (outcome,) = await destination.send(stored_events(1))
    assert (outcome.verdict, outcome.reason) == (DEF, "timeout" if kind == "hang" else "reset")


# Tokens


async def test_one_token_serves_all_sends_and_is_renewed_in_the_midst_of_one(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        for position in range(1, 4):
            await destination.send(stored_events(position))
        assert adobe.token_requests == 1
        adobe.expire_tokens()
        (outcome,) = await destination.send(stored_events(4))
    assert outcome.verdict is ACC
    assert adobe.token_requests == 2
    assert [status for status, _ in inlet_requests(adobe)] == [207, 207, 207, 401, 207]
    assert ids(adobe) == ["01E00001", "01E00002", "01E00003", "01E00004"]


async def test_a_403_with_words_is_as_good_as_a_401(adobe: Adobe, inlet: SeededInlet) -> None:
    adobe.rules.bad_token_status = 403
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        await destination.send(stored_events(1))
        adobe.expire_tokens()
        (outcome,) = await destination.send(stored_events(2))
    assert outcome.verdict is ACC


async def test_lanes_whose_token_expires_together_make_one_request_for_another(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    options = options_for(adobe, inlet, lanes=8)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        for _ in range(3):
            sends = [destination.send(stored_events(at)) for at in range(1, 10)]
            outcomes = await asyncio.gather(*sends)
            assert all(one[0].verdict is ACC for one in outcomes)
            adobe.expire_tokens()
    assert adobe.token_requests == 3


async def test_a_second_refusal_in_the_same_send_holds(adobe: Adobe, inlet: SeededInlet) -> None:
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        adobe.faults.answer(401, on="collection", times=2)
        outcomes = await destination.send(stored_events(1, 2))
        assert [(said.verdict, said.reason) for said in outcomes] == [(HELD, "credentials")] * 2
        assert adobe.token_requests == 2
        assert len(inlet_requests(adobe)) == 2


async def test_only_what_was_refused_because_of_the_token_is_sent_again() -> None:
    """And what was accepted stays so, whatever becomes of the rest."""
    async with scripted_server() as server:
        base = server.url.removesuffix("/events")
        options = aep_options(
            inlet_url=f"{base}/collection/ab",
            ims_url=base,
            client_id="client",
            client_secret=Secret(env="SECRET"),
            mode="raw",
        )
        token = reply_json({"access_token": "t", "expires_in": 86_399})
        mixed = reply_json(
            {"responses": [{"xactionId": "a"}, {"statusCode": 401}, {"xactionId": "c"}]}
        )
        alone = reply_json({"responses": [{"xactionId": "b"}]})
        async with aep_destination(options, secret="s") as destination:
            server.script = [token, mixed, token, alone]
            outcomes = await destination.send(stored_events(1, 2, 3))
            resent = json.loads(server.received[-1].body)["messages"]
            server.script = [mixed, reply(400, b'{"error":"invalid_client"}')]
            refused = await destination.send(stored_events(1, 2, 3))
    assert [outcome.receipt for outcome in outcomes] == ["a", "b", "c"]
    assert [message["event_id"] for message in resent] == ["01E00002"]
    assert [outcome.verdict for outcome in refused] == [ACC, HELD, ACC]


async def test_credentials_that_are_refused_hold_without_a_request_to_the_inlet(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    async with aep_destination(options_for(adobe, inlet), secret="canary") as destination:
        first, second = await destination.send(stored_events(1, 2))
    assert first == second
    assert (first.verdict, first.reason) == (HELD, "credentials")
    assert "invalid_client" in first.detail
    assert "client_secret" in first.detail, "and what to do"
    assert "canary" not in first.detail
    assert inlet_requests(adobe) == []


async def test_while_there_is_no_token_to_be_had_events_wait(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        adobe.faults.answer(503, on="ims", headers={"Retry-After": "9"})
        (outcome,) = await destination.send(stored_events(1))
    assert (outcome.verdict, outcome.reason) == (DEF, "token_http_503")
    assert outcome.retry_after_seconds == 9

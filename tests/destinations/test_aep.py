"""What the destination of kind ``aep`` sends to a stand-in for Adobe, and what it says of it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from streamer.core.errors import ConfigurationError
from streamer.core.limits import SINGLE_SECONDS_MAX
from streamer.core.outcome import NOT_ATTEMPTED, Outcome, Verdict
from streamer.destinations.aep import TOKEN_SECONDS_MAX, build
from streamer.destinations.aep_messages import NOTHING_TO_SEND
from streamer.destinations.aep_patience import FAILURES_MAX
from streamer.destinations.base import Finding
from streamer.destinations.common_options import Secret
from tests.destinations.aep_cases import FLOW, aep_destination, aep_options, options_for
from tests.destinations.examples import (
    Alarms,
    StandingClock,
    stored_event,
    stored_events,
)
from tests.stand_ins.aep import Adobe, SeededInlet, aep_stand_in
from tests.support.http_destination import closed_port, reply, reply_json, scripted_server

pytestmark = pytest.mark.anyio

ACC, DEF, REJ, HELD = Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.REJECTED, Verdict.HELD


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
async def adobe(clock: StandingClock) -> AsyncIterator[Adobe]:
    async with aep_stand_in(clock=clock) as adobe:
        yield adobe


@pytest.fixture
def inlet(adobe: Adobe) -> SeededInlet:
    return adobe.new_inlet()


def words(outcomes: list[Outcome]) -> list[str]:
    """Return the reasons, and nothing for what was accepted."""
    return [outcome.reason for outcome in outcomes]


def inlet_requests(adobe: Adobe) -> list[tuple[int, int]]:
    """Return status and size of each request that an inlet got."""
    return [
        (request.status, request.size)
        for request in adobe.requests
        if request.path.startswith("/collection/")
    ]


def ids(adobe: Adobe) -> list[str]:
    return [accepted.entity["_id"] for accepted in adobe.received]


# What is sent


async def test_a_batch_of_entities_is_one_request_and_each_gets_its_receipt(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        outcomes = await destination.send(stored_events(1, 2, 3))
    assert [outcome.verdict for outcome in outcomes] == [ACC] * 3
    assert [outcome.receipt for outcome in outcomes] == [
        accepted.xaction_id for accepted in adobe.received
    ]
    assert ids(adobe) == ["01E00001", "01E00002", "01E00003"]
    assert {(one.dataset_id, one.flow_id) for one in adobe.received} == {
        (inlet.dataset_id, inlet.flow_id)
    }
    assert [request.path for request in adobe.requests] == [
        "/ims/token/v3",
        f"/collection/batch/{inlet.id}",
    ]
    assert adobe.failed(inlet.dataset_id) == []


async def test_raw_bodies_go_to_the_flow_that_a_header_names(adobe: Adobe) -> None:
    inlet = adobe.new_inlet(data_type="raw")
    options = options_for(adobe, inlet, mode="raw", tenant=None, schema_id=None, dataset_id=None)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        outcomes = await destination.send(stored_events(1, 2))
    assert [outcome.verdict for outcome in outcomes] == [ACC] * 2
    bodies = [json.loads(event.body) for event in stored_events(1, 2)]
    assert [accepted.entity for accepted in adobe.received] == bodies
    assert {accepted.flow_id for accepted in adobe.received} == {inlet.flow_id}


async def test_an_inlet_without_authentication_is_sent_no_token_and_no_sandbox() -> None:
    async with (
        scripted_server() as server,
        aep_destination(
            aep_options(inlet_url=server.url.replace("events", "collection/ab?key=1"), mode="raw")
        ) as destination,
    ):
        server.script = [reply_json({"responses": [{"xactionId": "a"}]})]
        (outcome,) = await destination.send(stored_events(1))
        server.script = [reply(401)]
        (refused,) = await destination.send(stored_events(1))
    assert outcome.receipt == "a"
    first, _ = server.received
    assert (first.method, first.path) == ("POST", "/collection/batch/ab?key=1")
    assert first.headers["content-type"] == "application/json"
    assert first.headers["x-adobe-flow-id"] == FLOW
    assert not {"authorization", "x-sandbox-name", "sandbox-name"} & first.headers.keys()
    assert (refused.verdict, refused.reason) == (HELD, "credentials")


async def test_a_batch_beyond_the_limit_becomes_several_requests_none_of_them_beyond_it(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    options = options_for(adobe, inlet, request_bytes_max=20_000)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        outcomes = await destination.send(stored_events(*range(1, 101)))
    assert [outcome.verdict for outcome in outcomes] == [ACC] * 100
    assert ids(adobe) == [event.event_id for event in stored_events(*range(1, 101))]
    sizes = [size for _, size in inlet_requests(adobe)]
    assert len(sizes) > 2
    assert all(15_000 < size <= 20_000 for size in sizes[:-1])


async def test_other_tasks_get_their_turn_while_many_events_are_mapped(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    """Mapping a batch takes long enough to keep Customer.io waiting for its answer."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with aep_destination(options_for(adobe, inlet, produces="consent")) as destination:
        other = asyncio.create_task(take_turns())
        outcomes = await destination.send(stored_events(*range(1, 501)))
        other.cancel()
    assert outcomes == [NOTHING_TO_SEND] * 500, "nothing is sent that would let others run"
    assert turns >= 15


async def test_an_event_without_a_message_is_settled_and_the_others_are_sent(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    events = [stored_event(1), stored_event(2, body=b"{broken"), stored_event(3)]
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        outcomes = await destination.send(events)
        (alone,) = await destination.send([events[1]])
    assert words(outcomes) == ["", "unmappable", ""]
    assert outcomes[1] == alone
    assert alone.unfit
    assert ids(adobe) == ["01E00001", "01E00003"]


async def test_a_destination_that_has_nothing_to_say_of_an_event_makes_no_request(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    options = options_for(adobe, inlet, produces="consent")
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        assert await destination.send(stored_events(1, 2)) == [NOTHING_TO_SEND] * 2
    assert adobe.requests == []


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


# Time and connections


async def test_a_further_request_is_begun_only_while_there_is_time(
    adobe: Adobe, inlet: SeededInlet, clock: StandingClock
) -> None:
    def pass_time(_: object) -> bool:
        clock.now_ms += 50
        return False

    adobe.faults.poison = pass_time
    options = options_for(adobe, inlet, request_bytes_max=20_000)
    events = stored_events(*range(1, 301))
    async with aep_destination(options, secret=adobe.client_secret, clock=clock) as destination:
        outcomes = await destination.send(events)
    taken = len(adobe.received)
    assert SINGLE_SECONDS_MAX / 0.05 <= taken < 300
    assert [outcome.verdict for outcome in outcomes[:taken]] == [ACC] * taken
    assert outcomes[taken:] == [NOT_ATTEMPTED] * (300 - taken)


async def test_the_longest_send_covers_a_last_request_that_needs_a_new_token() -> None:
    async with aep_destination(aep_options(timeout_seconds=7.5)) as destination:
        assert destination.send_seconds_max == SINGLE_SECONDS_MAX + 2 * 7.5 + 4 * TOKEN_SECONDS_MAX


async def test_no_lane_waits_for_a_connection_that_a_replay_has() -> None:
    """Each is answered only once all have arrived; waiting for a connection would time out."""
    arrived, lanes = 0, 3
    complete = asyncio.Event()

    async def together(writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == lanes + 1:
            complete.set()
        await complete.wait()
        await reply_json({"responses": [{"xactionId": "a"}]})(writer)

    async with scripted_server() as server:
        url = server.url.replace("events", "collection/ab")
        options = aep_options(
            inlet_url=url, lanes=lanes, connect_timeout_seconds=0.3, timeout_seconds=5.0
        )
        async with aep_destination(options) as destination:
            server.script = [together]
            sends = [destination.send(stored_events(at)) for at in range(1, lanes + 2)]
            outcomes = await asyncio.gather(*sends)
    assert [one[0].verdict for one in outcomes] == [ACC] * (lanes + 1)


# What operators hear


async def test_what_was_left_out_of_an_event_is_told_once_it_was_taken(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    alarms = Alarms()
    options = options_for(adobe, inlet, entity_bytes_max=1_000)
    event = stored_event(1, data={"identifiers": {"id": "1"}, "content": "canary" * 1_000})
    async with aep_destination(options, secret=adobe.client_secret, alarms=alarms) as destination:
        adobe.faults.answer(503, on="collection")
        await destination.send([event])
        assert alarms.codes == []
        await destination.send([event, stored_event(2)])
    ((code, text),) = alarms.raised
    assert code == "STR-320"
    assert text.startswith("lake: ")
    assert text.endswith("(position 1)")
    assert "canary" not in text


async def test_no_secret_and_no_address_is_in_an_outcome_or_a_log(
    adobe: Adobe, inlet: SeededInlet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="streamer")
    body = b'{"report":{"message":"token canary-token of jo@example.com is bad"}}'
    seen = ""
    async with aep_destination(options_for(adobe, inlet), secret=adobe.client_secret) as lake:
        for status in (302, 400, 401, 403, 404, 413, 429, 500):
            adobe.faults.answer(status, on="collection", body=body, times=2)
            for outcome in await lake.send(stored_events(1, 2)):
                seen += f"{outcome} "
            await lake.send(stored_events(1))
    seen += caplog.text
    assert "jo@" not in seen
    assert "xample" not in seen
    assert adobe.client_secret not in seen
    assert "stand-in-token" not in seen
    assert inlet.id not in seen


# The self-test


def told(findings: list[Finding]) -> list[tuple[bool, str]]:
    return [(finding.ok, finding.what) for finding in findings]


async def test_the_self_test_maps_samples_gets_a_token_and_connects(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        assert told(await destination.probe()) == [
            (True, "every sample can be mapped"),
            (True, "Adobe gives us a token"),
            (True, "the server can be reached"),
        ]
    assert inlet_requests(adobe) == []


async def test_the_self_test_tells_what_is_wrong_and_what_to_do(adobe: Adobe) -> None:
    options = aep_options(
        inlet_url=f"http://127.0.0.1:{closed_port()}/collection/canary",
        require_identity=True,
        ims_url=adobe.ims_url,
        client_id=adobe.client_id,
        client_secret=Secret(env="SECRET"),
    )
    async with aep_destination(options, secret="wrong") as destination:
        findings = await destination.probe()
    assert told(findings) == [
        (False, "samples cannot be mapped"),
        (False, "there is no token to be had"),
        (False, "the server cannot be reached"),
    ]
    assert all(finding.hint and finding.detail for finding in findings)
    assert "canary" not in str(findings)


async def test_without_credentials_the_self_test_says_that_there_is_no_token() -> None:
    options = aep_options(inlet_url=f"http://127.0.0.1:{closed_port()}/collection/ab", mode="raw")
    async with aep_destination(options) as destination:
        mapping, token, _ = await destination.probe()
    assert mapping.ok
    assert (token.ok, token.what) == (True, "requests carry no token")


# Making one


def test_the_secret_is_read_where_the_settings_say_and_only_then() -> None:
    asked: list[Secret] = []

    def read(where: Secret) -> str:
        asked.append(where)
        return "value"

    secret = Secret(env="KEY")
    for options in (aep_options(), aep_options(client_id="client", client_secret=secret)):
        build("lake", options, clock=StandingClock(), secret=read, raise_alarm=Alarms())
    assert asked == [secret]


def test_a_mapping_that_cannot_be_read_is_refused() -> None:
    options = aep_options(mapping="/nowhere/mapping.toml")
    with pytest.raises(ConfigurationError, match="mapping"):
        build("lake", options, clock=StandingClock(), secret=str, raise_alarm=Alarms())
    raw = aep_options(mapping="/nowhere/mapping.toml", mode="raw")
    build("lake", raw, clock=StandingClock(), secret=str, raise_alarm=Alarms())

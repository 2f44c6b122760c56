"""What the destination of kind ``aep`` sends to a stand-in for Adobe, and what it tells of it."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from streamer.core.errors import ConfigurationError
from streamer.core.limits import SINGLE_SECONDS_MAX, TOKEN_SECONDS_MAX
from streamer.core.outcome import NOT_ATTEMPTED, NOTHING_TO_SEND, Verdict
from streamer.destinations.aep import build
from streamer.destinations.common_options import Secret
from tests.destinations.aep_cases import (
    FLOW,
    aep_destination,
    aep_options,
    ids,
    inlet_requests,
    options_for,
    words,
)
from tests.destinations.examples import (
    Alarms,
    StandingClock,
    stored_event,
    stored_events,
)
from tests.stand_ins.aep import Adobe, SeededInlet
from tests.support.http_destination import reply, reply_json, scripted_server

pytestmark = pytest.mark.anyio

ACC, DEF, REJ, HELD = Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.REJECTED, Verdict.HELD


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

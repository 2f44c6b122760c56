"""The stand-in's sender keeps the documented rules of calls, order, waits and subscriptions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import pytest

from streamer.core import samples, signature
from tests.stand_ins.customerio import TEST_EVENT_ID, CustomerIo, customerio_stand_in
from tests.stand_ins.customerio.sender import Sender
from tests.support import http_destination as receiver
from tests.support.http_destination import ScriptedServer, reply, scripted_server
from tests.support.manual_clock import ManualClock
from tests.support.sender_rules import GIVE_UP_SECONDS, HOUR_STATUSES

pytestmark = pytest.mark.anyio

HOUR = 3600.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.fixture
async def customerio(clock: ManualClock) -> AsyncIterator[CustomerIo]:
    async with customerio_stand_in(clock=clock) as customerio:
        yield customerio


async def subscribed(customerio: CustomerIo, server: ScriptedServer, **fields: object) -> Sender:
    """Create a webhook at the server; return its sender."""
    events = ["email_sent", "email_opened", "email_clicked", "customer_unsubscribed"]
    named: dict[str, Any] = {"name": "n", "endpoint": server.url, "events": events}
    webhook = await customerio.create(**{**named, **fields})
    return customerio.senders[webhook.id]


def event(
    number: int, name: str = "email.sent", *, variant: str | None = None, with_content: bool = False
) -> dict[str, Any]:
    return samples.sample_event(
        name,
        number=number,
        at_seconds=1_750_000_000,
        variant=variant,
        with_content=with_content,
    )


def ids(server: ScriptedServer) -> list[str]:
    return [json.loads(request.body)["event_id"] for request in server.received]


async def test_a_call_is_signed_over_the_timestamp_and_the_body(
    customerio: CustomerIo, server: ScriptedServer, clock: ManualClock
) -> None:
    sender = await subscribed(customerio, server)
    await customerio.happen(event(1))
    await customerio.idle()
    (request,) = server.received
    headers = request.headers
    assert headers["x-cio-timestamp"] == str(clock.now() // 1000)
    key = sender.webhook.signing_key.encode()
    assert headers["x-cio-signature"] == signature.sign(
        key, headers["x-cio-timestamp"], request.body
    )
    assert headers["content-type"] == "application/json"
    assert (request.method, request.path) == ("POST", "/events")


@pytest.mark.parametrize("status", [200, 202, 204, 299])
async def test_any_2xx_acknowledges(
    customerio: CustomerIo, server: ScriptedServer, clock: ManualClock, status: int
) -> None:
    server.script = [reply(status)]
    sender = await subscribed(customerio, server)
    await customerio.happen(event(1), event(2))
    await customerio.idle()
    assert [call.tries for call in sender.delivered] == [1, 1]
    assert clock.slept == []


@pytest.mark.parametrize("status", sorted(HOUR_STATUSES))
async def test_these_statuses_cost_an_hour(
    customerio: CustomerIo, server: ScriptedServer, clock: ManualClock, status: int
) -> None:
    server.script = [reply(status), reply(200)]
    await subscribed(customerio, server)
    await customerio.happen(event(1))
    await customerio.idle()
    assert [failure.reason for failure in customerio.hours_earned] == [f"status {status}"]
    assert clock.slept == [HOUR]


@pytest.mark.parametrize("status", [302, 408, 409, 413, 422, 425, 503, 504])
async def test_all_others_a_backoff_that_doubles(
    customerio: CustomerIo, server: ScriptedServer, clock: ManualClock, status: int
) -> None:
    server.script = [reply(status)] * 3 + [reply(200)]
    sender = await subscribed(customerio, server)
    await customerio.happen(event(1))
    await customerio.idle()
    assert customerio.hours_earned == []
    assert clock.slept == [1.0, 2.0, 4.0]
    assert sender.delivered[0].tries == 4


@pytest.mark.parametrize("behaviour", [receiver.then_close(b""), receiver.then_reset(b"")])
async def test_a_broken_connection_costs_an_hour(
    customerio: CustomerIo,
    server: ScriptedServer,
    clock: ManualClock,
    behaviour: receiver.Behaviour,
) -> None:
    server.script = [behaviour, reply(200)]
    await subscribed(customerio, server)
    await customerio.happen(event(1))
    await customerio.idle()
    assert len(customerio.hours_earned) == 1
    assert clock.slept == [HOUR]


async def test_a_refused_connection_costs_an_hour(
    customerio: CustomerIo, server: ScriptedServer, clock: ManualClock
) -> None:
    sender = await subscribed(
        customerio, server, endpoint=f"http://127.0.0.1:{receiver.closed_port()}/"
    )
    assert await customerio.send_test(sender.webhook) == "ClientConnectorError"
    await customerio.happen(event(1))
    await customerio.idle()
    assert sender.given_up == [event(1)["event_id"]]
    assert set(clock.slept) == {HOUR}


async def test_a_timeout_costs_an_ordinary_backoff(
    customerio: CustomerIo, server: ScriptedServer, clock: ManualClock
) -> None:
    server.script = [receiver.hang, reply(200)]
    sender = await subscribed(customerio, server)
    assert sender.timeout_seconds == 4.0
    sender.timeout_seconds = 0.05
    await customerio.happen(event(1))
    await customerio.idle()
    assert [failure.reason for failure in sender.failures] == ["timeout"]
    assert customerio.hours_earned == []
    assert clock.slept == [1.0]


async def test_later_calls_wait_for_the_one_that_fails(
    customerio: CustomerIo, server: ScriptedServer
) -> None:
    server.script = [reply(200), reply(500), reply(503), reply(200)]
    await subscribed(customerio, server)
    events = [event(number) for number in range(4)]
    await customerio.happen(*events)
    await customerio.idle()
    first, second, third, fourth = (made["event_id"] for made in events)
    assert ids(server) == [first, second, second, second, third, fourth]
    assert customerio.delivered == [first, second, third, fourth]


async def test_after_seven_days_a_call_is_given_up_and_the_next_one_made(
    customerio: CustomerIo, server: ScriptedServer, clock: ManualClock
) -> None:
    hours = int(GIVE_UP_SECONDS / HOUR)
    server.script = [reply(400)] * hours + [reply(200)]
    sender = await subscribed(customerio, server)
    await customerio.happen(event(1), event(2))
    await customerio.idle()
    assert hours == 168
    assert sender.given_up == [event(1)["event_id"]]
    assert customerio.delivered == [event(2)["event_id"]]
    assert sum(clock.slept) == GIVE_UP_SECONDS


@pytest.mark.parametrize("afresh", [True, False])
async def test_a_repeat_is_signed_afresh_or_not(
    customerio: CustomerIo, server: ScriptedServer, clock: ManualClock, afresh: bool
) -> None:
    server.script = [reply(400), reply(200)]
    sender = await subscribed(customerio, server)
    sender.signs_afresh = afresh
    await customerio.happen(event(1))
    await customerio.idle()
    first, second = (int(request.headers["x-cio-timestamp"]) for request in server.received)
    assert second - first == (3600 if afresh else 0)


async def test_only_what_a_webhook_subscribed_to_is_sent(
    customerio: CustomerIo, server: ScriptedServer
) -> None:
    await subscribed(customerio, server)
    message = event(1, "email.unsubscribed", variant="campaign")
    person = event(2, "email.unsubscribed", variant="person")
    calls = await customerio.happen(message, person, event(3, "sms.sent"))
    await customerio.idle()
    assert calls == 1
    assert ids(server) == [person["event_id"]]


async def test_what_happens_while_a_webhook_is_disabled_is_lost(
    customerio: CustomerIo, server: ScriptedServer
) -> None:
    sender = await subscribed(customerio, server, disabled=True)
    assert await customerio.happen(event(1)) == 0
    assert sender.lost == [event(1)["event_id"]]
    await set_disabled(customerio, sender, disabled=False)
    await customerio.happen(event(2))
    await customerio.idle()
    assert ids(server) == [event(2)["event_id"]]


@pytest.mark.parametrize(("status", "waiting"), [(200, 1), (503, 2)])
async def test_calls_that_wait_are_made_once_their_webhook_is_enabled_again(
    customerio: CustomerIo, server: ScriptedServer, status: int, waiting: int
) -> None:
    sender = await subscribed(customerio, server)

    def disable() -> None:
        sender.webhook.disabled = True

    server.script = [receiver.calling(disable, reply(status)), reply(200)]
    await customerio.happen(event(1), event(2))
    with anyio.fail_after(10):
        while not (sender.delivered or sender.failures):
            await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
    await customerio.send_test(sender.webhook)  # a call that was made would be there before it
    assert sender.waiting == waiting
    assert ids(server) == [event(1)["event_id"], TEST_EVENT_ID]
    await set_disabled(customerio, sender, disabled=False)
    await customerio.idle()
    assert len(server.received) == 2 + waiting


async def set_disabled(customerio: CustomerIo, sender: Sender, *, disabled: bool) -> None:
    """Disable or enable a webhook over the App API."""
    webhook = sender.webhook
    body = {name: getattr(webhook, name) for name in ("name", "endpoint", "events")}
    async with aiohttp.request(
        "PUT",
        f"{customerio.url}/v1/reporting_webhooks/{webhook.id}",
        json={**body, "disabled": disabled},
        headers={"Authorization": f"Bearer {customerio.app_api_key}"},
    ) as answer:
        assert answer.status == 200


async def test_the_test_event_has_one_id_and_is_sent_by_a_disabled_webhook_too(
    customerio: CustomerIo, server: ScriptedServer, clock: ManualClock
) -> None:
    sender = await subscribed(customerio, server, disabled=True)
    server.script = [reply(200), reply(200), reply(401)]
    assert await customerio.send_test(sender.webhook) is None
    clock.move(60)
    assert await customerio.send_test(sender.webhook) is None
    assert await customerio.send_test(sender.webhook) == "status 401"
    assert ids(server) == [TEST_EVENT_ID] * 3
    first, second, _ = (json.loads(request.body)["timestamp"] for request in server.received)
    assert second - first == 60
    assert str(second) == server.received[1].headers["x-cio-timestamp"]


@pytest.mark.parametrize("full_resolution", [False, True])
async def test_only_the_first_open_and_click_of_a_message_unless_every_one_is_wanted(
    customerio: CustomerIo, server: ScriptedServer, full_resolution: bool
) -> None:
    await subscribed(customerio, server, full_resolution=full_resolution)
    names = ["email.opened", "email.opened", "email.clicked", "email.clicked"]
    events = [{**event(1, name), "event_id": str(index)} for index, name in enumerate(names)]
    events.append(event(2, "email.opened"))
    await customerio.happen(*events)
    await customerio.idle()
    expected = ["0", "1", "2", "3"] if full_resolution else ["0", "2"]
    assert ids(server) == [*expected, event(2)["event_id"]]


@pytest.mark.parametrize("with_content", [False, True])
async def test_the_message_itself_is_sent_only_if_wanted(
    customerio: CustomerIo, server: ScriptedServer, with_content: bool
) -> None:
    await subscribed(customerio, server, with_content=with_content)
    await customerio.happen(event(1, with_content=True))
    await customerio.idle()
    data = json.loads(server.received[0].body)["data"]
    assert ({"content", "headers"} <= data.keys()) is with_content
    assert "subject" in data


async def test_a_deleted_webhook_sends_nothing_more(
    customerio: CustomerIo, server: ScriptedServer
) -> None:
    sender = await subscribed(customerio, server)
    url = f"{customerio.url}/v1/reporting_webhooks/{sender.webhook.id}"
    headers = {"Authorization": f"Bearer {customerio.app_api_key}"}
    async with aiohttp.request("DELETE", url, headers=headers) as answer:
        assert answer.status == 200
    assert await customerio.happen(event(1)) == 0
    assert server.received == []


async def test_by_hand_the_product_shows_keys_and_presses_the_button(
    customerio: CustomerIo, server: ScriptedServer
) -> None:
    sender = await subscribed(customerio, server)
    async with aiohttp.ClientSession(customerio.url) as session:
        async with session.post("/_product/send-test", params={"webhook": "1"}) as answer:
            assert await answer.json() == {"acknowledged": True, "reason": None}
        async with session.post("/_product/send-test", params={"webhook": "x"}) as answer:
            assert answer.status == 404
        async with session.post("/_product/traffic", params={"count": "97"}) as answer:
            counted = await answer.json()
        await customerio.idle()
        async with session.get("/_product") as answer:
            (shown,) = await answer.json()
    assert counted["events"] == 97
    assert counted["calls"] == shown["delivered"] == len(server.received) - 1 > 0
    assert shown["signing_key"] == sender.webhook.signing_key

"""The App API client against a real one on loopback, well and badly behaved."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.errors import StreamerError
from streamer.provision.app_api import AppApiError, MaybeDone, Refusal, Webhook
from tests.provision.apis import app_api
from tests.stand_ins.customerio import customerio_stand_in
from tests.stand_ins.customerio.faults import lose_answer, reset, status
from tests.support.http_destination import reply, scripted_server
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio

DOCUMENT = {
    "name": "streamer",
    "endpoint": "https://hooks.example.com/webhooks/customerio",
    "events": ["email_sent"],
    "disabled": True,
    "full_resolution": False,
    "with_content": True,
}
WEBHOOK = Webhook(
    id=1,
    name="streamer",
    url="https://hooks.example.com/webhooks/customerio",
    disabled=True,
    with_content=True,
    events=("email_sent",),
)


async def test_a_webhook_is_made_read_changed_and_deleted() -> None:
    async with (
        customerio_stand_in(clock=ManualClock()) as customerio,
        app_api(customerio.url, customerio.app_api_key) as api,
    ):
        assert await api.create(DOCUMENT) == WEBHOOK
        assert await api.webhook(1) == WEBHOOK
        changed = await api.replace(1, {**DOCUMENT, "disabled": False})
        assert not changed.disabled
        assert await api.webhooks() == [changed]
        await api.delete(1)
        assert await api.webhooks() == []
        await api.delete(1)
        with pytest.raises(AppApiError, match="there is no such webhook: not found") as caught:
            await api.webhook(1)
        assert caught.value.refusal is Refusal.MISSING
        assert await api.addresses() == customerio.api.ip_addresses


async def test_an_empty_list_may_be_null() -> None:
    async with (
        customerio_stand_in(clock=ManualClock()) as customerio,
        app_api(customerio.url, customerio.app_api_key) as api,
    ):
        customerio.api.null_when_empty = True
        assert await api.webhooks() == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":7,"name":"n","endpoint":"https://h","events":["email_sent"],"disabled":true}',
        b'{"reporting_webhook":{"id":"7","name":"n","endpoint":"https://h","type":null,'
        b'"events":["email_sent"],"disabled":true,"new_field":{}}}',
    ],
)
async def test_a_webhook_comes_by_itself_or_inside_its_name(body: bytes) -> None:
    async with scripted_server() as server, app_api(server.url, "key") as api:
        server.script = [reply(200, body)]
        found = await api.webhook(7)
    assert found == Webhook(id=7, name="n", url="https://h", events=("email_sent",), disabled=True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "is not JSON"),
        (b"[" * 5000, "is not JSON"),
        (b'{"id":"x"}', "not understood"),
        (b"7", "not understood"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_an_error_of_ours(body: bytes, message: str) -> None:
    async with scripted_server() as server, app_api(server.url, "key") as api:
        server.script = [reply(200, body)]
        with pytest.raises(AppApiError, match=message):
            await api.webhook(7)


async def test_calls_keep_to_ten_a_second_by_themselves() -> None:
    clock = ManualClock()
    async with (
        customerio_stand_in(clock=clock) as customerio,
        app_api(customerio.url, customerio.app_api_key, clock=clock) as api,
    ):
        began = clock.monotonic()
        for _ in range(35):
            await api.webhooks()
        assert customerio.faults.calls == 35, "none was answered 429 and made again"
        assert clock.monotonic() - began == pytest.approx(3.4)


async def test_a_wait_that_is_asked_for_is_waited_and_told() -> None:
    clock = ManualClock()
    waits: list[tuple[float, str]] = []
    async with (
        customerio_stand_in(clock=clock) as customerio,
        app_api(customerio.url, customerio.app_api_key, clock=clock, waits=waits) as api,
    ):
        customerio.faults.next(status(429, Retry_After="7"))
        assert await api.create(DOCUMENT) == WEBHOOK
    assert waits == [(7.0, "Customer.io answers 429")]
    assert 7.0 in clock.slept


async def test_a_wait_that_is_too_long_for_a_person_is_an_error_that_says_so() -> None:
    async with (
        customerio_stand_in(clock=ManualClock()) as customerio,
        app_api(customerio.url, customerio.app_api_key) as api,
    ):
        customerio.faults.next(status(429, Retry_After="600"))
        with pytest.raises(AppApiError, match="asks to come back in 600 s"):
            await api.webhooks()


async def test_what_fails_there_or_on_the_way_is_tried_again() -> None:
    waits: list[tuple[float, str]] = []
    async with (
        customerio_stand_in(clock=ManualClock()) as customerio,
        app_api(customerio.url, customerio.app_api_key, waits=waits) as api,
    ):
        customerio.faults.next(status(502), status(503), status(500))
        assert await api.webhooks() == []
    assert [seconds for seconds, _ in waits] == [0.5, 1.0, 2.0]


async def test_it_is_not_tried_for_ever() -> None:
    async with (
        customerio_stand_in(clock=ManualClock()) as customerio,
        app_api(customerio.url, customerio.app_api_key) as api,
    ):
        customerio.faults.always(status(503))
        with pytest.raises(AppApiError, match="answers 503, 4 times in a row"):
            await api.webhooks()
        assert customerio.faults.calls == 4


@pytest.mark.parametrize("fault", [lose_answer, reset, status(500)])
async def test_a_webhook_that_may_have_been_made_is_not_made_again(fault: object) -> None:
    async with (
        customerio_stand_in(clock=ManualClock()) as customerio,
        app_api(customerio.url, customerio.app_api_key) as api,
    ):
        customerio.faults.next(fault)  # type: ignore[arg-type]  # one of the three is a closure
        with pytest.raises(MaybeDone):
            await api.create(DOCUMENT)
        assert customerio.faults.calls == 1


async def test_nobody_there_is_said_with_the_address() -> None:
    async with app_api("http://127.0.0.1:1", "key") as api:
        with pytest.raises(AppApiError, match="does not take connections") as caught:
            await api.create(DOCUMENT)
    assert "http://127.0.0.1:1" in caught.value.hint
    assert not isinstance(caught.value, MaybeDone)


async def test_what_does_not_pass_by_itself_is_not_tried_again() -> None:
    waits: list[tuple[float, str]] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 this is not TLS\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, app_api(f"https://127.0.0.1:{port}", "key", waits=waits) as api:
        with pytest.raises(AppApiError, match="TLS could not be agreed upon"):
            await api.webhooks()
    assert waits == []


async def test_a_key_of_the_other_region_is_found_out() -> None:
    async with (
        customerio_stand_in(clock=ManualClock(), region="us") as here,
        customerio_stand_in(clock=ManualClock(), region="eu") as there,
        app_api(here.url, here.other_region_key, regions={"us": here.url, "eu": there.url}) as api,
    ):
        with pytest.raises(AppApiError, match="is of the region eu, not us") as caught:
            await api.webhooks()
        assert caught.value.hint == f'Say --region eu, or set app_api_url = "{there.url}".'
        assert caught.value.refusal is Refusal.KEY


async def test_a_key_that_is_good_nowhere_is_said_to_be() -> None:
    async with (
        customerio_stand_in(clock=ManualClock(), region="us") as here,
        customerio_stand_in(clock=ManualClock(), region="eu") as there,
        app_api(here.url, "wrong", regions={"us": here.url, "eu": there.url}) as api,
    ):
        with pytest.raises(AppApiError, match="in every region"):
            await api.webhooks()
        there.faults.always(reset)
        with pytest.raises(AppApiError, match="in every region"):
            await api.webhooks()


async def test_a_key_that_an_address_of_ones_own_refuses() -> None:
    async with (
        customerio_stand_in(clock=ManualClock()) as customerio,
        app_api(customerio.url, "wrong") as api,
    ):
        with pytest.raises(AppApiError, match="refuses the App API key") as caught:
            await api.webhooks()
    assert caught.value.refusal is Refusal.KEY


@pytest.mark.parametrize("number", [400, 401, 403, 404, 301, 429, 500])
async def test_no_error_carries_the_key(number: int) -> None:
    key = "sk-very-secret"
    body = f'{{"errors":[{{"detail":"what about {key}","status":"{number}"}}]}}'.encode()
    async with scripted_server() as server, app_api(server.url, key) as api:
        server.script = [reply(number, body)]
        with pytest.raises(StreamerError) as caught:
            await api.webhooks()
    error = caught.value
    assert isinstance(error, AppApiError)
    assert key not in f"{error} {error.hint} {error.said} {error!r}"
    if number == 403:
        assert "what about (key)" in str(error)

"""The stand-in for Customer.io takes what the App API documents and refuses everything else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from streamer.core import catalogue
from tests.stand_ins.customerio import EVENTS, CustomerIo, customerio_stand_in
from tests.stand_ins.customerio import faults as go_wrong
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio

GOOD: dict[str, Any] = {
    "name": "streamer",
    "endpoint": "https://hooks.example.com/webhooks/customerio",
    "events": ["email_sent", "customer_subscribed"],
}


class Client:
    """Calls the stand-in as a client that knows the key."""

    def __init__(self, customerio: CustomerIo, session: aiohttp.ClientSession) -> None:
        self.customerio = customerio
        self.key = customerio.app_api_key
        self.answered: aiohttp.ClientResponse
        self._session = session

    async def call(self, method: str, path: str = "", body: object = None) -> Any:  # noqa: ANN401 - JSON
        url = f"{self.customerio.url}/v1/{path or 'reporting_webhooks'}"
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        async with self._session.request(method, url, headers=headers, json=body) as answer:
            self.answered = answer
            return await answer.json() if await answer.read() else None

    async def refusal(self, method: str, path: str = "", body: object = None) -> tuple[int, str]:
        """Make a call that is refused; return the status and all details as one text."""
        document = await self.call(method, path, body)
        assert all(set(error) >= {"detail", "status"} for error in document["errors"])
        assert {error["status"] for error in document["errors"]} == {str(self.answered.status)}
        return self.answered.status, "; ".join(error["detail"] for error in document["errors"])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(clock: ManualClock) -> AsyncIterator[Client]:
    async with customerio_stand_in(clock=clock) as customerio, aiohttp.ClientSession() as session:
        yield Client(customerio, session)


async def test_a_webhook_is_created_listed_changed_and_deleted(client: Client) -> None:
    created = await client.call("POST", body={**GOOD, "disabled": True})
    defaults = {"full_resolution": False, "with_content": False, "type": "webhook", "id": 1}
    assert created == {**GOOD, **defaults, "disabled": True}
    assert await client.call("GET") == {"reporting_webhooks": [created]}

    changed = await client.call(
        "PUT", "reporting_webhooks/1", {**GOOD, "name": "other", "with_content": True}
    )
    assert changed == {**created, "name": "other", "with_content": True, "disabled": False}
    assert await client.call("GET", "reporting_webhooks/1") == changed

    assert await client.call("DELETE", "reporting_webhooks/1") is None
    assert client.answered.status == 200
    assert await client.call("GET") == {"reporting_webhooks": []}


@pytest.mark.parametrize("missing", ["name", "endpoint", "events"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_each_required_field_is_asked_for(client: Client, method: str, missing: str) -> None:
    await client.call("POST", body=GOOD)
    path = "reporting_webhooks" + ("/1" if method == "PUT" else "")
    body = {name: value for name, value in GOOD.items() if name != missing}
    status, detail = await client.refusal(method, path, body)
    assert status == 400
    assert f"{missing} is required" in detail
    assert len(client.customerio.webhooks) == 1


async def test_a_part_of_the_fields_is_enough_where_the_test_says_so(client: Client) -> None:
    created = await client.call("POST", body={**GOOD, "disabled": True})
    client.customerio.workspace.takes_parts = True
    changed = await client.call("PUT", "reporting_webhooks/1", {"disabled": False})
    assert changed == {**created, "disabled": False}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("events", [], "at least one"),
        ("events", "email_sent", "must be a list"),
        ("events", {"email": {"sent": True}}, "must be a list"),
        ("events", ["email_sent", "slack_undeliverable"], "'slack_undeliverable'"),
        ("endpoint", "hooks.example.com", "must be a URL"),
        ("endpoint", "", "not empty"),
        ("endpoint", "ftp://hooks.example.com", "must be a URL"),
        ("name", 7, "must be a text"),
        ("disabled", "true", "must be a boolean"),
        ("full_resolution", 1, "must be a boolean"),
        ("type", "webhook", "read-only"),
        ("id", 1, "read-only"),
    ],
)
async def test_a_field_that_breaks_the_schema_is_refused(
    client: Client, field: str, value: object, said: str
) -> None:
    status, detail = await client.refusal("POST", body={**GOOD, field: value})
    assert status == 400
    assert said in detail
    assert client.customerio.webhooks == []


async def test_every_unknown_event_is_named_with_its_place(client: Client) -> None:
    document = await client.call("POST", body={**GOOD, "events": ["pigeon_sent", "email_sent", 7]})
    places = [(error["source"]["pointer"], error["detail"][:20]) for error in document["errors"]]
    assert places == [("/events/0", "unknown event 'pigeo"), ("/events/2", "unknown event 7 (ref")]


@pytest.mark.parametrize("body", [[], "text", 7])
async def test_a_body_that_is_no_object_is_refused(client: Client, body: object) -> None:
    assert (await client.refusal("POST", body=body))[0] == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("webhook", ["7", "x"])
async def test_an_unknown_webhook_is_not_found(client: Client, method: str, webhook: str) -> None:
    assert (await client.refusal(method, f"reporting_webhooks/{webhook}", GOOD))[0] == 404


@pytest.mark.parametrize("wrong", ["", "guessed", "other region"])
async def test_another_key_is_refused(client: Client, wrong: str) -> None:
    client.key = client.customerio.other_region_key if wrong == "other region" else wrong
    assert (await client.refusal("GET"))[0] == 401
    assert (await client.refusal("POST", body=GOOD))[0] == 401
    assert client.customerio.webhooks == []


async def test_the_key_of_one_region_is_good_in_it() -> None:
    async with customerio_stand_in(region="eu") as eu, aiohttp.ClientSession() as session:
        client = Client(eu, session)
        assert await client.call("GET", "info/ip_addresses") == {
            "ip_addresses": eu.api.ip_addresses
        }
        assert eu.app_api_key != eu.other_region_key
        client.key = eu.other_region_key
        assert (await client.refusal("GET"))[0] == 401


async def test_ten_calls_a_second_are_answered_and_the_eleventh_says_when_to_come_back(
    client: Client, clock: ManualClock
) -> None:
    for _ in range(10):
        await client.call("GET")
        assert client.answered.status == 200
    status, detail = await client.refusal("GET")
    assert status == 429
    assert detail.startswith("rate limited to 10 requests per 1s (reference ")
    clock.move(int(client.answered.headers["Retry-After"]))
    await client.call("GET")
    assert client.answered.status == 200


async def test_no_answer_shows_the_signing_key(client: Client) -> None:
    answers = [await client.call("POST", body=GOOD), await client.call("GET")]
    answers += [await client.call("PUT", "reporting_webhooks/1", GOOD)]
    key = client.customerio.webhooks[0].signing_key
    assert len(key) == 64
    assert all(key not in str(answer) for answer in answers)


async def test_the_list_of_no_webhooks_may_be_null(client: Client) -> None:
    client.customerio.api.null_when_empty = True
    assert await client.call("GET") == {"reporting_webhooks": None}


async def test_a_javascript_webhook_is_listed_as_one(client: Client) -> None:
    await client.customerio.create(**GOOD, kind="js")
    assert (await client.call("GET"))["reporting_webhooks"][0]["type"] == "js"


async def test_the_second_call_fails_as_told_and_the_third_is_answered(client: Client) -> None:
    client.customerio.faults.at(2, go_wrong.status(503, "<html>", Retry_After="7"))
    await client.call("POST", body=GOOD)
    async with aiohttp.request("GET", f"{client.customerio.url}/v1/reporting_webhooks") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
        assert await answer.text() == "<html>"
    assert len((await client.call("GET"))["reporting_webhooks"]) == 1


async def test_a_reset_does_nothing_and_a_lost_answer_does_what_was_asked(client: Client) -> None:
    client.customerio.faults.next(go_wrong.reset, go_wrong.lose_answer)
    for webhooks in (0, 1):
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.call("POST", body=GOOD)
        assert len(client.customerio.webhooks) == webhooks


async def test_a_call_that_hangs_is_never_answered(client: Client) -> None:
    client.customerio.faults.always(go_wrong.hang)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.call("GET")
    assert client.customerio.faults.calls == 1


def test_the_enum_holds_each_known_message_but_one() -> None:
    known = {
        f"{kind}_{metric}" for kind in catalogue.MESSAGES for metric in catalogue.MESSAGES[kind]
    }
    of_people = {name for name in EVENTS if name.startswith("customer_")}
    assert len(EVENTS) == len(set(EVENTS)) == 72
    assert known - set(EVENTS) == {"slack_undeliverable"}
    assert set(EVENTS) - known == of_people

"""From the webhook that is there to the one that is wanted, and nothing beyond that."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.errors import UsageError
from streamer.provision.app_api import AppApiError, MaybeDone, Webhook
from streamer.provision.webhooks import (
    EVENTS,
    Wanted,
    change,
    choose,
    create,
    differences,
    is_same_url,
    select_events,
    unknown_events,
    with_url,
)
from tests.provision.apis import app_api
from tests.stand_ins import customerio as stand_in
from tests.stand_ins.customerio import CustomerIo, customerio_stand_in, workspace
from tests.stand_ins.customerio.faults import Fault, lose_answer, reset, status
from tests.support.manual_clock import ManualClock

URL = "https://hooks.example.com/webhooks/customerio"
WEBHOOK = Webhook(id=3, name="ours", url=URL, disabled=True, events=("email_sent", "sms_sent"))


def test_the_events_are_those_of_the_app_api() -> None:
    assert len(EVENTS) == len(set(EVENTS)) == 72
    assert set(EVENTS) == set(stand_in.EVENTS)
    assert "slack_undeliverable" not in EVENTS


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (["all"], EVENTS),
        (["email_*"], tuple(event for event in EVENTS if event.startswith("email_"))),
        (["sms_replied", "customer.subscribed"], ("customer_subscribed", "sms_replied")),
        (["*_converted", "slack_converted"], select_events(["*_converted"])),
    ],
)
def test_events_are_chosen_by_name_and_pattern(
    patterns: list[str], chosen: tuple[str, ...]
) -> None:
    assert select_events(patterns) == chosen


def test_a_pattern_that_means_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="'slack_undeliverable'"):
        select_events(["email_*", "slack_undeliverable"])


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        (Wanted(), []),
        (Wanted(url=URL + "/", name="ours", events=("sms_sent", "email_sent")), []),
        (Wanted(name="other"), ["name"]),
        (Wanted(events=("email_sent",)), ["events"]),
        (Wanted(full_resolution=True, with_content=False), ["full_resolution"]),
        (Wanted(url="https://elsewhere.example.com/", disabled=False), ["endpoint", "disabled"]),
    ],
)
def test_only_what_is_asked_for_and_not_so_is_a_difference(
    wanted: Wanted, fields: list[str]
) -> None:
    assert [one.field for one in differences(WEBHOOK, wanted)] == fields


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (URL, "HTTPS://Hooks.Example.com:443/webhooks/customerio/", True),
        (URL, "http://hooks.example.com/webhooks/customerio", False),
        (URL, URL + "2", False),
        (URL, URL + "?x=1", False),
        ("https://[::1/", "https://[::1/", True),
        ("https://[::1/", URL, False),
        ("https://h:99999/", URL, False),
    ],
)
def test_urls_that_lead_to_one_place(one: str, other: str, same: bool) -> None:
    assert is_same_url(one, other) is same


def test_a_webhook_of_javascript_calls_no_url() -> None:
    script = msgspec.structs.replace(WEBHOOK, type="js")
    assert with_url([script, WEBHOOK], URL) == [WEBHOOK]


def test_a_webhook_is_chosen_by_id_name_or_url() -> None:
    other = Webhook(id=4, name="3", url="https://other.example.com/")
    assert choose([WEBHOOK, other], "3") is WEBHOOK, "an id comes before a name"
    assert choose([WEBHOOK, other], "ours") is WEBHOOK
    assert choose([WEBHOOK, other], "https://other.example.com") is other
    twin = msgspec.structs.replace(WEBHOOK, id=5)
    with pytest.raises(UsageError, match="2 webhooks are called so") as caught:
        choose([WEBHOOK, twin], "ours")
    assert caught.value.hint == "Say which by its id: 3, 5."
    with pytest.raises(UsageError, match="no webhook 'theirs'") as caught:
        choose([WEBHOOK], "theirs")
    assert caught.value.hint == "Say which, by id, name or URL: 3 (ours)."


@pytest.mark.parametrize(
    ("said", "asked", "unknown"),
    [
        ('"unknown event email_sent"', ("email_sent", "sms_sent"), ("email_sent",)),
        ("unknown event 'transactional_email_sent'", ("email_sent", "sms_sent"), ()),
        ("events are wrong", ("email_sent", "sms_sent"), ()),
        ("email_sent, sms_sent", ("email_sent", "sms_sent"), ()),
        (f"not in {EVENTS[:-2]}", EVENTS, EVENTS[-2:]),
        (f"not in {EVENTS}", EVENTS, ()),
    ],
)
def test_events_that_a_refusal_calls_unknown(
    said: str, asked: Sequence[str], unknown: Sequence[str]
) -> None:
    assert unknown_events(said, asked) == tuple(unknown)


@given(st.text(max_size=50), st.lists(st.sampled_from(EVENTS), unique=True, max_size=20))
def test_a_refusal_never_takes_every_event_away(said: str, asked: list[str]) -> None:
    unknown = unknown_events(said, asked)
    assert set(unknown) < set(asked) or not unknown


pytestmark = pytest.mark.anyio


async def made(
    customerio: CustomerIo, wanted: Wanted, *faults: Fault
) -> tuple[list[workspace.Webhook], tuple[str, ...]]:
    """Create a webhook under faults; return all that there are then and what was left out."""
    customerio.faults.next(*faults)
    async with app_api(customerio.url, customerio.app_api_key) as api:
        written = await create(api, wanted)
        assert written.webhook == await api.webhook(written.webhook.id)
    return customerio.webhooks, written.left_out


async def test_a_webhook_is_made_disabled_with_every_event() -> None:
    async with customerio_stand_in(clock=ManualClock()) as customerio:
        [webhook], left_out = await made(customerio, Wanted(url=URL, with_content=True))
    assert webhook.disabled
    assert webhook.with_content
    assert not webhook.full_resolution
    assert (webhook.name, webhook.endpoint) == ("streamer", URL)
    assert set(webhook.events) == set(stand_in.EVENTS)
    assert left_out == ()


async def test_events_that_a_region_does_not_know_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unknown = {"sms_replied", "whatsapp_replied", "in_app_opened"}
    known = tuple(event for event in stand_in.EVENTS if event not in unknown)
    monkeypatch.setattr(workspace, "EVENTS", known)
    async with customerio_stand_in(clock=ManualClock()) as customerio:
        [webhook], left_out = await made(customerio, Wanted(url=URL))
        assert set(webhook.events) == set(known)
        assert set(left_out) == unknown
        async with app_api(customerio.url, customerio.app_api_key) as api:
            before = await api.webhook(webhook.id)
            calls = customerio.faults.calls
            again = await change(api, before, Wanted(url=URL, events=EVENTS))
            assert set(again.left_out) == unknown
            assert again.webhook == before
            assert customerio.faults.calls == calls + 1, "the refused one"
            assert await api.webhook(webhook.id) == before


async def test_a_refusal_of_something_else_is_handed_on() -> None:
    async with (
        customerio_stand_in(clock=ManualClock()) as customerio,
        app_api(customerio.url, customerio.app_api_key) as api,
    ):
        with pytest.raises(AppApiError, match="endpoint must be a URL"):
            await create(api, Wanted(url="nonsense"))
        assert customerio.faults.calls == 1


@pytest.mark.parametrize("fault", [lose_answer, reset, status(500)])
async def test_a_lost_answer_leaves_one_webhook_and_not_two(fault: Fault) -> None:
    async with customerio_stand_in(clock=ManualClock()) as customerio:
        webhooks, _ = await made(customerio, Wanted(url=URL), fault)
    assert len(webhooks) == 1


async def test_answers_that_are_lost_again_and_again_end_in_an_error() -> None:
    async with (
        customerio_stand_in(clock=ManualClock()) as customerio,
        app_api(customerio.url, customerio.app_api_key) as api,
    ):
        customerio.faults.at(1, reset)
        customerio.faults.at(3, reset)
        with pytest.raises(MaybeDone) as caught:
            await create(api, Wanted(url=URL))
        assert "looks first what is there" in caught.value.hint
        assert customerio.faults.calls == 3


async def test_a_change_writes_what_is_asked_for_and_keeps_the_rest() -> None:
    """``PUT`` replaces: what was left out of it would go back to its default."""
    async with (
        customerio_stand_in(clock=ManualClock()) as customerio,
        app_api(customerio.url, customerio.app_api_key) as api,
    ):
        there = await customerio.create(
            name="mine",
            endpoint=URL,
            events=["email_sent"],
            disabled=True,
            full_resolution=True,
            with_content=True,
        )
        before = await api.webhook(there.id)
        written = await change(api, before, Wanted(disabled=False))
        assert written.webhook == msgspec.structs.replace(before, disabled=False)
        assert json.loads(json.dumps(there.document())) == {
            "name": "mine",
            "id": 1,
            "type": "webhook",
            "endpoint": URL,
            "disabled": False,
            "full_resolution": True,
            "with_content": True,
            "events": ["email_sent"],
        }


async def test_a_change_to_what_is_already_so_asks_nobody() -> None:
    async with (
        customerio_stand_in(clock=ManualClock()) as customerio,
        app_api(customerio.url, customerio.app_api_key) as api,
    ):
        written = await change(api, WEBHOOK, Wanted(name="ours", disabled=True))
        assert written.webhook is WEBHOOK
        assert customerio.faults.calls == 0


async def test_a_webhook_of_javascript_is_not_changed() -> None:
    async with (
        customerio_stand_in(clock=ManualClock()) as customerio,
        app_api(customerio.url, customerio.app_api_key) as api,
    ):
        script = msgspec.structs.replace(WEBHOOK, type="js")
        with pytest.raises(UsageError, match="is one of JavaScript"):
            await change(api, script, Wanted(disabled=False))
        assert customerio.faults.calls == 0

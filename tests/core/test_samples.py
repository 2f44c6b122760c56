"""Sample webhook bodies: the same for the same arguments, and about nobody real."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core import samples
from streamer.core.errors import UsageError
from streamer.core.samples import TEST_EVENT_ID, sample_body, sample_event, sample_names

NAMES = st.sampled_from(sample_names())
NUMBERS = st.integers(min_value=0, max_value=2**80 - 1)
TIMES = st.integers(min_value=0, max_value=281_474_976_710)
ULID = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")


def identifiers(event: dict[str, Any]) -> dict[str, Any]:
    found = event["data"]["identifiers"]
    assert isinstance(found, dict)
    return found


@given(name=NAMES, number=NUMBERS, at_seconds=TIMES, with_content=st.booleans())
def test_a_sample_depends_on_its_arguments_alone(
    name: str, number: int, at_seconds: int, with_content: bool
) -> None:
    bodies = [
        sample_body(name, number=number, at_seconds=at_seconds, with_content=with_content)
        for _ in range(2)
    ]
    assert bodies[0] == bodies[1]
    event = json.loads(bodies[0])
    assert event == sample_event(
        name, number=number, at_seconds=at_seconds, with_content=with_content
    )
    assert f"{event['object_type']}.{event['metric']}" == name
    assert event["timestamp"] == at_seconds


@given(number=NUMBERS, at_seconds=TIMES)
def test_the_event_id_is_a_ulid_of_the_time_and_the_number(number: int, at_seconds: int) -> None:
    text = sample_event("email.sent", number=number, at_seconds=at_seconds)["event_id"]
    assert isinstance(text, str)
    assert ULID.fullmatch(text)
    value = 0
    for character in text:
        value = value * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)
    assert value >> 80 == at_seconds * 1000
    assert value % 2**80 == number


@given(first=st.tuples(TIMES, NUMBERS), second=st.tuples(TIMES, NUMBERS))
def test_event_ids_sort_by_time_and_then_by_number(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    ids = [
        str(sample_event("sms.sent", number=number, at_seconds=at_seconds)["event_id"])
        for at_seconds, number in (first, second)
    ]
    assert (ids[0] < ids[1]) == (first < second)


def test_numbers_a_thousand_apart_are_one_person_and_nearer_ones_are_not() -> None:
    people = [identifiers(sample_event("email.sent", number=n, at_seconds=1)) for n in range(2000)]
    assert people[:1000] == people[1000:]
    assert len({person["id"] for person in people}) == 1000


def test_one_person_in_ten_is_known_by_id_alone() -> None:
    for number in range(20):
        known = identifiers(sample_event("email.sent", number=number, at_seconds=1))
        expected = {"id"} if number in (9, 19) else {"id", "email", "cio_id"}
        assert set(known) == expected
    consent = sample_event("customer.unsubscribed", number=9, at_seconds=1)["data"]
    assert isinstance(consent, dict)
    assert consent["email_address"] is None


@pytest.mark.parametrize("name", sample_names())
def test_nobody_real_is_in_a_sample(name: str) -> None:
    for number in range(0, 1100, 97):
        body = sample_body(name, number=number, at_seconds=1, with_content=True).decode()
        assert all(host == "example.com" for host in re.findall(r"(?:@|://)([\w.-]+)", body))
        # Ofcom keeps 07700 900000-900999 and 020 7946 0000-0999 for drama.
        for phone in re.findall(r'"\+(\d+)"', body):
            assert re.fullmatch(r"447700900\d{3}|442079460\d{3}", phone)


@pytest.mark.parametrize("name", [name for name in sample_names() if name.endswith(".sent")])
def test_a_sent_message_shows_its_content_only_when_asked(name: str) -> None:
    without = sample_event(name, number=1, at_seconds=1)["data"]
    with_content = sample_event(name, number=1, at_seconds=1, with_content=True)["data"]
    assert isinstance(without, dict)
    assert isinstance(with_content, dict)
    assert set(with_content) - set(without) == (
        {"content", "headers"} if name == "email.sent" else {"content"}
    )


@pytest.mark.parametrize("name", ["email.delivered", "email.clicked", "customer.subscribed"])
def test_only_sent_messages_and_preferences_have_content(name: str) -> None:
    event = sample_event(name, number=1, at_seconds=1, with_content=True)
    assert event == sample_event(name, number=1, at_seconds=1)


def test_content_that_is_json_in_a_string_can_be_read() -> None:
    for name in ("push.sent", "webhook.sent", "customer.cio_subscription_preferences_changed"):
        data = sample_event(name, number=1, at_seconds=1, with_content=True)["data"]
        assert isinstance(data, dict)
        assert json.loads(data["content"])


def test_machine_activity_is_sometimes_true_sometimes_false_and_mostly_absent() -> None:
    seen = []
    for number in range(8):
        data = sample_event("email.opened", number=number, at_seconds=1)["data"]
        assert isinstance(data, dict)
        seen.append(data.get("prefetched"))
    assert seen == [True, None, None, None, False, None, None, None]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("email.snet", "email.sent"),
        ("emial.sent", "email.sent"),
        ("customer_subscribed", "customer.subscribed"),
        ("", "email.sent"),
        ("sent", "sms.sent"),
        ("nothing like it", "email.sent"),
    ],
)
def test_an_unknown_name_is_refused_with_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        sample_event(name, number=1, at_seconds=1)
    assert hint in caught.value.hint


def test_an_unknown_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        sample_event("email.sent", number=1, at_seconds=1, variant="person")
    assert "campaign, broadcast, newsletter, transactional" in caught.value.hint


@pytest.mark.parametrize(
    ("number", "at_seconds"), [(-1, 1), (2**80, 1), (1, -1), (1, 281_474_976_711)]
)
def test_numbers_that_fit_no_ulid_are_refused(number: int, at_seconds: int) -> None:
    with pytest.raises(UsageError):
        sample_event("email.sent", number=number, at_seconds=at_seconds)


def test_the_test_event_keeps_its_id_and_takes_the_time() -> None:
    early, late = (json.loads(samples.test_event_body(seconds)) for seconds in (1, 1_700_000_000))
    assert early["event_id"] == late["event_id"] == TEST_EVENT_ID
    assert late["timestamp"] == 1_700_000_000
    assert {**early, "timestamp": 1_700_000_000} == late
    assert (early["object_type"], early["metric"]) == ("email", "sent")

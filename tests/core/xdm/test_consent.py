"""Records of a person's consent: from which events, with what in them, and from which not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streamer.core import catalogue
from streamer.core.errors import ConfigurationError
from streamer.core.samples import sample_body
from streamer.core.xdm.mapper import Mapped, Mapper, Unmappable
from streamer.core.xdm.mapping_file import Layer
from streamer.core.xdm.rule import Rule
from streamer.core.xdm.settings import MappingSettings
from tests.core.xdm.events import AT_SECONDS, body_of, stored

TOPICS = {"topic_1": "news", 'say "hi"': "greetings"}
SETTINGS = MappingSettings(tenant="acme", produces="consent", topics=TOPICS)
PREFERENCES = "cio_subscription_preferences_changed"
SAID = {"time": "2025-06-15T15:06:40Z", "reason": "Customer.io"}
ANN = {"identifiers": {"email": "ann@example.com"}}


def record_of(body: bytes, mapper: Mapper | None = None) -> dict[str, Any] | None:
    """Return the record that is made of a body, if any."""
    result = (mapper or Mapper(SETTINGS)).map(stored(body), body)
    if result is None:
        return None
    assert isinstance(result, Mapped), result
    record: dict[str, Any] = msgspec.json.decode(result.entity)
    return record


def marketing(body: bytes) -> dict[str, Any]:
    """Return what a record says of marketing."""
    record = record_of(body)
    assert record is not None
    found: dict[str, Any] = record["consents"]["marketing"]
    return found


@pytest.mark.parametrize("object_type", ["customer", "email", "sms", None])
@pytest.mark.parametrize(("metric", "value"), [("subscribed", "y"), ("unsubscribed", "n")])
def test_a_person_says_yes_or_no_to_everything(
    object_type: str | None, metric: str, value: str
) -> None:
    assert record_of(body_of(object_type, metric, **ANN)) == {
        "identityMap": {
            "Email": [{"id": "ann@example.com", "authenticatedState": "ambiguous", "primary": True}]
        },
        "consents": {"marketing": {"any": {"val": value, **SAID}}},
        "extSourceSystemAudit": {"lastUpdatedDate": "2025-06-15T15:06:40.000Z"},
    }


def test_an_email_that_made_somebody_unsubscribe_is_a_no_to_email() -> None:
    body = body_of("email", "unsubscribed", delivery_id="RPIL", **ANN)
    assert marketing(body) == {"email": {"val": "n", **SAID}}


def test_a_delivery_of_another_kind_says_nothing_of_consent() -> None:
    assert record_of(body_of("sms", "unsubscribed", delivery_id="RPIL", **ANN)) is None


@pytest.mark.parametrize(
    ("topics", "subscriptions", "value"),
    [
        ({"topic_1": True}, {"news": {"val": "y"}}, "y"),
        ({"topic_1": False}, {"news": {"val": "n"}}, "n"),
        (
            {'say "hi"': False, "topic_1": True, "other": False},
            {"news": {"val": "y"}, "greetings": {"val": "n"}},
            "y",
        ),
        (
            {'say "hi"': True, "topic_1": False},
            {"news": {"val": "n"}, "greetings": {"val": "y"}},
            "y",
        ),
    ],
)
def test_topics_are_subscriptions_of_email_which_has_the_value_of_the_best_of_them(
    topics: dict[str, bool], subscriptions: dict[str, Any], value: str
) -> None:
    content = msgspec.json.encode({"topics": topics}).decode()
    for object_type in ("customer", "email", None):
        body = body_of(object_type, PREFERENCES, content=content, **ANN)
        assert marketing(body) == {"email": {"val": value, **SAID, "subscriptions": subscriptions}}


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "no JSON",
        "[]",
        "{}",
        '{"topics":null}',
        '{"topics":[true]}',
        '{"topics":{"other":true}}',
        '{"topics":{"topic_1":null}}',
        '{"topics":{"topic_1":"maybe"}}',
        '{"channels":{"topic_1":true}}',
        '{"topics":' + "[" * 5_000,
        7,
    ],
)
def test_preferences_that_name_no_known_topic_say_nothing(content: object) -> None:
    assert record_of(body_of("customer", PREFERENCES, content=content, **ANN)) is None


def test_without_topics_preferences_say_nothing() -> None:
    mapper = Mapper(MappingSettings(tenant="acme", produces="consent"))
    body = body_of("customer", PREFERENCES, content='{"topics":{"topic_1":true}}', **ANN)
    assert record_of(body, mapper) is None


def test_no_other_event_says_anything() -> None:
    mapper = Mapper(SETTINGS)
    for object_type, metrics in catalogue.MESSAGES.items():
        for metric in metrics:
            if metric != "unsubscribed":
                name = f"{object_type}.{metric}"
                assert record_of(sample_body(name, number=0, at_seconds=AT_SECONDS), mapper) is None


def test_a_record_about_nobody_is_none_or_an_error_as_is_asked_for() -> None:
    body = body_of("customer", "unsubscribed")
    assert record_of(body) is None
    strict = Mapper(MappingSettings(tenant="acme", produces="consent", require_identity=True))
    assert isinstance(strict.map(stored(body), body), Unmappable)
    other = body_of("email", "sent")
    assert strict.map(stored(other), other) is None


def test_an_event_of_an_unusable_time_is_consent_as_of_its_receipt() -> None:
    body = body_of("customer", "subscribed", **ANN).replace(b"1750000000", b"1850000000")
    record = record_of(body)
    assert record is not None
    assert record["extSourceSystemAudit"]["lastUpdatedDate"] == "2025-06-15T15:06:41.250Z"
    assert record["consents"]["marketing"]["any"]["time"] == "2025-06-15T15:06:41.250Z"


def test_a_users_rule_can_say_more() -> None:
    rules = tuple(
        Rule(
            destination=f"consents.marketing.sms.{name}",
            source=source,
            types=("sms.unsubscribed",),
            origin="m.toml:1",
        )
        for name, source in (("val", '"n"'), ("reason", "data.why"))
    )
    mapper = Mapper(SETTINGS, [Layer(rules=rules)])
    body = body_of("sms", "unsubscribed", delivery_id="RPIL", why="STOP", **ANN)
    record = record_of(body, mapper)
    assert record is not None
    assert record["consents"]["marketing"]["sms"] == {"val": "n", "reason": "STOP"}
    long = body_of("sms", "unsubscribed", delivery_id="RPIL", why="x" * 256, **ANN)
    result = mapper.map(stored(long), long)
    assert isinstance(result, Unmappable)
    assert result.path == "consents.marketing.sms.reason"
    assert result.detail.endswith("text of up to 255 characters")


@pytest.mark.parametrize("name", ["a.b", "", "a b", "ü"])
def test_a_subscription_needs_a_name_that_can_be_part_of_a_path(name: str) -> None:
    settings = MappingSettings(tenant="acme", produces="consent", topics={"topic_1": name})
    with pytest.raises(ConfigurationError, match="cannot be part of a path"):
        Mapper(settings)


def test_rules_for_events_are_refused() -> None:
    rule = Rule(destination="eventType", source='"x"', origin="m.toml:1")
    with pytest.raises(ConfigurationError) as caught:
        Mapper(SETTINGS, [Layer(rules=(rule,))])
    assert caught.value.hint == 'only a destination with `produces = "events"` writes it'

    linked = Rule(destination="directMarketing.linkURL", source="data.href", origin="m.toml:1")
    with pytest.raises(ConfigurationError) as caught:
        Mapper(SETTINGS, [Layer(rules=(linked,))])
    assert caught.value.hint == 'only a destination with `produces = "events"` writes it'

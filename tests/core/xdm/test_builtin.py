"""The built-in rules, applied: what becomes of links, failures, machines and people."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.core.samples import sample_body
from streamer.core.xdm import builtin
from streamer.core.xdm.fields import find_field
from streamer.core.xdm.language.expression import compile_expression
from streamer.core.xdm.mapper import Mapper
from streamer.core.xdm.settings import MappingSettings
from tests.core.xdm.events import AT_SECONDS, EVENT_ID, JOURNEYS, body_of, entity_of, journeys, own

MESSAGE = {"delivery_id": "RPILAg==", "identifiers": {"id": "42"}}


@pytest.mark.parametrize(
    "settings",
    [
        MappingSettings(tenant="acme", soft_bounces=True, dismiss_actions=('say "no"', "a\\b")),
        JOURNEYS,
    ],
)
def test_every_rule_is_in_the_language_and_writes_to_a_path_that_there_is(
    settings: MappingSettings,
) -> None:
    for rule in builtin.rules(settings):
        compile_expression(rule.source)
        assert find_field(rule.destination), rule


def test_every_literal_fits_its_field() -> None:
    """A built-in value that does not fit would be left out without a word."""
    settings = MappingSettings(tenant="acme", soft_bounces=True, dismiss_actions=("later",))
    literals = [rule for rule in builtin.rules(settings) if rule.source[0] in '"0123456789']
    assert len(literals) > 200
    for rule in literals:
        field = find_field(rule.destination)
        value = compile_expression(rule.source)({})
        assert field is not None
        assert field.fit()(value) == value, rule


def test_a_delivery_id_that_is_none_is_no_id_of_a_message_for_journey_optimizer() -> None:
    for delivery_id, found in (("x" * 512, "x" * 512), ("x" * 513, EVENT_ID), (None, EVENT_ID)):
        entity = entity_of(body_of("sms", "sent", delivery_id=delivery_id), Mapper(JOURNEYS))
        assert journeys(entity)["messageExecution"] == {"messageExecutionID": found}


CLICK = body_of(
    "email",
    "clicked",
    identifiers={"id": "42", "email": " Test@Example.com ", "cio_id": "d9c106000001"},
    customer_id="0200000001",
    delivery_id="RPILAgUBcRhIBqSfeiIwdIYJKxTY",
    campaign_id=5,
    action_id=42,
    journey_id="01GW20GXAAXBKZD8J96M8FNV3R",
    trigger_event_id=None,
    recipient="test@example.com",
    subject="Welcome",
    href="https://example.com/offer",
    link_id=7,
    machine=False,
)


def test_a_click_in_an_email_is_written_whole() -> None:
    assert entity_of(CLICK) == {
        "_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ",
        "timestamp": "2025-06-15T15:06:40Z",
        "eventType": "directMarketing.emailClicked",
        "producedBy": "system",
        "identityMap": {
            "Email": [
                {"id": "test@example.com", "primary": True, "authenticatedState": "ambiguous"}
            ]
        },
        "directMarketing": {
            "clicks": {"value": 1},
            "messageID": "RPILAgUBcRhIBqSfeiIwdIYJKxTY",
            "mailingName": "Welcome",
            "linkURL": "https://example.com/offer",
        },
        "web": {"webInteraction": {"linkID": "7"}},
        "channel": {
            "_id": "https://ns.adobe.com/xdm/channels/email",
            "_type": "https://ns.adobe.com/xdm/channel-types/email",
            "typeAtSource": "email",
            "mode": "push",
            "mediaAction": "clicks",
        },
        "_acme": {
            "customerio": {
                "objectType": "email",
                "metric": "clicked",
                "eventID": "01E4C4CT6YDC7Y5M7FE1GWWPQJ",
                "sequence": 184_467,
                "deliveryID": "RPILAgUBcRhIBqSfeiIwdIYJKxTY",
                "campaignID": "5",
                "actionID": "42",
                "journeyID": "01GW20GXAAXBKZD8J96M8FNV3R",
                "personID": "42",
                "cioID": "d9c106000001",
                "customerID": "0200000001",
                "recipient": "test@example.com",
                "subject": "Welcome",
                "href": "https://example.com/offer",
                "linkID": "7",
                "machine": False,
            }
        },
    }


def test_a_suppressed_email_is_told_to_journey_optimizer() -> None:
    body = body_of(
        "email",
        "dropped",
        delivery_id="RPIL",
        campaign_id=5,
        recipient="test@example.com",
        failure_message="suppressed",
    )
    assert journeys(entity_of(body, Mapper(JOURNEYS))) == {
        "messageExecution": {"messageExecutionID": "RPIL", "campaignID": "5"},
        "messageProfile": {
            "messageProfileID": "RPIL",
            "channel": {"_id": "https://ns.adobe.com/xdm/channels/email"},
        },
        "emailChannelContext": {"address": "test@example.com"},
        "messageDeliveryfeedback": {
            "feedbackStatus": "denylist",
            "messageExclusion": {"reason": "suppressed"},
        },
    }


@pytest.mark.parametrize("object_type", ["customer", "email", "sms", "push", "line", None])
@pytest.mark.parametrize("delivery", [{}, {"delivery_id": ""}, {"delivery_id": None}])
def test_an_unsubscription_without_a_delivery_is_the_persons_and_counts_nothing(
    object_type: str | None, delivery: dict[str, Any]
) -> None:
    entity = entity_of(
        body_of(object_type, "unsubscribed", email_address="a@example.com", **delivery),
        Mapper(JOURNEYS),
    )
    assert entity["eventType"] == "customerio.customer.unsubscribed"
    assert "directMarketing" not in entity
    assert "mediaAction" not in entity.get("channel", {})
    assert journeys(entity)["messageInteraction"] == {"interactionType": "unsubscribe"}


def test_an_unsubscription_with_a_delivery_is_the_messages_and_counts() -> None:
    entity = entity_of(body_of("email", "unsubscribed", **MESSAGE), Mapper(JOURNEYS))
    assert entity["eventType"] == "directMarketing.emailUnsubscribed"
    assert entity["directMarketing"]["unsubscriptions"] == {"value": 1}
    assert entity["channel"]["mediaAction"] == "unSubscriptions"
    assert journeys(entity)["messageInteraction"] == {"interactionType": "unsubscribe"}


def test_a_delivery_of_another_kind_that_unsubscribed_somebody_is_a_type_nobody_knows() -> None:
    entity = entity_of(body_of("sms", "unsubscribed", **MESSAGE))
    assert entity["eventType"] == "customerio.sms.unsubscribed"
    assert "directMarketing" not in entity


@pytest.mark.parametrize("object_type", ["customer", "email", "whatsapp", None])
@pytest.mark.parametrize("delivery", [{}, {"delivery_id": "RPIL"}])
def test_a_subscription_is_the_persons_whatever_it_is_put_down_to(
    object_type: str | None, delivery: dict[str, Any]
) -> None:
    entity = entity_of(body_of(object_type, "subscribed", **delivery), Mapper(JOURNEYS))
    assert entity["eventType"] == "customerio.customer.subscribed"
    assert entity["directMarketing"]["marketingSubscription"] == {"value": 1}
    assert journeys(entity)["messageInteraction"] == {"interactionType": "subscription"}


@pytest.mark.parametrize("object_type", ["customer", "email", None])
def test_new_preferences_are_the_persons_and_their_content_is_named_for_what_it_is(
    object_type: str | None,
) -> None:
    body = body_of(
        object_type, "cio_subscription_preferences_changed", content='{"topics":{"news":true}}'
    )
    entity = entity_of(body, Mapper(JOURNEYS))
    assert entity["eventType"] == "customerio.customer.subscriptionPreferencesChanged"
    assert "directMarketing" not in entity
    assert own(entity)["subscriptionTopics"] == '{"topics":{"news":true}}'
    assert "content" not in own(entity)


def test_a_type_that_nobody_knows_is_named_after_itself_and_kept_without_loss() -> None:
    entity = entity_of(body_of("fax", "jammed", delivery_id=9, subject="Hello"))
    assert set(entity) == {"_id", "timestamp", "eventType", "producedBy", "_acme"}
    assert entity["eventType"] == "customerio.fax.jammed"
    assert own(entity) | {"deliveryID": "9", "subject": "Hello", "metric": "jammed"} == own(entity)


def test_a_new_metric_of_a_known_channel_has_its_channel() -> None:
    entity = entity_of(body_of("email", "archived", delivery_id="RPIL"))
    assert entity["eventType"] == "customerio.email.archived"
    assert entity["channel"]["_id"] == "https://ns.adobe.com/xdm/channels/email"
    assert entity["directMarketing"] == {"messageID": "RPIL"}


@pytest.mark.parametrize(
    ("name", "uri", "kind"),
    [
        ("sms", "https://ns.adobe.com/xdm/channels/sms", "messaging"),
        ("whatsapp", "https://ns.adobe.com/xdm/channels/whatsApp", "messaging"),
        ("push", "https://ns.adobe.com/xdm/channels/push", "mobile"),
        ("in_app", "https://ns.adobe.com/xdm/channels/mobile-app", "mobile"),
        ("slack", "https://ns.adobe.com/acme/channels/slack", "messaging"),
        ("webhook", "https://ns.adobe.com/acme/channels/webhook", "external"),
    ],
)
def test_a_channel_is_adobes_own_or_the_tenants(name: str, uri: str, kind: str) -> None:
    entity = entity_of(body_of(name, "attempted", **MESSAGE), Mapper(JOURNEYS))
    assert entity["channel"] == {
        "_id": uri,
        "_type": f"https://ns.adobe.com/xdm/channel-types/{kind}",
        "typeAtSource": name,
        "mode": "push",
    }
    assert journeys(entity)["messageProfile"]["channel"] == {"_id": uri}


def test_without_the_groups_for_email_nothing_of_theirs_is_written() -> None:
    mapper = Mapper(MappingSettings(tenant="acme", email_details=False))
    clicked = entity_of(sample_body("email.clicked", number=1, at_seconds=AT_SECONDS), mapper)
    bounced = entity_of(sample_body("email.bounced", number=1, at_seconds=AT_SECONDS), mapper)
    assert set(clicked["directMarketing"]) == {"clicks", "messageID"}
    assert set(bounced["directMarketing"]) == {"nonDeliverables", "messageID"}
    assert "web" not in clicked


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("550 5.1.1 no such mailbox", "550"),
        ("smtp; 421-4.7.0 try later", "421"),
        ("host said: (452) mailbox full", "452"),
        ("mailbox full (5.2.2)", "5.2.2"),
        ("connect to mx:587 failed after 1550 ms", None),
        ("", None),
    ],
)
def test_the_code_of_a_bounce_is_found_in_the_mail_servers_words(
    words: str, code: str | None
) -> None:
    entity = entity_of(body_of("email", "bounced", failure_message=words, **MESSAGE))
    assert entity["directMarketing"].get("emailBouncedCode") == code
    assert entity["directMarketing"].get("emailBouncedDetails") == (words or None)


@pytest.mark.parametrize(
    ("soft_bounces", "words", "counter", "event_type"),
    [
        (True, "421 later", "bounces", "directMarketing.emailBouncedSoft"),
        (True, "4.2.2 full", "bounces", "directMarketing.emailBouncedSoft"),
        (True, "550 never", "nonDeliverables", "directMarketing.emailBounced"),
        (True, "no code at all", "nonDeliverables", "directMarketing.emailBounced"),
        (False, "421 later", "nonDeliverables", "directMarketing.emailBounced"),
    ],
)
def test_a_temporary_bounce_counts_as_one_when_that_is_asked_for(
    soft_bounces: bool, words: str, counter: str, event_type: str
) -> None:
    mapper = Mapper(MappingSettings(tenant="acme", soft_bounces=soft_bounces))
    entity = entity_of(body_of("email", "bounced", failure_message=words, **MESSAGE), mapper)
    counters = {"bounces", "nonDeliverables"} & set(entity["directMarketing"])
    assert counters == {counter}
    assert entity["channel"]["mediaAction"] == counter
    assert entity["eventType"] == event_type


@pytest.mark.parametrize(
    ("metric", "mark", "value", "interaction"),
    [
        ("opened", "prefetched", True, {"interactionType": "bot_open", "isBot": True}),
        ("opened", "prefetched", False, {"interactionType": "open", "isBot": False}),
        ("clicked", "machine", True, {"interactionType": "bot_click", "isBot": True}),
        ("clicked", "machine", None, {"interactionType": "click"}),
        ("clicked", "machine", "yes", {"interactionType": "bot_click"}),
    ],
)
def test_what_a_machine_did_is_marked(
    metric: str, mark: str, value: object, interaction: dict[str, Any]
) -> None:
    entity = entity_of(body_of("email", metric, **MESSAGE, **{mark: value}), Mapper(JOURNEYS))
    assert journeys(entity)["messageInteraction"] == interaction
    assert own(entity).get(mark) == (value if isinstance(value, bool) else None)


def test_an_action_that_dismisses_the_message_is_told_from_a_click() -> None:
    mapper = Mapper(MappingSettings(tenant="acme", dismiss_actions=('say "no"', "later")))
    for response, event_type in (
        ('say "no"', "inappmessageTracking.dismiss"),
        ("later", "inappmessageTracking.dismiss"),
        ("buy", "inappmessageTracking.interact"),
        (None, "inappmessageTracking.interact"),
    ):
        entity = entity_of(body_of("in_app", "clicked", tracked_response=response), mapper)
        assert entity["eventType"] == event_type
        assert entity.get("inappMessageTracking", {}).get("action") == response


@pytest.mark.parametrize("name", ["sms", "whatsapp"])
def test_a_reply_names_both_numbers(name: str) -> None:
    body = body_of(name, "replied", to="+442079460000", recipient="+447700900123", **MESSAGE)
    context = {"sms": "smsChannelContext", "whatsapp": "whatsAppChannelContext"}[name]
    assert journeys(entity_of(body, Mapper(JOURNEYS)))[context] == {
        "inboundNumber": "+442079460000",
        "profileNumber": "+447700900123",
    }


def test_a_push_message_names_its_devices_and_each_ones_failure() -> None:
    body = body_of(
        "push",
        "bounced",
        recipients=[
            {"device_id": "a", "device_platform": "ios", "failure_message": "gone", "more": 1},
            {"device_id": 7},
            {"device_platform": None},
            "no device",
        ],
    )
    assert own(entity_of(body))["recipients"] == [
        {"deviceID": "a", "devicePlatform": "ios", "failureMessage": "gone"},
        {"deviceID": "7"},
    ]


def test_a_link_without_a_number_still_names_the_push_action() -> None:
    entity = entity_of(body_of("push", "clicked", href="app://offers"))
    assert entity["pushNotificationTracking"] == {"customAction": {"actionID": "app://offers"}}


def test_failures_are_reasons_of_a_failure_or_of_an_exclusion() -> None:
    for metric, part in (
        ("attempted", "messageFailure"),
        ("failed", "messageFailure"),
        ("bounced", "messageFailure"),
        ("dropped", "messageExclusion"),
        ("undeliverable", "messageExclusion"),
    ):
        body = body_of("whatsapp", metric, reason="because", **MESSAGE)
        entity = entity_of(body, Mapper(JOURNEYS))
        assert journeys(entity)["messageDeliveryfeedback"][part] == {"reason": "because"}
        assert own(entity)["failureMessage"] == "because"

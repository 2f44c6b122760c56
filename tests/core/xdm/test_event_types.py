"""What each type of event is to Adobe: the table, and that all of it reaches the entity."""

from __future__ import annotations

import pytest

from streamer.core import catalogue
from streamer.core.samples import sample_body
from streamer.core.xdm.event_types import ROWS, Row
from streamer.core.xdm.mapper import Mapper
from tests.core.xdm.events import AT_SECONDS, JOURNEYS, body_of, entity_of, journeys


def test_every_message_that_is_known_has_a_row_and_no_row_is_for_an_unknown_one() -> None:
    known = {
        (object_type, metric)
        for object_type, metrics in catalogue.MESSAGES.items()
        for metric in metrics
    }
    assert {(row.object_type, row.metric) for row in ROWS} == known
    assert len(ROWS) == len(known)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.types[0])
def test_all_that_a_row_says_is_in_the_entity(row: Row) -> None:
    body = body_of(row.object_type, row.metric, delivery_id="RPIL")
    entity = entity_of(body, Mapper(JOURNEYS))
    own_type = f"customerio.{row.object_type}.{row.metric}"
    assert entity["eventType"] == (own_type if row.event_type == "own" else row.event_type)
    counters = {
        name for name, value in entity.get("directMarketing", {}).items() if value == {"value": 1}
    }
    assert counters == {row.counter} - {"-"}
    assert entity["channel"].get("mediaAction", "-") == row.media_action
    feedback = journeys(entity).get("messageDeliveryfeedback", {}).get("feedbackStatus")
    interaction = journeys(entity).get("messageInteraction", {}).get("interactionType")
    found = f"fs={feedback}" if feedback else f"it={interaction}" if interaction else "-"
    assert found == row.journey


@pytest.mark.parametrize(
    ("name", "event_type", "counter", "action"),
    [
        ("email.sent", "directMarketing.emailSent", "sends", "sends"),
        ("email.delivered", "directMarketing.emailDelivered", "emailDelivered", None),
        ("email.opened", "directMarketing.emailOpened", "opens", "opens"),
        ("email.clicked", "directMarketing.emailClicked", "clicks", "clicks"),
        ("email.bounced", "directMarketing.emailBounced", "nonDeliverables", "nonDeliverables"),
        ("email.spammed", "message.tracking", "userComplaints", "userComplaints"),
        ("email.dropped", "message.feedback", "excludes", None),
        ("email.deferred", "message.feedback", None, None),
        ("email.attempted", "message.feedback", None, None),
        ("email.converted", "customerio.email.converted", None, None),
        ("push.opened", "pushTracking.applicationOpened", "opens", "opens"),
        ("push.clicked", "pushTracking.customAction", "clicks", "clicks"),
        ("sms.delivered", "message.feedback", None, None),
        ("sms.dropped", "message.feedback", "excludes", None),
        ("sms.replied", "message.tracking", None, None),
        ("whatsapp.opened", "message.feedback", "opens", "opens"),
        ("in_app.opened", "inappmessageTracking.display", "impressions", "impressions"),
        ("in_app.clicked", "inappmessageTracking.interact", "clicks", "clicks"),
        ("slack.converted", "customerio.slack.converted", None, None),
        ("webhook.converted", "customerio.webhook.converted", None, None),
        ("webhook.undeliverable", "message.feedback", "notSent", "notSent"),
    ],
)
def test_a_type_has_its_event_type_its_counter_and_its_action(
    name: str, event_type: str, counter: str | None, action: str | None
) -> None:
    entity = entity_of(sample_body(name, number=3, at_seconds=AT_SECONDS))
    measures = [
        key for key, value in entity.get("directMarketing", {}).items() if value == {"value": 1}
    ]
    assert entity["eventType"] == event_type
    assert measures == ([] if counter is None else [counter])
    assert entity["channel"].get("mediaAction") == action

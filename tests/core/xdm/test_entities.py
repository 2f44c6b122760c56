"""Every entity that is made of a known event, judged by Adobe's own schemas."""

from __future__ import annotations

import msgspec
import pytest
from jsonschema import Draft6Validator

from streamer.core.xdm.event_types import ROWS
from streamer.core.xdm.fields import CONSENT_GROUPS, EVENT_GROUPS, Field, FieldGroup
from streamer.core.xdm.mapper import Mapped, Mapper
from streamer.core.xdm.settings import MappingSettings
from streamer.core.xdm.tenant_group import tenant_group_schema
from tests.core.xdm.events import every_sample, stored
from tests.support.adobe import JOURNEYS, PROFILE_CLASS, Judge, needs_adobe, schemas

pytestmark = needs_adobe

EVENTS = {
    "as it is": MappingSettings(tenant="acme"),
    "for Journey Optimizer": MappingSettings(tenant="acme", journey_optimizer=True),
    "without the groups for email": MappingSettings(tenant="acme", email_details=False),
    "with everything": MappingSettings(
        tenant="acme",
        journey_optimizer=True,
        soft_bounces=True,
        dismiss_actions=("accepted",),
        keep_raw=True,
    ),
    "in little room": MappingSettings(tenant="acme", journey_optimizer=True, entity_bytes_max=1900),
}
CONSENT = MappingSettings(
    tenant="acme", produces="consent", topics={"topic_1": "news", "topic_2": "offers"}
)


@pytest.mark.parametrize("settings", EVENTS.values(), ids=EVENTS)
def test_adobe_has_nothing_to_say_against_any_event(settings: MappingSettings) -> None:
    judge, mapper = Judge(settings), Mapper(settings)
    count = 0
    for body in every_sample(8):
        result = mapper.map(stored(body), body)
        assert isinstance(result, Mapped), (body, result)
        assert judge.complaints(result.entity) == [], body
        count += 1
    assert count > 300


def test_adobe_has_nothing_to_say_against_any_record_of_consent() -> None:
    judge, mapper = Judge(CONSENT), Mapper(CONSENT)
    found = set()
    for body in every_sample(0, 1, 2, 3):
        result = mapper.map(stored(body), body)
        if result is not None:
            assert isinstance(result, Mapped), (body, result)
            assert judge.complaints(result.entity) == [], body
            found.add(stored(body).metric)
    assert found == {"subscribed", "unsubscribed", "cio_subscription_preferences_changed"}


def _good() -> dict[str, object]:
    body = next(every_sample(0))
    settings = EVENTS["for Journey Optimizer"]
    result = Mapper(settings).map(stored(body), body)
    assert isinstance(result, Mapped)
    entity: dict[str, object] = msgspec.json.decode(result.entity)
    return entity


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"eventtype": "x"}, ".eventtype: not declared"),
        ({"channel": {"_id": "x", "colour": "red"}}, ".channel.colour: not declared"),
        ({"directMarketing": {"opens": {"val": 1}}}, ".directMarketing.opens.val: not declared"),
        ({"directMarketing": {"opens": {"value": "1"}}}, "'1' is not of type 'number'"),
        ({"directMarketing": {"opens": {"id": "1"}}}, "'xdm:value' is a required property"),
        ({"channel": {"mode": "push"}}, "'@id' is a required property"),
        ({"channel": {"_id": "x", "mode": "shout"}}, "'shout' is not one of"),
        ({"timestamp": "yesterday"}, "'yesterday' is not a 'date-time'"),
        ({"timestamp": "2025-06-15T15:06:40"}, "is not a 'date-time'"),
        ({"_id": "a b"}, "'a b' is not a 'uri-reference'"),
        ({"_id": "1:2"}, "'1:2' is not a 'uri-reference'"),
        ({"producedBy": None}, ".producedBy: empty"),
        ({"web": {}}, ".web: empty"),
        ({"identityMap": {"Email": [{"id": 7}]}}, "7 is not of type 'string'"),
        ({"identityMap": {"Email": [{"id": "a", "x": 1}]}}, ".identityMap.Email.x: not declared"),
        ({"_acme": {"customerio": {"campaignID": 7}}}, "7 is not of type 'string'"),
        ({"_acme": {"customerio": {"campaignId": "7"}}}, ".campaignId: not declared"),
        ({"_acme": {"customerio": {"recipients": [{"id": "7"}]}}}, ".recipients.id: not declared"),
        ({"_other": {"customerio": {}}}, "._other: not declared"),
        (
            {"_experience": {"customerJourneyManagement": {"messageProfile": {"x": 1}}}},
            "messageProfile/x: not declared",
        ),
        ({"web": {"webInteraction": {"linkID": "x" * 10_000}}}, " bytes"),
    ],
)
def test_what_is_wrong_on_purpose_is_found(change: dict[str, object], complaint: str) -> None:
    judge = Judge(EVENTS["for Journey Optimizer"])
    assert judge.complaints(msgspec.json.encode(_good())) == []
    complaints = judge.complaints(msgspec.json.encode(_good() | change))
    assert any(complaint in line for line in complaints), complaints


def test_what_a_group_requires_is_missed_when_it_is_not_there() -> None:
    entity = _good()
    del entity["_experience"]
    complaints = Judge(EVENTS["for Journey Optimizer"]).complaints(msgspec.json.encode(entity))
    assert [line for line in complaints if "messageExecutionID' is a required" in line]
    assert [line for line in complaints if "messageProfile/channel' is a required" in line]


GOOD: dict[str, object] = {
    "text": "x", "integer": 7, "number": 0.5, "boolean": True, "uri": "https://example.com/x",
    "date-time": "2025-06-15T15:06:40Z", "date-time-ms": "2025-06-15T15:06:40.000Z",
    "email": "a@example.com", "id": "x", "array": ["x"], "json": "{}",
    "devices": [{"deviceID": "x", "devicePlatform": "ios", "failureMessage": "gone"}],
}  # fmt: skip
BAD: dict[str, object] = {
    "text": 7, "integer": 0.5, "number": "x", "boolean": "x", "uri": "no uri", "date-time": "x",
    "date-time-ms": "x", "email": "x", "id": "a b", "array": [7], "json": {}, "devices": ["x"],
}  # fmt: skip


def _entity(field: Field, value: object) -> bytes:
    made: object = value
    for name in reversed(field.path.replace("_{tenant}", "_acme").split(".")):
        made = {name: made}
    return msgspec.json.encode(made)


def _about(field: Field, complaints: list[str]) -> list[str]:
    """Leave out that everything else of the entity is missing."""
    return [line for line in complaints if "is a required property" not in line]


@pytest.mark.parametrize(
    ("groups", "settings"),
    [(EVENT_GROUPS, EVENTS["for Journey Optimizer"]), (CONSENT_GROUPS, CONSENT)],
    ids=["events", "consent"],
)
def test_adobe_takes_of_each_field_what_we_take_and_no_other_kind(
    groups: tuple[FieldGroup, ...], settings: MappingSettings
) -> None:
    judge = Judge(settings)
    for field in (field for group in groups for field in group.fields):
        for value in field.values or (GOOD[field.kind],):
            assert field.fit()(value) == value, field
            assert _about(field, judge.complaints(_entity(field, value))) == [], field
        wrong = "nonsense" if field.values else BAD[field.kind]
        assert _about(field, judge.complaints(_entity(field, wrong))), field


def test_no_group_is_written_without_what_it_requires() -> None:
    """What Adobe's schemas require of an object is required by ours, and nothing else is."""
    judge = Judge(EVENTS["for Journey Optimizer"])
    for field in (field for group in EVENT_GROUPS for field in group.fields):
        alone = judge.complaints(_entity(field, (field.values or (GOOD[field.kind],))[0]))
        top = {"'@id' is a required", "'xdm:timestamp' is a required", JOURNEYS}
        missing = [
            line
            for line in alone
            if "is a required property" in line and not any(name in line for name in top)
        ]
        outer = field.path.rpartition(".")[0]
        required = [
            other.path
            for group in EVENT_GROUPS
            for other in group.fields
            if other.path.rpartition(".")[0] == outer and other.required and outer
        ]
        if missing:
            assert required, (field.path, missing)


def test_each_event_type_is_one_of_adobes_or_says_whose_it_is() -> None:
    time_series = schemas()["https://ns.adobe.com/xdm/data/time-series"]
    known = time_series["definitions"]["time-series"]["properties"]["xdm:eventType"]["meta:enum"]
    for row in ROWS:
        assert row.event_type == "own" or row.event_type in known, row


def test_each_action_is_one_of_adobes() -> None:
    channel = schemas()["https://ns.adobe.com/xdm/channels/channel"]["definitions"]["channel"]
    known = channel["properties"]["xdm:mediaAction"]["meta:enum"]
    for row in ROWS:
        assert row.media_action == "-" or row.media_action in known, row


def test_each_group_is_one_of_adobes_under_its_own_title() -> None:
    for group in (*EVENT_GROUPS, *CONSENT_GROUPS):
        if group.id and group.id != PROFILE_CLASS:
            assert schemas()[group.id]["title"].lower() == group.title.lower()


def test_the_tenants_group_is_a_schema_that_extends_events() -> None:
    schema = tenant_group_schema("acme", {"_{tenant}.customerio.order.total": "number"})
    Draft6Validator.check_schema(schema)
    assert schema["meta:intendedToExtend"] == ["https://ns.adobe.com/xdm/context/experienceevent"]
    group = schema["definitions"]["customFields"]["properties"]["_acme"]["properties"]["customerio"]
    assert group["properties"]["order"]["properties"]["total"]["type"] == "number"
    for name, field in group["properties"].items():
        assert field["title"], name
        assert field.get("description") or name == "order", name

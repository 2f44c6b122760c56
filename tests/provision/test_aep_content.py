"""What schemas and mappings are made of, and whether a schema has every path that is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamer.core.xdm.rule import Rule
from streamer.core.xdm.settings import MappingSettings
from streamer.provision.aep_content import discover, mappings_of, paths_in, written_paths

pytestmark = pytest.mark.anyio

EVENTS = MappingSettings(tenant="acme")


async def content(**options: Any) -> Any:  # noqa: ANN401 - settings of one test
    asked = {"journey_optimizer": False, "consent": False, "extra_fields": {}, **options}
    return (await discover(None, tenant="acme", **asked)).content


async def test_without_asking_anybody_all_field_groups_are_there() -> None:
    found = await discover(
        None, tenant="acme", journey_optimizer=False, consent=True, extra_fields={}
    )
    assert found.email_details
    assert "https://ns.adobe.com/xdm/mixins/events/emailclicked" in found.content.groups
    assert "https://ns.adobe.com/xdm/mixins/profile-consents" in found.content.consent_groups
    assert not any("customerJourneyManagement" in group for group in found.content.groups)


async def test_journey_optimizers_groups_are_there_if_they_are_wanted() -> None:
    groups = (await content(journey_optimizer=True)).groups
    assert sum("customerJourneyManagement" in group for group in groups) == 4


async def test_neither_the_class_nor_our_own_group_is_a_standard_group() -> None:
    found = await content()
    assert "" not in found.groups
    assert not any(group.endswith(("experienceevent", "/profile")) for group in found.groups)
    assert not any(group.endswith("context/profile") for group in found.consent_groups)


async def test_fields_of_a_mapping_file_are_part_of_the_tenants_group() -> None:
    found = await content(extra_fields={"_{tenant}.customerio.vip": "boolean"})
    own = found.fields["_acme"]["properties"]["customerio"]["properties"]
    assert own["vip"]["type"] == "boolean"
    assert own["metric"]["type"] == "string"


async def test_a_raw_webhook_gets_what_an_experience_event_needs() -> None:
    mappings = {each["destination"]: each for each in (await content()).mappings}
    assert mappings["_id"] == {
        "sourceType": "ATTRIBUTE", "source": "event_id", "destination": "_id",
    }  # fmt: skip
    assert mappings["timestamp"]["sourceType"] == "EXPRESSION"
    assert "timestamp * 1000" in mappings["timestamp"]["source"]
    assert mappings["_acme.customerio.deliveryID"]["source"] == "data.delivery_id"
    assert len(mappings) == len((await content()).mappings)
    assert "streamer." not in json.dumps(list(mappings.values()))


@pytest.mark.parametrize(
    "rule",
    [
        Rule(destination="_{tenant}.customerio.sequence", source="streamer.position"),
        Rule(destination="_{tenant}.customerio.href", source="data.href", types=("email.*",)),
        Rule(destination="_{tenant}.customerio.recipients", source="data.recipients"),
        Rule(destination="directMarketing.linkURL", source="data.href"),
    ],
)
def test_what_does_not_hold_for_every_event_in_adobe_is_left_out(rule: Rule) -> None:
    assert len(mappings_of([rule], "acme")) == 3
    assert len(mappings_of([Rule(destination="_{tenant}.customerio.x", source="a.b")], "t")) == 4


def test_paths_of_a_full_schema_are_found_at_any_depth() -> None:
    deep: dict[str, Any] = {
        "properties": {"a": {"properties": {"b": {"allOf": [{"properties": {"c": {}}}]}}}}
    }
    assert paths_in({"allOf": [deep], "properties": {"d": {}}}) == {"a", "a.b", "a.b.c", "d"}


def test_written_paths_are_in_the_tenants_name() -> None:
    paths = written_paths(EVENTS, {"_{tenant}.customerio.vip": "boolean"})
    assert {"_id", "timestamp", "_acme.customerio.metric", "_acme.customerio.vip"} <= set(paths)
    assert not any("{" in path for path in paths)


def test_what_is_written_depends_on_the_settings() -> None:
    less = MappingSettings(tenant="acme", email_details=False)
    assert "directMarketing.linkURL" in written_paths(EVENTS, {})
    assert "directMarketing.linkURL" not in written_paths(less, {})
    consent = MappingSettings(tenant="acme", produces="consent")
    assert "consents.marketing.any.val" in written_paths(consent, {})

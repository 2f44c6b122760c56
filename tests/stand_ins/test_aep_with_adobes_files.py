"""With Adobe's own schemas and descriptions at hand, every field is judged by them.

What the program's mapper makes of every event that is known is put before the stand-in as well:
neither knows the other's code.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from streamer.core.xdm.fields import field_groups
from streamer.core.xdm.mapper import Mapper
from streamer.core.xdm.settings import MappingSettings
from streamer.core.xdm.tenant_group import tenant_group_schema
from tests.core.xdm.events import entity_of, every_sample
from tests.stand_ins.aep import Adobe, aep_stand_in
from tests.stand_ins.aep.specs import (
    EXPERIENCE_EVENT,
    FLOW_WITH_MAPPING,
    INDIVIDUAL_PROFILE,
    STANDARD_GROUPS,
)
from tests.stand_ins.aep.violations import Violation
from tests.stand_ins.aep_sender import call
from tests.stand_ins.aep_steps import (
    CONTENT_TYPE,
    CONVERSION,
    FLOWS,
    FULL,
    REGISTRY,
    connection_body,
    detail,
    flow_body,
    made,
    set_up,
    source_body,
)
from tests.support.adobe import ADOBE, needs_adobe
from tests.support.manual_clock import ManualClock

pytestmark = [pytest.mark.anyio, needs_adobe]

JOURNEYS = [group for group in STANDARD_GROUPS if "customerJourneyManagement" in group]
GOOD = {"_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ", "timestamp": "2021-02-11T17:11:29Z"}


@pytest.fixture
async def adobe() -> AsyncIterator[Adobe]:
    async with aep_stand_in(clock=ManualClock(), directory=ADOBE) as adobe:
        yield adobe


def judged(adobe: Adobe, schema_id: str, entity: dict[str, Any]) -> list[Violation]:
    return adobe.validation.judge(schema_id, entity)


async def test_an_entity_of_adobes_fields_is_valid(adobe: Adobe) -> None:
    entity = {
        **GOOD,
        "eventType": "directMarketing.emailClicked",
        "producedBy": "system",
        "identityMap": {"Email": [{"id": "a@example.com", "authenticatedState": "ambiguous"}]},
        "directMarketing": {"clicks": {"value": 1}, "linkURL": "https://example.com/offer"},
        "web": {"webInteraction": {"linkID": "7"}},
        "channel": {"_id": "https://ns.adobe.com/xdm/channels/email", "mediaAction": "clicks"},
        "_acme": {"anything": ["that", "nobody", "registered"]},
    }
    assert judged(adobe, adobe.new_inlet().schema_id, entity) == []


@pytest.mark.parametrize(
    ("fields", "code", "pointer"),
    [
        ({"person": {"name": "x"}}, "DCVS-1100-400", "#"),
        ({"directMarketing": {"clicks": {"value": 1, "sum": 2}}}, "DCVS-1100-400", None),
        ({"directMarketing": {"clicks": {}}}, "DCVS-1111-400", "#/directMarketing/clicks"),
        (
            {"directMarketing": {"clicks": {"value": "1"}}},
            "DCVS-1104-400",
            "#/directMarketing/clicks/value",
        ),
        ({"channel": {"typeAtSource": "email"}}, "DCVS-1111-400", "#/channel"),
        (
            {"identityMap": {"Email": [{"id": "a", "authenticatedState": "perhaps"}]}},
            "DCVS-1106-400",
            "#/identityMap/Email/0/authenticatedState",
        ),
        (
            {"identityMap": {"Email": [{"id": "a", "kind": "b"}]}},
            "DCVS-1100-400",
            "#/identityMap/Email/0",
        ),
        ({"identityMap": {"Email": {"id": "a"}}}, "DCVS-1104-400", "#/identityMap/Email"),
        ({"timestamp": "11.2.2021"}, "DCVS-1105-400", "#/timestamp"),
        ({"directMarketing": {"linkURL": None}}, "DCVS-1101-400", "#/directMarketing/linkURL"),
        ({"_experience": {"other": 1}}, "DCVS-1100-400", "#"),
    ],
)
async def test_a_field_that_breaks_a_schema_is_found(
    adobe: Adobe, fields: dict[str, Any], code: str, pointer: str | None
) -> None:
    (violation,) = judged(adobe, adobe.new_inlet().schema_id, {**GOOD, **fields})
    assert violation.code == code
    assert pointer in (None, violation.pointer)


async def test_what_an_event_needs_is_demanded(adobe: Adobe) -> None:
    found = judged(adobe, adobe.new_inlet().schema_id, {})
    assert {violation.message for violation in found} == {
        "required key [_id] not found",
        "required key [timestamp] not found",
    }


async def test_a_group_that_the_schema_lacks_brings_no_fields(adobe: Adobe) -> None:
    inlet = adobe.new_inlet(groups=[])
    (violation,) = judged(adobe, inlet.schema_id, {**GOOD, "directMarketing": {}})
    assert violation.message == "extraneous key [directMarketing] is not permitted"


async def test_names_that_are_addresses_become_a_path(adobe: Adobe) -> None:
    feedback = next(group for group in JOURNEYS if "feedback" in group)
    schema_id = adobe.new_inlet(groups=[feedback]).schema_id

    def with_feedback(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
        within = {"messageDeliveryfeedback": fields}
        return {**GOOD, "_experience": {"customerJourneyManagement": within}}

    good = with_feedback(feedbackStatus="denylist", messageExclusion={"reason": "suppressed"})
    assert judged(adobe, schema_id, good) == []
    (violation,) = judged(adobe, schema_id, with_feedback(feedbackStatus="exploded"))
    assert (violation.keyword, violation.pointer) == (
        "enum",
        "#/_experience/customerJourneyManagement/messageDeliveryfeedback/feedbackStatus",
    )


async def test_a_group_may_demand_a_field_and_all_on_the_way_to_it(adobe: Adobe) -> None:
    execution = next(group for group in JOURNEYS if "execution" in group)
    schema_id = adobe.new_inlet(groups=[execution]).schema_id
    within: dict[str, Any] = {"messageExecution": {}}
    for experience, missing in (
        ({}, "_experience"),
        ({"_experience": {}}, "customerJourneyManagement"),
        ({"_experience": {"customerJourneyManagement": within}}, "messageExecutionID"),
    ):
        (violation,) = judged(adobe, schema_id, {**GOOD, **experience})
        assert violation.message == f"required key [{missing}] not found"
    within["messageExecution"]["messageExecutionID"] = "1"
    whole = {**GOOD, "_experience": {"customerJourneyManagement": within}}
    assert judged(adobe, schema_id, whole) == []


async def test_the_registry_answers_a_full_group_in_the_names_of_the_wire(adobe: Adobe) -> None:
    group = next(group for group in STANDARD_GROUPS if group.endswith("experienceevent-channel"))
    path = f"{REGISTRY}/global/fieldgroups/{quote(group, safe='')}"
    channel = (await call(adobe, "GET", path, headers=FULL)).json["properties"]["channel"]
    assert {"_id", "_type", "typeAtSource", "mediaAction"} <= channel["properties"].keys()


@pytest.mark.parametrize(
    "settings",
    [
        MappingSettings(tenant="acme"),
        MappingSettings(tenant="acme", journey_optimizer=True, soft_bounces=True),
        MappingSettings(tenant="acme", email_details=False, keep_raw=True),
    ],
    ids=["usual", "journeys", "plain"],
)
async def test_every_known_event_is_mapped_to_a_valid_entity(
    adobe: Adobe, settings: MappingSettings
) -> None:
    groups = [group.id for group in field_groups(settings) if group.id]
    inlet = adobe.new_inlet(
        groups=[group for group in groups if group != EXPERIENCE_EVENT],
        tenant_group=registered(settings),
    )
    mapper = Mapper(settings)
    bodies = list(every_sample(1, 8))
    assert len(bodies) > 69
    for body in bodies:
        entity = entity_of(body, mapper)
        assert judged(adobe, inlet.schema_id, entity) == [], json.dumps(entity)


def registered(settings: MappingSettings) -> dict[str, Any]:
    """Return the tenant's group as it is sent to the registry."""
    group: dict[str, Any] = tenant_group_schema(settings.tenant, {})
    return group


async def test_profiles_have_fields_of_their_own(adobe: Adobe) -> None:
    schema_id = adobe.new_inlet(of_profiles=True).schema_id
    consent = {"any": {"val": "n", "time": "2021-02-11T17:11:29Z", "reason": "Customer.io"}}
    entity = {
        "identityMap": {"Email": [{"id": "a@example.com"}]},
        "consents": {"marketing": consent},
    }
    assert judged(adobe, schema_id, entity) == []
    (violation,) = judged(adobe, schema_id, {**entity, "eventType": "x"})
    assert violation.message == "extraneous key [eventType] is not permitted"
    (violation,) = judged(
        adobe, schema_id, {**entity, "consents": {"marketing": {"any": {"val": "no"}}}}
    )
    assert violation.keyword == "enum"


async def test_a_group_for_events_does_not_fit_profiles(adobe: Adobe) -> None:
    group = next(group for group in STANDARD_GROUPS if "directmarketing" in group)
    body = {
        "title": "Profiles",
        "type": "object",
        "allOf": [{"$ref": INDIVIDUAL_PROFILE}, {"$ref": group}],
    }
    answer = await call(adobe, "POST", f"{REGISTRY}/tenant/schemas", body)
    assert "does not fit the class" in detail(answer)


async def test_the_steps_of_the_documents_fit_the_published_descriptions(adobe: Adobe) -> None:
    ids = await set_up(adobe)
    mapping = {"sourceType": "ATTRIBUTE", "source": "event_id", "destination": "_id"}
    reference = {"id": ids["schema"], "contentType": CONTENT_TYPE}
    mapping_set = {"outputSchema": {"schemaRef": reference}, "mappings": [mapping]}
    answer = await call(adobe, "POST", f"{CONVERSION}/mappingSets", mapping_set)
    transformation = {"name": "Mapping", "params": {"mappingId": answer.json["id"]}}
    flow = {
        **flow_body(ids["source"], ids["target"]),
        "flowSpec": {"id": FLOW_WITH_MAPPING, "version": "1.0"},
        "transformations": [transformation],
    }
    assert await made(adobe, f"{FLOWS}/flows", flow)
    answer = await call(adobe, "POST", f"{FLOWS}/flows", {**flow, "transformations": ["Mapping"]})
    assert "CreateFlowRequest in Adobe's description" in detail(answer)


async def test_bodies_are_judged_by_the_published_descriptions(adobe: Adobe) -> None:
    connection_id = await made(adobe, f"{FLOWS}/connections", connection_body())
    body = source_body(connection_id)
    del body["data"]
    answer = await call(adobe, "POST", f"{FLOWS}/sourceConnections", body)
    assert answer.status == 400
    assert "'data' is a required property" in detail(answer)
    answer = await call(adobe, "POST", f"{FLOWS}/connections", {**connection_body(), "name": 5})
    assert "name: 5 is not of type 'string'" in detail(answer)
    answer = await call(adobe, "POST", f"{CONVERSION}/mappingSets", {"mappings": {}})
    assert "MappingSet in Adobe's description" in detail(answer)


async def test_a_mapping_leads_to_a_field_of_the_schema(adobe: Adobe) -> None:
    schema_id = adobe.new_inlet().schema_id
    for destination, status in (
        ("directMarketing.clicks.value", "SUCCESS"),
        ("identityMap.Email[0].id", "SUCCESS"),
        ("directMarketing.clicks.amount", "FAILED"),
        ("person.name", "FAILED"),
    ):
        body = {
            "outputSchema": {"schemaRef": {"id": schema_id, "contentType": "1"}},
            "mappings": [{"source": "x", "destination": destination}],
        }
        answer = await call(adobe, "POST", f"{CONVERSION}/mappingSets/validate", body)
        assert answer.json["validationResponse"][0]["status"] == status, destination

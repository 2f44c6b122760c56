"""The Schema Registry keeps to its formats, and lets nobody break a schema in use."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.stand_ins.aep import Adobe, SeededInlet
from tests.stand_ins.aep.specs import EXPERIENCE_EVENT, INDIVIDUAL_PROFILE
from tests.stand_ins.aep_sender import Sender, call, sending
from tests.stand_ins.aep_steps import (
    CATALOG,
    DIRECT_MARKETING,
    FULL,
    IDS,
    RAW,
    REGISTRY,
    dataset_body,
    detail,
    group_body,
    made,
    schema_body,
)
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio

GROUPS = f"{REGISTRY}/tenant/fieldgroups"
SCHEMAS = f"{REGISTRY}/tenant/schemas"
DESCRIPTORS = f"{REGISTRY}/tenant/descriptors"
UNION = {"op": "add", "path": "/meta:immutableTags", "value": ["union"]}
PROPERTIES = "/definitions/customFields/properties/_acme/properties"


@pytest.fixture
async def group_id(adobe: Adobe) -> str:
    return await made(adobe, GROUPS, group_body())


@pytest.fixture
async def schema_id(adobe: Adobe, group_id: str) -> str:
    return await made(adobe, SCHEMAS, schema_body(group_id))


def at(base: str, identifier: str) -> str:
    return f"{base}/{quote(identifier, safe='')}"


async def test_the_tenant_is_named(adobe: Adobe, schema_id: str) -> None:
    stats = (await call(adobe, "GET", f"{REGISTRY}/stats")).json
    assert (stats["tenantId"], stats["imsOrg"]) == ("acme", adobe.org_id)
    assert stats["counts"]["schemas"] == 1


async def test_a_group_is_found_by_either_of_its_names(adobe: Adobe, group_id: str) -> None:
    found = (await call(adobe, "GET", at(GROUPS, group_id), headers=RAW)).json
    assert found["$id"] == group_id
    assert found["version"] == "1.0"
    assert found["meta:altId"].startswith("_acme.mixins.")
    again = await call(adobe, "GET", f"{GROUPS}/{found['meta:altId']}", headers=RAW)
    assert again.json == found
    mixin = await call(adobe, "GET", at(f"{REGISTRY}/tenant/mixins", group_id), headers=RAW)
    assert mixin.json == found
    assert (await call(adobe, "GET", f"{GROUPS}/other", headers=RAW)).status == 404


@pytest.mark.parametrize(
    "accept",
    ["application/json", "application/vnd.adobe.xed+json", "application/vnd.adobe.xed-id+json"],
)
async def test_a_look_up_must_name_format_and_version(
    adobe: Adobe, group_id: str, accept: str
) -> None:
    answer = await call(adobe, "GET", at(GROUPS, group_id), headers={"Accept": accept})
    assert answer.status == 406
    assert "Accept" in detail(answer)


@pytest.mark.parametrize("accept", ["application/json", RAW["Accept"], "*/*"])
async def test_a_list_has_formats_of_its_own(adobe: Adobe, accept: str) -> None:
    assert (await call(adobe, "GET", GROUPS, headers={"Accept": accept})).status == 406


async def test_a_list_says_little_or_everything(adobe: Adobe, group_id: str) -> None:
    (short,) = (await call(adobe, "GET", GROUPS, headers=IDS)).json["results"]
    assert short.keys() == {"$id", "meta:altId", "version", "title"}
    whole = {"Accept": "application/vnd.adobe.xed+json"}
    (long,) = (await call(adobe, "GET", GROUPS, headers=whole)).json["results"]
    assert long["definitions"]


async def test_lists_are_filtered_and_come_in_pages(adobe: Adobe) -> None:
    for title in "bac":
        await made(adobe, GROUPS, {**group_body(), "title": title})

    async def titles(query: str) -> tuple[list[str], str | None]:
        answer = (await call(adobe, "GET", f"{GROUPS}?{query}", headers=IDS)).json
        return [entry["title"] for entry in answer["results"]], answer["_page"]["next"]

    assert await titles("property=title==c") == (["c"], None)
    assert await titles("orderby=title&limit=2") == (["a", "b"], "c")
    assert await titles("orderby=title&limit=2&start=c") == (["c"], None)
    assert (await call(adobe, "GET", f"{GROUPS}?limit=301", headers=IDS)).status == 400


async def test_standard_groups_are_there_unless_the_licence_lacks_them(adobe: Adobe) -> None:
    clicked = "https://ns.adobe.com/xdm/mixins/events/emailclicked"
    path = at(f"{REGISTRY}/global/fieldgroups", clicked)
    assert (await call(adobe, "GET", path, headers=RAW)).json["title"] == "Email Clicked"
    assert (await call(adobe, "POST", SCHEMAS, schema_body(clicked))).status == 201
    adobe.without_groups.add(clicked)
    assert (await call(adobe, "GET", path, headers=RAW)).status == 404
    listed = (await call(adobe, "GET", f"{REGISTRY}/global/fieldgroups", headers=IDS)).json
    assert clicked not in {entry["$id"] for entry in listed["results"]}
    answer = await call(adobe, "POST", SCHEMAS, schema_body(clicked))
    assert "there is no field group" in detail(answer)
    classes = (await call(adobe, "GET", f"{REGISTRY}/global/classes", headers=IDS)).json["results"]
    assert {entry["$id"] for entry in classes} == {EXPERIENCE_EVENT, INDIVIDUAL_PROFILE}


async def test_nothing_is_made_in_the_global_container(adobe: Adobe) -> None:
    answer = await call(adobe, "POST", f"{REGISTRY}/global/fieldgroups", group_body())
    assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")


def with_field(name: str, field: dict[str, Any]) -> dict[str, Any]:
    return group_body(**{name: field})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({**group_body(), "title": ""}, "title"),
        ({**group_body(), "type": "string"}, "type"),
        ({**group_body(), "meta:intendedToExtend": []}, "meta:intendedToExtend"),
        ({**group_body(), "meta:intendedToExtend": ["other"]}, "meta:intendedToExtend"),
        ({**group_body(), "allOf": []}, "allOf"),
        ({**group_body(), "allOf": [{"$ref": "#/definitions/other"}]}, "allOf"),
        ({**group_body(), "definitions": {"customFields": {}}}, "custom fields must lie under"),
        (
            {
                **group_body(),
                "definitions": {"customFields": {"properties": {"a": {"type": "string"}}}},
            },
            "custom fields must lie under [_acme]",
        ),
        (with_field("_hidden", {"type": "string"}), "does not begin with an underscore"),
        (with_field("with space", {"type": "string"}), "letters"),
        (with_field("untyped", {"title": "x"}), "_acme.untyped has no type"),
        (with_field("list", {"type": "array"}), "an array without items"),
        (
            with_field("list", {"type": "array", "items": {"title": "x"}}),
            "_acme.list[] has no type",
        ),
    ],
)
async def test_a_group_with_a_fault_is_refused(
    adobe: Adobe, body: dict[str, Any], words: str
) -> None:
    answer = await call(adobe, "POST", GROUPS, body)
    assert answer.status == 400
    assert words in detail(answer)


async def test_a_schema_has_one_class_and_groups_that_fit(adobe: Adobe, group_id: str) -> None:
    of_profiles = [{"$ref": INDIVIDUAL_PROFILE}, {"$ref": group_id}]
    for references, words in (
        ([], "exactly one class"),
        ([{"$ref": EXPERIENCE_EVENT}, {"$ref": INDIVIDUAL_PROFILE}], "exactly one class"),
        ([{"$ref": EXPERIENCE_EVENT}, {"$ref": "other"}], "there is no field group"),
        (of_profiles, "does not fit the class"),
    ):
        answer = await call(adobe, "POST", SCHEMAS, {**schema_body(), "allOf": references})
        assert answer.status == 400
        assert words in detail(answer)
    answer = await call(adobe, "POST", SCHEMAS, schema_body(group_id))
    assert answer.json["meta:class"] == EXPERIENCE_EVENT
    assert answer.json["meta:extends"] == [EXPERIENCE_EVENT, group_id]


async def test_a_full_schema_has_its_references_resolved(adobe: Adobe, schema_id: str) -> None:
    schema = (await call(adobe, "GET", at(SCHEMAS, schema_id), headers=FULL)).json
    assert schema["properties"]["_acme"]["properties"]["metric"]["type"] == "string"
    assert "allOf" not in schema


async def test_a_change_gives_a_schema_its_next_version(
    adobe: Adobe, schema_id: str, group_id: str
) -> None:
    step = {"op": "add", "path": "/allOf/-", "value": {"$ref": DIRECT_MARKETING}}
    answer = await call(adobe, "PATCH", at(SCHEMAS, schema_id), [step])
    assert answer.json["version"] == "1.1"
    assert answer.json["meta:extends"] == [EXPERIENCE_EVENT, group_id, DIRECT_MARKETING]


async def test_a_tag_is_set_for_ever(adobe: Adobe, schema_id: str) -> None:
    path = at(SCHEMAS, schema_id)
    assert (await call(adobe, "PATCH", path, [UNION])).json["meta:immutableTags"] == ["union"]
    unions = (await call(adobe, "GET", f"{REGISTRY}/tenant/unions", headers=IDS)).json["results"]
    assert [union["$id"] for union in unions] == [f"{EXPERIENCE_EVENT}__union"]
    remove = [{"op": "remove", "path": "/meta:immutableTags"}]
    assert "for ever" in detail(await call(adobe, "PATCH", path, remove))


async def test_nothing_is_removed_from_a_schema_in_use(
    adobe: Adobe, schema_id: str, group_id: str
) -> None:
    add = [{"op": "add", "path": f"{PROPERTIES}/link", "value": {"type": "string"}}]
    assert (await call(adobe, "PATCH", at(GROUPS, group_id), add)).status == 200
    remove = [{"op": "remove", "path": f"{PROPERTIES}/link"}]
    assert (await call(adobe, "PATCH", at(GROUPS, group_id), remove)).status == 200
    await call(adobe, "PATCH", at(GROUPS, group_id), add)
    await made(adobe, f"{CATALOG}/dataSets", dataset_body(schema_id))
    refused = await call(adobe, "PATCH", at(GROUPS, group_id), remove)
    assert "_acme.link" in detail(refused)
    drop = [{"op": "remove", "path": "/allOf/1"}]
    assert group_id in detail(await call(adobe, "PATCH", at(SCHEMAS, schema_id), drop))
    replaced = {"op": "replace", "path": "/$id", "value": "other"}
    assert "$id" in detail(await call(adobe, "PATCH", at(SCHEMAS, schema_id), [replaced]))


async def test_a_group_is_replaced_as_a_whole(adobe: Adobe, group_id: str) -> None:
    path = at(GROUPS, group_id)
    answer = await call(adobe, "PUT", path, group_body(recipient={"type": "string"}))
    assert (answer.json["$id"], answer.json["version"]) == (group_id, "1.1")
    assert (await call(adobe, "PUT", path, {"title": "only"})).status == 200
    assert (await call(adobe, "PUT", path, {"title": ""})).status == 400


async def test_what_is_deleted_is_gone(adobe: Adobe, schema_id: str) -> None:
    assert (await call(adobe, "DELETE", at(SCHEMAS, schema_id))).status == 204
    assert (await call(adobe, "GET", at(SCHEMAS, schema_id), headers=RAW)).status == 404


async def send_metric(sender: Sender, metric: object) -> None:
    assert (await sender.post(sender.message(_acme={"metric": metric}))).status == 200


async def test_fields_of_the_tenant_are_judged_by_the_registered_group(adobe: Adobe) -> None:
    group = group_body(metric={"type": "string", "enum": ["sent", "opened"]})
    inlet = adobe.new_inlet(tenant_group=group)
    async with sending(adobe, inlet) as sender:
        for metric in ("sent", 5, "exploded"):
            await send_metric(sender, metric)
        assert (await sender.post(sender.message(_acme={"extra": 1}))).status == 200
    assert len(adobe.lake(inlet.dataset_id)) == 1
    errors = [record["_validationErrors"][-1] for record in adobe.failed(inlet.dataset_id)]
    assert [error["code"] for error in errors] == [
        "DCVS-1106-400",
        "DCVS-1106-400",
        "DCVS-1100-400",
    ]
    assert errors[0]["message"] == "[5] is not a valid enum value"
    assert errors[2]["message"] == "extraneous key [extra] is not permitted"
    assert errors[2]["pointerToViolation"] == "#/_acme"


async def test_ingestion_learns_of_a_change_within_a_quarter_of_an_hour(
    adobe: Adobe, clock: ManualClock
) -> None:
    inlet = adobe.new_inlet(tenant_group=group_body())
    (group,) = adobe.organisation.field_groups
    async with sending(adobe, inlet) as sender:
        await send_metric(sender, "sent")
        assert len(adobe.lake(inlet.dataset_id)) == 1
        add = [{"op": "add", "path": f"{PROPERTIES}/link", "value": {"type": "string"}}]
        assert (await call(adobe, "PATCH", at(GROUPS, group["$id"]), add)).status == 200
        for seconds, failed in ((899, 1), (1, 1)):
            clock.move(seconds)
            await sender.post(sender.message(_acme={"link": "x"}))
            assert len(adobe.failed(inlet.dataset_id)) == failed


async def post_without_person(adobe: Adobe, inlet: SeededInlet) -> None:
    """Post an event without the field that descriptors are about, and see it arrive."""
    async with sending(adobe, inlet) as sender:
        await sender.post(sender.message())
    assert len(adobe.lake(inlet.dataset_id)) == 1


async def test_an_identity_that_is_not_primary_is_not_required(adobe: Adobe) -> None:
    inlet = adobe.new_inlet(tenant_group=group_body(person={"type": "string"}))
    descriptor = {
        "@type": "xdm:descriptorIdentity",
        "xdm:sourceSchema": inlet.schema_id,
        "xdm:sourceProperty": "/_acme/person",
        "xdm:namespace": "Email",
        "xdm:property": "xdm:code",
        "xdm:isPrimary": False,
    }
    assert (await call(adobe, "POST", DESCRIPTORS, descriptor)).status == 201
    await post_without_person(adobe, inlet)


async def test_errors_are_worded_as_in_adobes_records(adobe: Adobe) -> None:
    fields = {"count": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}
    inlet = adobe.new_inlet(tenant_group=group_body(**fields))
    async with sending(adobe, inlet) as sender:
        await sender.post(sender.message(_acme={"count": "5"}))
        await sender.post(sender.message(_acme={"at": "noon"}))
    first, second = (
        record["_validationErrors"][0]["message"] for record in adobe.failed(inlet.dataset_id)
    )
    assert first == "expected type: Integer, found: String"
    assert second.startswith("[noon] is not a valid date-time. Expected [yyyy-MM-dd")


async def test_a_primary_identity_becomes_required(
    adobe: Adobe, clock: ManualClock, schema_id: str
) -> None:
    inlet = adobe.new_inlet(tenant_group=group_body(person={"type": "string"}))
    descriptor = {
        "@type": "xdm:descriptorIdentity",
        "xdm:sourceSchema": inlet.schema_id,
        "xdm:sourceVersion": 1,
        "xdm:sourceProperty": "/_acme/person",
        "xdm:namespace": "Email",
        "xdm:property": "xdm:code",
        "xdm:isPrimary": True,
    }
    for change, words in (
        ({"@type": "xdm:other"}, "@type"),
        ({"xdm:sourceSchema": "other"}, "xdm:sourceSchema"),
        ({"xdm:namespace": "CRMID"}, "xdm:namespace"),
        ({"xdm:sourceProperty": "/_acme/other"}, "xdm:sourceProperty"),
    ):
        refused = await call(adobe, "POST", DESCRIPTORS, {**descriptor, **change})
        assert refused.status == 400
        assert words in detail(refused)
    answer = await call(adobe, "POST", DESCRIPTORS, descriptor)
    assert answer.status == 201
    listed = await call(
        adobe, "GET", DESCRIPTORS, headers={"Accept": "application/vnd.adobe.xdm-id+json"}
    )
    assert listed.json == {"xdm:descriptorIdentity": [answer.json["@id"]]}
    links = await call(
        adobe, "GET", DESCRIPTORS, headers={"Accept": "application/vnd.adobe.xdm-link+json"}
    )
    assert links.json["xdm:descriptorIdentity"][0].startswith("/tenant/descriptors/")
    async with sending(adobe, inlet) as sender:
        await sender.post(sender.message("a"))
        await sender.post(sender.message("b", _acme={"person": "x"}))
        await sender.post(sender.message("c", _acme={}))
    assert [accepted.id for accepted in adobe.lake(inlet.dataset_id)] == ["b"]
    messages = [
        record["_validationErrors"][0]["message"] for record in adobe.failed(inlet.dataset_id)
    ]
    assert messages == ["required key [_acme] not found", "required key [person] not found"]
    await post_without_person(adobe, adobe.new_inlet(tenant_group=group_body()))
    path = f"{DESCRIPTORS}/{answer.json['@id']}"
    assert (await call(adobe, "GET", path)).json["xdm:namespace"] == "Email"
    assert (await call(adobe, "DELETE", path)).status == 204
    assert (await call(adobe, "GET", path)).status == 404
    assert (await call(adobe, "GET", DESCRIPTORS)).status == 406

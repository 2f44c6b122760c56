"""Field groups and schemas are only ever added to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from streamer.core.errors import StreamerError
from streamer.provision.aep_registry import UNION, FieldGroup, ProfileSchema, Schema
from streamer.provision.aep_step import MARK, Found

TEXT = {"type": "string"}
CLASS = "https://ns.adobe.com/xdm/context/experienceevent"


def nest(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON schema
    return {"type": "object", "properties": properties}


def group(**fields: Any) -> FieldGroup:  # noqa: ANN401 - JSON schema
    wanted = {"_acme": nest(customerio=nest(**fields))}
    return FieldGroup("field_group", "fields", classes=[CLASS], fields=wanted)


def there(definition: str = "custom", **fields: Any) -> Found:  # noqa: ANN401 - JSON schema
    top = nest(_acme=nest(customerio=nest(**fields)))
    return Found(id="https://ns/1", document={"definitions": {definition: top}})


def test_a_field_group_is_made_of_its_fields_and_marked() -> None:
    call = group(href=TEXT).creation({})
    assert call.method == "POST"
    assert call.path == "/data/foundation/schemaregistry/tenant/fieldgroups"
    assert call.body["title"] == "fields"
    assert call.body["description"] == MARK
    assert call.body["meta:intendedToExtend"] == [CLASS]
    assert call.body["allOf"] == [{"$ref": "#/definitions/customFields"}]
    fields = call.body["definitions"]["customFields"]["properties"]
    assert fields == {"_acme": nest(customerio=nest(href=TEXT))}


def test_a_field_group_with_all_fields_is_left_alone() -> None:
    assert group(href=TEXT).changes(there(href=TEXT, theirs=TEXT), {}) == []


def test_missing_fields_are_added_where_the_group_has_its_own() -> None:
    [change] = group(href=TEXT, metric=TEXT, raw=TEXT).changes(there("property", href=TEXT), {})
    assert change.what == "adds the fields metric, raw"
    assert change.call.method == "PATCH"
    place = "/definitions/property/properties/_acme/properties/customerio/properties"
    assert change.call.body == [
        {"op": "add", "path": f"{place}/metric", "value": TEXT},
        {"op": "add", "path": f"{place}/raw", "value": TEXT},
    ]


def test_fields_inside_lists_are_added_too() -> None:
    wanted = {"type": "array", "items": nest(deviceID=TEXT, devicePlatform=TEXT)}
    has = {"type": "array", "items": nest(deviceID=TEXT)}
    [change] = group(recipients=wanted).changes(there(recipients=has), {})
    [operation] = change.call.body
    assert operation["path"].endswith("/recipients/items/properties/devicePlatform")


def test_a_field_of_another_type_is_not_touched() -> None:
    with pytest.raises(StreamerError, match="its field href is of type integer, not string") as e:
        group(href=TEXT).changes(there(href={"type": "integer"}), {})
    assert "--name" in e.value.hint


def test_a_field_group_of_somebody_elses_fields_is_not_touched() -> None:
    other = Found(id="1", document={"definitions": {"x": nest(_acme2=nest())}})
    with pytest.raises(StreamerError, match="has none of our fields"):
        group(href=TEXT).changes(other, {})


def schema(*groups: str) -> Schema:
    return Schema("schema", "s", xdm_class=CLASS, groups=groups, own_group="field_group")


def with_parts(*references: str) -> Found:
    return Found(id="s/1", document={"allOf": [{"$ref": each} for each in references]})


IDS = {"field_group": "own", "schema": "https://ns/s/1"}


def test_a_schema_is_its_class_its_groups_and_our_own() -> None:
    call = schema("a", "b").creation(IDS)
    assert [part["$ref"] for part in call.body["allOf"]] == [CLASS, "a", "b", "own"]
    assert call.body["description"] == MARK


def test_a_schema_gets_the_groups_that_it_lacks_and_keeps_the_others() -> None:
    [change] = schema("a", "b").changes(with_parts(CLASS, "b", "theirs"), IDS)
    assert change.call.body == [
        {"op": "add", "path": "/allOf/-", "value": {"$ref": "a"}},
        {"op": "add", "path": "/allOf/-", "value": {"$ref": "own"}},
    ]
    assert schema("a").changes(with_parts(CLASS, "own", "a"), IDS) == []


def test_a_schema_of_another_class_is_not_touched() -> None:
    with pytest.raises(StreamerError, match="is not of the class"):
        schema("a").changes(with_parts("https://ns.adobe.com/xdm/context/profile"), IDS)


def test_the_tag_for_the_profile_is_put_on_the_schema_itself() -> None:
    call = ProfileSchema("profile_schema", "s", schema="schema").creation(IDS)
    assert call.method == "PATCH"
    assert call.path.endswith("/tenant/schemas/https%3A%2F%2Fns%2Fs%2F1")
    assert call.body == [{"op": "add", "path": "/meta:immutableTags", "value": [UNION]}]


@pytest.mark.parametrize("answer", [None, [], {}, {"$id": ""}, "x"])
def test_an_answer_without_an_id_is_an_error(answer: Mapping[str, Any] | None) -> None:
    with pytest.raises(StreamerError, match="not under which id"):
        schema().created_id(answer)

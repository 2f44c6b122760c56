"""Setting up a dataflow by calls, as the documents describe the steps."""

from __future__ import annotations

from typing import Any

from tests.stand_ins.aep import Adobe
from tests.stand_ins.aep.specs import (
    DATA_LAKE_CONNECTION,
    EXPERIENCE_EVENT,
    FLOW_WITHOUT_MAPPING,
    HTTP_API_CONNECTION,
    STANDARD_GROUPS,
)
from tests.stand_ins.aep_sender import Answer, call

REGISTRY = "/data/foundation/schemaregistry"
CATALOG = "/data/foundation/catalog"
FLOWS = "/data/foundation/flowservice"
CONVERSION = "/data/foundation/conversion"
CONTENT_TYPE = "application/vnd.adobe.xed-full+json;version=1"
RAW = {"Accept": "application/vnd.adobe.xed+json; version=1"}
FULL = {"Accept": "application/vnd.adobe.xed-full+json; version=1"}
IDS = {"Accept": "application/vnd.adobe.xed-id+json"}
DIRECT_MARKETING = next(group for group in STANDARD_GROUPS if "directmarketing" in group)


def group_body(**fields: dict[str, Any]) -> dict[str, Any]:
    """Return a tenant's field group with these fields."""
    properties = fields or {"metric": {"type": "string"}}
    definition = {"properties": {"_acme": {"type": "object", "properties": properties}}}
    return {
        "title": "customerio",
        "type": "object",
        "meta:intendedToExtend": [EXPERIENCE_EVENT],
        "definitions": {"customFields": definition},
        "allOf": [{"$ref": "#/definitions/customFields"}],
    }


def schema_body(*groups: str) -> dict[str, Any]:
    """Return a schema of events with these groups."""
    references = [{"$ref": identifier} for identifier in (EXPERIENCE_EVENT, *groups)]
    return {"title": "Customer.io Event", "type": "object", "allOf": references}


def dataset_body(schema_id: str, **more: object) -> dict[str, Any]:
    """Return a dataset with a schema."""
    reference = {"id": schema_id, "contentType": CONTENT_TYPE}
    return {"name": "Customer.io events", "schemaRef": reference, **more}


def connection_body(**parameters: object) -> dict[str, Any]:
    """Return a connection of HTTP API."""
    usual = {"sourceId": "streamer", "name": "streamer", "dataType": "xdm"}
    return {
        "name": "streamer",
        "connectionSpec": {"id": HTTP_API_CONNECTION, "version": "1.0"},
        "auth": {"specName": "Streaming Connection", "params": {**usual, **parameters}},
    }


def source_body(connection_id: str) -> dict[str, Any]:
    """Return a source of a connection of HTTP API."""
    return {
        "name": "streamer",
        "baseConnectionId": connection_id,
        "connectionSpec": {"id": HTTP_API_CONNECTION, "version": "1.0"},
        "data": {"format": "json"},
    }


def target_body(dataset_id: str, schema_id: str) -> dict[str, Any]:
    """Return a target in the data lake."""
    return {
        "name": "streamer",
        "connectionSpec": {"id": DATA_LAKE_CONNECTION, "version": "1.0"},
        "data": {"schema": {"id": schema_id, "version": CONTENT_TYPE}},
        "params": {"dataSetId": dataset_id},
    }


def flow_body(source_id: str, target_id: str) -> dict[str, Any]:
    """Return a dataflow without a mapping."""
    return {
        "name": "streamer",
        "flowSpec": {"id": FLOW_WITHOUT_MAPPING, "version": "1.0"},
        "sourceConnectionIds": [source_id],
        "targetConnectionIds": [target_id],
    }


async def made(adobe: Adobe, path: str, body: dict[str, Any]) -> str:
    """Make a resource, and return its id."""
    answer = await call(adobe, "POST", path, body)
    assert answer.status == 201, answer
    document = answer.json
    if isinstance(document, list):
        return str(document[0]).removeprefix("@/dataSets/")
    return str(document.get("$id") or document["id"])


async def set_up(adobe: Adobe) -> dict[str, str]:
    """Make everything from the field group to the dataflow, and return what came of it."""
    group_id = await made(adobe, f"{REGISTRY}/tenant/fieldgroups", group_body())
    schema_id = await made(
        adobe, f"{REGISTRY}/tenant/schemas", schema_body(DIRECT_MARKETING, group_id)
    )
    dataset_id = await made(adobe, f"{CATALOG}/dataSets", dataset_body(schema_id))
    connection_id = await made(
        adobe, f"{FLOWS}/connections", connection_body(authenticationRequired=True)
    )
    source_id = await made(adobe, f"{FLOWS}/sourceConnections", source_body(connection_id))
    target = target_body(dataset_id, schema_id)
    target_id = await made(adobe, f"{FLOWS}/targetConnections", target)
    flow_id = await made(adobe, f"{FLOWS}/flows", flow_body(source_id, target_id))
    parameters = (await item(adobe, "connections", connection_id))["auth"]["params"]
    return {
        "group": group_id,
        "schema": schema_id,
        "dataset": dataset_id,
        "connection": connection_id,
        "source": source_id,
        "target": target_id,
        "flow": flow_id,
        "inlet": parameters["inletId"],
        "url": parameters["inletUrl"],
    }


async def item(adobe: Adobe, kind: str, identifier: str) -> dict[str, Any]:
    """Read one resource of the Flow Service."""
    answer = await call(adobe, "GET", f"{FLOWS}/{kind}/{identifier}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json["items"][0]
    return found


def detail(answer: Answer) -> str:
    """Return what a service says about a problem."""
    return str(answer.json["detail"])

"""The Flow Service makes what is described rightly, and an inlet with it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stand_ins.aep import Adobe, SeededInlet
from tests.stand_ins.aep.specs import (
    CUSTOMERIO_CONNECTION,
    FLOW_OF_SOURCE,
    FLOW_WITH_MAPPING,
)
from tests.stand_ins.aep_sender import call, sending
from tests.stand_ins.aep_steps import (
    CONVERSION,
    FLOWS,
    connection_body,
    detail,
    flow_body,
    item,
    made,
    set_up,
    source_body,
    target_body,
)
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ids(adobe: Adobe) -> dict[str, str]:
    return await set_up(adobe)


async def test_what_the_steps_made_takes_data_after_five_minutes(
    adobe: Adobe, clock: ManualClock, ids: dict[str, str]
) -> None:
    inlet = SeededInlet(
        ids["url"], ids["inlet"], ids["connection"], ids["flow"], ids["dataset"], ids["schema"]
    )
    async with sending(adobe, inlet) as sender:
        early = await sender.post(sender.message())
        assert early.status == 400
        assert "takes data after 300 seconds" in early.message
        clock.move(300)
        assert (await sender.post(sender.message(_acme={"metric": "sent"}))).status == 200
    assert len(adobe.lake(ids["dataset"])) == 1


async def test_what_is_made_is_answered_with_its_etag_and_place(adobe: Adobe) -> None:
    answer = await call(adobe, "POST", f"{FLOWS}/connections", connection_body())
    assert answer.status == 201
    assert answer.json.keys() == {"id", "etag"}
    assert answer.headers["Location"].endswith(answer.json["id"])
    connection = await item(adobe, "connections", answer.json["id"])
    assert connection["etag"] == answer.json["etag"]
    assert connection["auth"]["params"]["authenticationRequired"] is False
    assert len(connection["auth"]["params"]["inletId"]) == 64


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"connectionSpec": {"id": "other", "version": "1.0"}}, "connectionSpec.id"),
        ({"connectionSpec": {"id": CUSTOMERIO_CONNECTION, "version": "1.0"}}, "connectionSpec.id"),
        ({"connectionSpec": {"id": connection_body()["connectionSpec"]["id"]}}, "version"),
        ({"auth": {"specName": "Basic", "params": {}}}, "auth.specName"),
        (connection_body(dataType="csv"), "auth.params.dataType"),
        (connection_body(sourceId=""), "auth.params.sourceId"),
        (connection_body(name=None), "auth.params.name"),
        (connection_body(authenticationRequired="yes"), "auth.params.authenticationRequired"),
    ],
)
async def test_a_connection_with_a_fault_is_refused(
    adobe: Adobe, changes: dict[str, Any], words: str
) -> None:
    answer = await call(adobe, "POST", f"{FLOWS}/connections", {**connection_body(), **changes})
    assert answer.status == 400
    assert words in detail(answer)
    assert not len(adobe.organisation.connections)


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("sourceConnections", {"baseConnectionId": "other"}, "baseConnectionId"),
        ("sourceConnections", {"connectionSpec": {"id": "x", "version": "1.0"}}, "connectionSpec"),
        ("targetConnections", {"params": {"dataSetId": "other"}}, "params.dataSetId"),
        ("targetConnections", {"data": {"schema": {"id": "other"}}}, "data.schema.id"),
        ("targetConnections", {"connectionSpec": {}}, "connectionSpec.id"),
        ("flows", {"flowSpec": {"id": "other", "version": "1.0"}}, "flowSpec.id"),
        ("flows", {"flowSpec": {"id": FLOW_WITH_MAPPING}}, "transformations"),
        ("flows", {"flowSpec": {"id": FLOW_OF_SOURCE}}, "flowSpec.id"),
        ("flows", {"sourceConnectionIds": []}, "sourceConnectionIds"),
        ("flows", {"sourceConnectionIds": ["other"]}, "sourceConnectionIds"),
        ("flows", {"targetConnectionIds": ["other"]}, "targetConnectionIds"),
        ("flows", {"transformations": [{"name": "Mapping", "params": {}}]}, "transformations"),
    ],
)
async def test_what_names_something_wrong_is_refused(
    adobe: Adobe, ids: dict[str, str], kind: str, changes: dict[str, Any], words: str
) -> None:
    bodies = {
        "sourceConnections": source_body(ids["connection"]),
        "targetConnections": target_body(ids["dataset"], ids["schema"]),
        "flows": flow_body(ids["source"], ids["target"]),
    }
    answer = await call(adobe, "POST", f"{FLOWS}/{kind}", {**bodies[kind], **changes})
    assert answer.status == 400
    assert words in detail(answer)


async def test_raw_data_needs_a_dataflow_with_a_mapping_that_exists(
    adobe: Adobe, ids: dict[str, str]
) -> None:
    connection_id = await made(adobe, f"{FLOWS}/connections", connection_body(dataType="raw"))
    source_id = await made(adobe, f"{FLOWS}/sourceConnections", source_body(connection_id))
    plain = flow_body(source_id, ids["target"])
    assert "raw data needs" in detail(await call(adobe, "POST", f"{FLOWS}/flows", plain))
    mapping_id = await new_mapping(adobe, ids["schema"])
    for name, params, status in (
        ("Mapping", {"mappingId": "other"}, 400),
        ("Mapped", {"mappingId": mapping_id}, 400),
        ("Mapping", {"mappingId": mapping_id, "mappingVersion": 0}, 201),
    ):
        mapped = {
            **plain,
            "flowSpec": {"id": FLOW_WITH_MAPPING, "version": "1.0"},
            "transformations": [{"name": name, "params": params}],
        }
        assert (await call(adobe, "POST", f"{FLOWS}/flows", mapped)).status == status


async def new_mapping(adobe: Adobe, schema_id: str) -> str:
    body = {
        "outputSchema": {"schemaRef": {"id": schema_id, "contentType": "1"}},
        "mappings": [{"sourceType": "ATTRIBUTE", "source": "event_id", "destination": "_id"}],
    }
    answer = await call(adobe, "POST", f"{CONVERSION}/mappingSets", body)
    assert answer.status == 200
    return str(answer.json["id"])


async def test_the_source_for_customerio_has_an_inlet_of_its_dataflow(
    adobe: Adobe, clock: ManualClock, ids: dict[str, str]
) -> None:
    source = {
        "name": "Customer.io",
        "connectionSpec": {"id": CUSTOMERIO_CONNECTION, "version": "1.0"},
        "data": {"format": "json"},
    }
    refused = {**source, "baseConnectionId": ids["connection"]}
    assert "no base connection" in detail(
        await call(adobe, "POST", f"{FLOWS}/sourceConnections", refused)
    )
    refused = {**source, "data": {"format": "delimited"}}
    assert "data.format" in detail(await call(adobe, "POST", f"{FLOWS}/sourceConnections", refused))
    source_id = await made(adobe, f"{FLOWS}/sourceConnections", source)
    mapping_id = await new_mapping(adobe, ids["schema"])
    body = {
        **flow_body(source_id, ids["target"]),
        "flowSpec": {"id": FLOW_OF_SOURCE, "version": "1.0"},
        "transformations": [{"name": "Mapping", "params": {"mappingId": mapping_id}}],
    }
    flow_id = await made(adobe, f"{FLOWS}/flows", body)
    url = (await item(adobe, "flows", flow_id))["options"]["inletUrl"]
    clock.move(300)
    path = f"{url.removeprefix(adobe.url)}?x-adobe-flow-id={flow_id}"
    assert (await call(adobe, "POST", path, {"event_id": "1"})).status == 200
    assert adobe.received[-1].raw
    for other in (ids["flow"], await made(adobe, f"{FLOWS}/flows", body)):
        foreign = path.replace(flow_id, other)
        assert "no dataflow" in (await call(adobe, "POST", foreign, {"event_id": "1"})).message
    assert (await call(adobe, "DELETE", f"{FLOWS}/flows/{flow_id}")).status == 204
    assert (await call(adobe, "POST", path, {"event_id": "1"})).status == 404


async def test_a_change_must_name_the_present_etag(adobe: Adobe, ids: dict[str, str]) -> None:
    path = f"{FLOWS}/flows/{ids['flow']}"
    patch = [{"op": "replace", "path": "/name", "value": "renamed"}]
    assert "If-Match is missing" in detail(await call(adobe, "PATCH", path, patch))
    present = {"If-Match": (await item(adobe, "flows", ids["flow"]))["etag"]}
    no_patches: tuple[object, ...] = ({}, ["name"])
    for no_patch in no_patches:
        answer = await call(adobe, "PATCH", path, no_patch, headers=present)
        assert (answer.status, "not a JSON patch" in detail(answer)) == (400, True)
    stale = await call(adobe, "PATCH", path, patch, headers={"If-Match": '"other"'})
    assert stale.status == 412
    etag = (await item(adobe, "flows", ids["flow"]))["etag"]
    changed = await call(adobe, "PATCH", path, patch, headers={"If-Match": etag})
    assert changed.status == 200
    flow = await item(adobe, "flows", ids["flow"])
    assert (flow["name"], flow["etag"]) == ("renamed", changed.json["etag"])
    assert flow["etag"] != etag


@pytest.mark.parametrize(
    "step",
    [
        {"op": "replace", "path": "/id", "value": "other"},
        {"op": "replace", "path": "/absent", "value": 1},
        {"op": "remove", "path": "/sourceConnectionIds/7"},
        {"op": "move", "path": "/name", "from": "/id"},
        {"op": "test", "path": "/name", "value": "other"},
        {"op": "add", "path": "name", "value": 1},
        {"op": "add", "path": "/name"},
    ],
)
async def test_a_patch_that_cannot_be_applied_is_refused(
    adobe: Adobe, ids: dict[str, str], step: dict[str, Any]
) -> None:
    before = await item(adobe, "flows", ids["flow"])
    headers = {"If-Match": before["etag"]}
    answer = await call(adobe, "PATCH", f"{FLOWS}/flows/{ids['flow']}", [step], headers=headers)
    assert answer.status == 400
    assert await item(adobe, "flows", ids["flow"]) == before


async def test_a_dataflow_is_switched_off_and_on(adobe: Adobe, ids: dict[str, str]) -> None:
    action = f"{FLOWS}/flows/{ids['flow']}/action"
    etag = (await item(adobe, "flows", ids["flow"]))["etag"]
    for operation, state in (("DISABLE", "disabled"), ("ENABLE", "enabled")):
        answer = await call(adobe, "POST", f"{action}?op={operation}")
        assert answer.status == 200
        assert answer.json["etag"] != etag
        assert (await item(adobe, "flows", ids["flow"]))["state"] == state
    assert (await call(adobe, "POST", f"{action}?op=EXPLODE")).status == 400
    assert (await call(adobe, "POST", f"{FLOWS}/flows/other/action?op=ENABLE")).status == 404


async def test_what_is_deleted_is_gone(adobe: Adobe, ids: dict[str, str]) -> None:
    path = f"{FLOWS}/connections/{ids['connection']}/"
    assert (await call(adobe, "DELETE", path)).status == 204
    assert (await call(adobe, "GET", path)).status == 404
    assert (await call(adobe, "DELETE", path)).status == 404


async def test_lists_are_filtered_and_come_in_pages(
    adobe: Adobe, clock: ManualClock, ids: dict[str, str]
) -> None:
    for name in "abc":
        body = {**flow_body(ids["source"], ids["target"]), "name": name}
        await made(adobe, f"{FLOWS}/flows", body)

    async def names(query: str) -> list[str]:
        answer = await call(adobe, "GET", f"{FLOWS}/flows?{query}")
        assert answer.status == 200
        return [flow["name"] for flow in answer.json["items"]]

    assert await names("property=name==b") == ["b"]
    assert await names("property=name!=b&orderby=-name") == ["streamer", "c", "a"]
    assert len(await names(f"property=sourceConnectionIds[]=={ids['source']}")) == 4
    assert await names("property=flowSpec.id==other") == []
    first = await call(adobe, "GET", f"{FLOWS}/flows?orderby=name&limit=3&count=true")
    assert first.json["count"] == 4
    following = first.json["_links"]["next"]["href"]
    second = await call(adobe, "GET", FLOWS + following)
    assert [flow["name"] for flow in second.json["items"]] == ["streamer"]
    assert "next" not in second.json["_links"]
    now = clock.now()
    for sign, count in ((">=", 4), ("<=", 4), (">", 0), ("<", 0)):
        assert len(await names(f"property=createdAt{sign}{now}")) == count
    assert await names("property=name>=5") == []
    assert len(await names("property=name")) == 4
    assert await names("property=nickname") == []
    assert await names("property=nickname==None") == []
    wrong = ("limit=0", "limit=x", "limit=101", "continuationToken=mine")
    for query in (*wrong, "property=name~b", "property=createdAt>now"):
        assert (await call(adobe, "GET", f"{FLOWS}/flows?{query}")).status == 400


async def test_runs_show_what_became_of_the_records(adobe: Adobe) -> None:
    async with sending(adobe) as sender:
        await sender.post_batch(sender.message("a"), sender.message("b", timestamp="never"))
        flow_id = sender.inlet.flow_id
    answer = await call(adobe, "GET", f"{FLOWS}/runs?property=flowId=={flow_id}")
    summaries = [run["metrics"]["recordSummary"] for run in answer.json["items"]]
    assert sum(summary["inputRecordCount"] for summary in summaries) == 2
    assert sum(summary["failedRecordCount"] for summary in summaries) == 1
    assert (await call(adobe, "GET", f"{FLOWS}/runs?property=flowId==other")).json["items"] == []


async def test_specifications_are_adobes(adobe: Adobe) -> None:
    path = f"{FLOWS}/connectionSpecs/{CUSTOMERIO_CONNECTION}"
    assert (await call(adobe, "GET", path)).json["items"][0]["name"] == "Customer.io"
    assert len((await call(adobe, "GET", f"{FLOWS}/flowSpecs")).json["items"]) == 3
    assert (await call(adobe, "GET", f"{FLOWS}/flowSpecs/other")).status == 404

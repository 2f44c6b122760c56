"""The gateway, the catalog with its exports, Data Prep, namespaces and metrics."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.stand_ins.aep import Adobe, SeededInlet
from tests.stand_ins.aep_sender import call, sending
from tests.stand_ins.aep_steps import CATALOG, CONVERSION, REGISTRY, dataset_body, detail, made
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio

STATS = f"{REGISTRY}/stats"
EXPORT = "/data/foundation/export/batches"
NAMESPACES = "/data/core/idnamespace/identities"
METRICS = "/data/infrastructure/observability/insights/metrics"
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


# The gateway


@pytest.mark.parametrize(
    ("header", "status", "words"),
    [
        ("Authorization", 403, "Oauth token is missing."),
        ("x-api-key", 403, "Api Key is required"),
        ("x-gw-ims-org-id", 400, "x-gw-ims-org-id is missing"),
        ("x-sandbox-name", 400, "x-sandbox-name is missing"),
    ],
)
async def test_a_call_without_a_header_does_not_pass(
    adobe: Adobe, header: str, status: int, words: str
) -> None:
    answer = await call(adobe, "GET", STATS, without=(header,))
    assert answer.status == status
    assert words in answer.json["message"]


@pytest.mark.parametrize(
    ("header", "status"),
    [("Authorization", 401), ("x-api-key", 403), ("x-gw-ims-org-id", 403), ("x-sandbox-name", 403)],
)
async def test_a_call_with_a_wrong_header_does_not_pass(
    adobe: Adobe, header: str, status: int
) -> None:
    assert (await call(adobe, "GET", STATS, headers={header: "Bearer other"})).status == status


async def test_a_token_of_yesterday_does_not_pass(adobe: Adobe, clock: ManualClock) -> None:
    headers = {"Authorization": f"Bearer {adobe.tokens.issue()}"}
    clock.move(86_399)
    answer = await call(adobe, "GET", STATS, headers=headers)
    assert (answer.status, answer.json["error_code"]) == (401, "401013")


async def test_a_body_must_be_json_and_say_so(adobe: Adobe) -> None:
    path = f"{CATALOG}/dataSets"
    answer = await call(adobe, "POST", path, {}, headers={"Content-Type": "text/plain"})
    assert answer.status == 415
    assert "not a JSON object" in detail(await call(adobe, "POST", path, []))


@pytest.mark.parametrize("path", ["/", "/data/foundation/other", f"{REGISTRY}/tenant/others"])
async def test_an_unknown_route_is_a_problem_with_a_body(adobe: Adobe, path: str) -> None:
    answer = await call(adobe, "GET", path)
    assert (answer.status, answer.json["status"]) == (404, 404)


async def test_the_third_call_can_be_made_to_fail(adobe: Adobe) -> None:
    adobe.faults.fail_call(3, 503)
    statuses = [(await call(adobe, "GET", STATS)).status for _ in range(4)]
    assert statuses == [200, 200, 503, 200]


async def test_a_certain_call_can_be_made_to_fail(adobe: Adobe, inlet: SeededInlet) -> None:
    adobe.faults.fail_call(1, 500, method="POST", path_part="/dataSets", kind="answer")
    assert (await call(adobe, "GET", f"{CATALOG}/dataSets")).status == 200
    body = dataset_body(inlet.schema_id)
    assert (await call(adobe, "POST", f"{CATALOG}/dataSets", body)).status == 500
    assert (await call(adobe, "POST", f"{CATALOG}/dataSets", body)).status == 201


async def test_requests_are_logged_without_their_bodies(adobe: Adobe) -> None:
    await call(adobe, "POST", f"{CATALOG}/dataSets", {"secret": "x"})
    request = adobe.requests[-1]
    assert (request.method, request.status, request.size) == ("POST", 400, 15)
    assert "secret" not in repr(adobe.requests)


# The catalog


async def test_a_dataset_is_made_found_changed_and_deleted(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    dataset_id = await made(adobe, f"{CATALOG}/dataSets", dataset_body(inlet.schema_id))
    path = f"{CATALOG}/dataSets/{dataset_id}"
    assert (await call(adobe, "GET", path)).json[dataset_id]["name"] == "Customer.io events"
    step = [{"op": "add", "path": "/description", "value": "ours"}]
    patched = await call(adobe, "PATCH", path, step, headers=JSON_PATCH)
    assert patched.json == [f"@/dataSets/{dataset_id}"]
    await call(adobe, "PATCH", path, {"name": "renamed"})
    found = (await call(adobe, "GET", path)).json[dataset_id]
    assert (found["description"], found["name"]) == ("ours", "renamed")
    assert (await call(adobe, "DELETE", path)).json == [f"@/dataSets/{dataset_id}"]
    assert (await call(adobe, "GET", path)).status == 404


def tag_schema(adobe: Adobe, inlet: SeededInlet, *tags: str) -> None:
    schema = adobe.organisation.schemas.get(inlet.schema_id)
    assert schema is not None
    schema["meta:immutableTags"] = list(tags)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tags": ["unifiedProfile"]}, "tags is not an object"),
        ({"name": ""}, "name"),
        ({"schemaRef": {"id": "other", "contentType": "x"}}, "schemaRef.id"),
        ({"schemaRef": None}, "schemaRef.id"),
        ({"tags": {"unifiedProfile": "enabled:true"}}, "tags is not an object of arrays"),
        ({"tags": {"unifiedProfile": ["enabled:true"]}}, "does not have the tag [union]"),
    ],
)
async def test_a_dataset_with_a_fault_is_refused(
    adobe: Adobe, inlet: SeededInlet, changes: dict[str, Any], words: str
) -> None:
    tag_schema(adobe, inlet)
    body = {**dataset_body(inlet.schema_id), **changes}
    answer = await call(adobe, "POST", f"{CATALOG}/dataSets", body)
    assert answer.status == 400
    assert words in detail(answer)


async def test_a_dataset_names_a_version_of_its_schema(adobe: Adobe, inlet: SeededInlet) -> None:
    reference = {"id": inlet.schema_id, "contentType": "application/json"}
    body = {**dataset_body(inlet.schema_id), "schemaRef": reference}
    answer = await call(adobe, "POST", f"{CATALOG}/dataSets", body)
    assert "schemaRef.contentType" in detail(answer)


async def test_a_dataset_keeps_its_schema(adobe: Adobe, inlet: SeededInlet) -> None:
    path = f"{CATALOG}/dataSets/{inlet.dataset_id}"
    answer = await call(adobe, "PATCH", path, {"schemaRef": {"id": adobe.new_inlet().schema_id}})
    assert "cannot be changed" in detail(answer)
    bad = await call(adobe, "PATCH", path, [{"op": "remove", "path": "/x"}], headers=JSON_PATCH)
    assert bad.status == 400


async def test_a_schema_with_the_tag_lets_a_dataset_into_the_profile_store(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    tag_schema(adobe, inlet, "union")
    tags = {"unifiedProfile": ["enabled:true"], "unifiedIdentity": ["enabled:true"]}
    body = dataset_body(inlet.schema_id, tags=tags)
    assert (await call(adobe, "POST", f"{CATALOG}/dataSets", body)).status == 201


async def test_datasets_are_listed_in_part(adobe: Adobe, inlet: SeededInlet) -> None:
    for name in "abc":
        await made(adobe, f"{CATALOG}/dataSets", {**dataset_body(inlet.schema_id), "name": name})

    async def names(query: str) -> list[str]:
        answer = await call(adobe, "GET", f"{CATALOG}/dataSets?{query}")
        return [dataset["name"] for dataset in answer.json.values()]

    assert await names("") == ["streamer", "a", "b", "c"]
    assert await names("limit=2&start=1") == ["a", "b"]
    assert await names("name=b") == await names("property=name==b") == ["b"]
    assert await names(f"property=schemaRef.id=={inlet.schema_id}&limit=1") == ["streamer"]
    only = (await call(adobe, "GET", f"{CATALOG}/dataSets?properties=name&limit=1")).json
    assert only == {inlet.dataset_id: {"name": "streamer"}}
    for query in ("limit=0", "limit=101", "start=x", "property=name~x"):
        assert (await call(adobe, "GET", f"{CATALOG}/dataSets?{query}")).status == 400


async def test_failed_records_are_found_by_their_batch(adobe: Adobe, clock: ManualClock) -> None:
    async with sending(adobe) as sender:
        dataset_id = sender.inlet.dataset_id
        await sender.post_batch(sender.message("good"), sender.message("bad", timestamp="never"))
    query = f"dataSet={dataset_id}&status=failed&createdAfter={clock.now() - 1}"
    batches = (await call(adobe, "GET", f"{CATALOG}/batches?{query}")).json
    ((batch_id, batch),) = batches.items()
    assert batch["metrics"] == {
        "inputRecordCount": 1,
        "outputRecordCount": 0,
        "failedRecordCount": 1,
    }
    assert (await call(adobe, "GET", f"{CATALOG}/batches/{batch_id}")).json == batches
    listed = (await call(adobe, "GET", f"{EXPORT}/{batch_id}/failed")).json
    names = [file["name"] for file in listed["data"]]
    assert names[0] == "_SUCCESS"
    href = listed["data"][1]["_links"]["self"]["href"].removeprefix(adobe.url)
    record = json.loads((await call(adobe, "GET", href)).body)
    assert record["body"]["xdmEntity"]["_id"] == "bad"
    assert record["_validationErrors"][0]["pointerToViolation"] == "#/timestamp"
    errors = (await call(adobe, "GET", f"{EXPORT}/{batch_id}/meta?path=row_errors")).json
    href = errors["data"][0]["_links"]["self"]["href"].removeprefix(adobe.url)
    row = json.loads((await call(adobe, "GET", href)).body)
    assert row["_errors"][0]["code"] == "DCVS-1105-400"


async def test_batches_come_in_the_order_that_is_asked_for(
    adobe: Adobe, clock: ManualClock
) -> None:
    async with sending(adobe) as sender:
        for _ in range(3):
            await sender.post(sender.message())
            clock.move(3600)
    for order, newest_first in (("asc:created", False), ("desc:created", True)):
        answer = await call(adobe, "GET", f"{CATALOG}/batches?orderBy={order}")
        times = [batch["created"] for batch in answer.json.values()]
        assert len(times) == 3
        assert times == sorted(times, reverse=newest_first)


async def test_batches_are_listed_by_time_status_and_dataset(
    adobe: Adobe, clock: ManualClock
) -> None:
    async with sending(adobe) as sender:
        await sender.post(sender.message())

    async def count(query: str) -> int:
        return len((await call(adobe, "GET", f"{CATALOG}/batches?{query}")).json)

    now = clock.now()
    assert await count("") == await count("status=success") == 1
    assert await count(f"createdAfter={now}") == await count(f"createdBefore={now}") == 0
    assert await count("status=failed") == await count("dataSet=other") == 0
    assert (await call(adobe, "GET", f"{CATALOG}/batches?createdAfter=today")).status == 400
    for path in (f"{CATALOG}/batches/x", f"{EXPORT}/x/failed", f"{EXPORT}/x/meta?path=row_errors"):
        assert (await call(adobe, "GET", path)).status == 404
    batch_id = adobe.datasets.batches()[0]["id"]
    assert (await call(adobe, "GET", f"{EXPORT}/{batch_id}/meta")).status == 400
    assert (await call(adobe, "GET", f"{EXPORT}/{batch_id}/failed?path=other")).status == 404


# Data Prep


def mapping_set(schema_id: str, *mappings: dict[str, Any]) -> dict[str, Any]:
    usual = {"sourceType": "ATTRIBUTE", "source": "event_id", "destination": "_id"}
    reference = {"id": schema_id, "contentType": "application/vnd.adobe.xed-full+json;version=1"}
    return {"outputSchema": {"schemaRef": reference}, "mappings": list(mappings) or [usual]}


def expression(source: str) -> dict[str, Any]:
    return {"sourceType": "EXPRESSION", "source": source, "destination": "eventType"}


async def test_a_mapping_set_is_kept_and_replaced(adobe: Adobe, inlet: SeededInlet) -> None:
    path = f"{CONVERSION}/mappingSets"
    body = mapping_set(inlet.schema_id, expression('concat("a.", metric)'))
    created = await call(adobe, "POST", path, body)
    assert (created.status, created.json["version"]) == (200, 0)
    one = f"{path}/{created.json['id']}"
    assert (await call(adobe, "GET", one)).json["mappings"] == body["mappings"]
    assert (await call(adobe, "GET", f"{one}/mappings")).json["data"] == body["mappings"]
    replaced = await call(adobe, "PUT", one, mapping_set(inlet.schema_id))
    assert replaced.json["version"] == 1
    bad = mapping_set(inlet.schema_id, expression("nothing_like_it()"))
    assert (await call(adobe, "PUT", one, bad)).status == 400
    assert len((await call(adobe, "GET", path)).json["data"]) == 1
    assert (await call(adobe, "GET", f"{path}?name=other")).json["data"] == []
    assert (await call(adobe, "GET", f"{path}/other")).status == 404


async def test_the_old_form_of_a_mapping_is_taken(adobe: Adobe, inlet: SeededInlet) -> None:
    old = {"sourceAttribute": "event_id", "destinationXdmPath": "_id", "identity": False}
    body = {"xdmSchema": inlet.schema_id, "xdmVersion": "1.0", "mappings": [old]}
    assert (await call(adobe, "POST", f"{CONVERSION}/mappingSets", body)).status == 200


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"source": "event_id"}, "no source or no destination"),
        (expression("iif(metric"), "are not paired"),
        (expression('concat("a)'), "quotation"),
        (expression("explode_everything(metric)"), "there is no function"),
        (expression("a" * 4097), "4096 characters"),
    ],
)
async def test_a_mapping_with_a_fault_is_refused(
    adobe: Adobe, inlet: SeededInlet, mapping: dict[str, Any], words: str
) -> None:
    body = mapping_set(inlet.schema_id, mapping)
    answer = await call(adobe, "POST", f"{CONVERSION}/mappingSets", body)
    assert answer.status == 400
    assert words in detail(answer)
    checked = await call(adobe, "POST", f"{CONVERSION}/mappingSets/validate", body)
    assert checked.json["validationResponse"][0]["status"] == "FAILED"


async def test_a_mapping_leads_to_a_field_of_the_tenant(adobe: Adobe) -> None:
    from tests.stand_ins.aep_steps import group_body

    inlet = adobe.new_inlet(tenant_group=group_body())
    for destination, status in (("_acme.metric", "SUCCESS"), ("_acme.other", "FAILED")):
        body = mapping_set(inlet.schema_id, {"source": "metric", "destination": destination})
        checked = await call(adobe, "POST", f"{CONVERSION}/mappingSets/validate", body)
        assert checked.json["validationResponse"][0]["status"] == status


async def test_a_mapping_set_needs_mappings_and_a_schema(adobe: Adobe, inlet: SeededInlet) -> None:
    path = f"{CONVERSION}/mappingSets"
    assert "no schema" in detail(await call(adobe, "POST", path, mapping_set("other")))
    empty = {**mapping_set(inlet.schema_id), "mappings": []}
    assert "mappings" in detail(await call(adobe, "POST", path, empty))


async def test_a_preview_copies_fields_and_guesses_nothing(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    copied = {"sourceType": "ATTRIBUTE", "source": "data.subject", "destination": "a.b"}
    body = {
        "data": {"data": {"subject": "Hello"}},
        "mappingSet": mapping_set(inlet.schema_id, copied, expression("upper(metric)")),
    }
    answer = (await call(adobe, "POST", f"{CONVERSION}/mappingSets/preview", body)).json
    assert answer["data"] == {"a": {"b": "Hello"}}
    assert answer["errors"][0]["source"] == "upper(metric)"
    listed = {**body, "data": [body["data"]]}
    again = (await call(adobe, "POST", f"{CONVERSION}/mappingSets/preview", listed)).json
    assert again == answer
    assert (await call(adobe, "POST", f"{CONVERSION}/mappingSets/preview", {})).status == 400


async def test_the_language_is_listed_and_checked(adobe: Adobe) -> None:
    base = f"{CONVERSION}/languages/el"
    functions = (await call(adobe, "GET", f"{base}/functions")).json
    assert {"iif", "dformat", "sha256"} <= {entry["function"] for entry in functions}
    assert (await call(adobe, "GET", f"{base}/operators")).json
    for text, good in (('concat("a", b)', True), ("nothing_like_it()", False)):
        answer = await call(adobe, "POST", f"{base}/validate", {"expression": text})
        assert answer.json is good
    assert (await call(adobe, "POST", f"{base}/validate", {})).status == 400


# Namespaces and metrics


async def test_namespaces_are_listed_and_added(adobe: Adobe) -> None:
    known = (await call(adobe, "GET", NAMESPACES)).json
    assert {"Email", "Phone", "ECID"} <= {entry["code"] for entry in known}
    assert not any(entry["custom"] for entry in known)
    body = {"code": "CRMID", "name": "CRM id", "idType": "CROSS_DEVICE"}
    assert (await call(adobe, "POST", NAMESPACES, body)).json["custom"] is True
    assert (await call(adobe, "POST", NAMESPACES, body)).status == 409
    assert (await call(adobe, "POST", NAMESPACES, {"code": "x"})).status == 400


async def test_metrics_count_messages_by_inlet_and_dataset(adobe: Adobe) -> None:
    async with sending(adobe) as sender:
        inlet = sender.inlet
        await sender.post_batch(
            sender.message("a"), sender.message("a"), sender.message("b", _id=5)
        )
    names = {
        "timeseries.ingestion.dataset.recordsuccess.count": (inlet.dataset_id, 2),
        "timeseries.profiles.dataset.recordsuccess.count": (inlet.dataset_id, 1),
        "timeseries.ingestion.dataset.batchfailed.count": (inlet.dataset_id, 1),
        "timeseries.data.collection.inlet.total.messages.received": (inlet.id, 3),
    }
    body = {
        "start": "2026-01-01T00:00:00Z",
        "end": "2027-01-01T00:00:00Z",
        "granularity": "DAY",
        "metrics": [{"name": name} for name in names],
    }
    answers = (await call(adobe, "POST", METRICS, body)).json["metricResponses"]
    for answer, (group, count) in zip(answers, names.values(), strict=True):
        (point,) = answer["datapoints"]
        assert point == {"groupBy": group, "dps": {body["start"]: count}}
    unknown = {**body, "metrics": [{"name": "timeseries.other"}]}
    assert (await call(adobe, "POST", METRICS, unknown)).status == 400
    assert (await call(adobe, "POST", METRICS, {"metrics": []})).status == 400

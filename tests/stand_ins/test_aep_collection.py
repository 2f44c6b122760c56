"""An inlet takes what the documents describe, and says what is wrong with anything else."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.stand_ins.aep import Adobe
from tests.stand_ins.aep.specs import FLOW_WITH_MAPPING, FLOW_WITHOUT_MAPPING
from tests.stand_ins.aep_sender import Sender, sending
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio

MISSING = object()


def changed(message: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Set the value at a dotted path, or take it away."""
    *parents, last = path.split(".")
    place = message
    for key in parents:
        place = place[key]
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return message


async def test_a_message_is_answered_with_a_receipt(adobe: Adobe, sender: Sender) -> None:
    answer = await sender.post(sender.message("one"))
    assert answer.status == 200
    assert answer.json["inletId"] == sender.inlet.id
    assert answer.json["syncValidation"] == {"skipped": True}
    (accepted,) = adobe.received
    assert (accepted.id, accepted.request, accepted.index) == ("one", 1, 0)
    assert accepted.xaction_id == answer.json["xactionId"]
    assert (accepted.dataset_id, accepted.flow_id) == (
        sender.inlet.dataset_id,
        sender.inlet.flow_id,
    )


async def test_a_batch_is_answered_message_by_message(adobe: Adobe, sender: Sender) -> None:
    answer = await sender.post_batch(sender.message("a"), {"header": {}}, sender.message("b"))
    assert answer.status == 207
    first, second, third = answer.json["responses"]
    base = answer.json["batchId"]
    assert (first, third) == ({"xactionId": f"{base}:0"}, {"xactionId": f"{base}:2"})
    assert second["statusCode"] == 400
    assert "Message has unknown xdm format" in second["message"]
    assert [accepted.id for accepted in adobe.received] == ["a", "b"]


async def test_a_batch_is_207_even_if_nothing_in_it_is_good(sender: Sender) -> None:
    answer = await sender.post_batch({}, "text", None)
    assert answer.status == 207
    assert [entry["statusCode"] for entry in answer.json["responses"]] == [400, 400, 400]


ENVELOPE = [
    ("header", MISSING, "header is missing"),
    ("body", MISSING, "body is missing"),
    ("body.xdmMeta", MISSING, "body.xdmMeta is missing"),
    ("body.xdmEntity", MISSING, "body.xdmEntity is missing"),
    ("body.xdmEntity", [], "body.xdmEntity is missing or not an object"),
    ("header.imsOrgId", "other@AdobeOrg", "absent or wrong ims org"),
    ("header.imsOrgId", MISSING, "absent or wrong ims org"),
    ("header.schemaRef", MISSING, "header.schemaRef is missing"),
    ("body.xdmMeta.schemaRef", MISSING, "differ"),
    ("body.xdmMeta.schemaRef.id", "https://ns.adobe.com/acme/schemas/other", "differ"),
    ("body.xdmMeta.schemaRef.contentType", "application/json", "differ"),
    ("header.flowId", MISSING, "header.flowId is missing"),
    ("header.flowId", "69f188b6-af07-4587-8061-e94d34637b41", "no dataflow"),
    ("header.datasetId", MISSING, "header.datasetId is missing"),
    ("header.datasetId", "5da9452f7de80400007dc52a", "names no dataset"),
    ("header.createdAt", "yesterday", "header.createdAt"),
]


@pytest.mark.parametrize(("path", "value", "words"), ENVELOPE)
async def test_an_envelope_with_a_fault_is_refused(
    adobe: Adobe, sender: Sender, path: str, value: object, words: str
) -> None:
    message = changed(sender.message(), path, value)
    single = await sender.post(message)
    assert single.status == 400
    assert words in single.message
    assert sender.inlet.id in single.message
    batch = await sender.post_batch(message)
    assert words in batch.json["responses"][0]["message"]
    assert not adobe.received


@pytest.mark.parametrize("part", ["id", "contentType"])
async def test_both_references_must_fit_the_dataset(sender: Sender, part: str) -> None:
    message = sender.message()
    for place in ("header.schemaRef", "body.xdmMeta.schemaRef"):
        changed(message, f"{place}.{part}", "https://ns.adobe.com/acme/schemas/other")
    assert (await sender.post(message)).status == 400


async def test_a_dataset_must_be_the_one_of_the_dataflow(adobe: Adobe, sender: Sender) -> None:
    other = adobe.new_inlet()
    message = changed(sender.message(), "header.datasetId", other.dataset_id)
    assert "not the dataset of header.flowId" in (await sender.post(message)).message


async def test_a_dataflow_must_start_at_the_inlet(adobe: Adobe, sender: Sender) -> None:
    other = adobe.new_inlet()
    message = changed(sender.message(), "header.flowId", other.flow_id)
    assert "no dataflow" in (await sender.post(message)).message


@pytest.mark.parametrize("created", [1526283801869, "1526283801869", MISSING])
async def test_the_time_of_creation_is_text_or_number_or_absent(
    sender: Sender, created: object
) -> None:
    message = changed(sender.message(), "header.createdAt", created)
    assert (await sender.post(message)).status == 200


async def test_the_organisation_is_filled_in_where_that_is_believed(
    adobe: Adobe, sender: Sender
) -> None:
    adobe.rules.change(organisation_required=False)
    message = changed(sender.message(), "header.imsOrgId", MISSING)
    assert (await sender.post(message)).status == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"header":', "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b"[]", "JSON object"),
        (b"", "not JSON"),
    ],
)
async def test_a_body_must_be_a_json_object(sender: Sender, body: bytes, words: str) -> None:
    answer = await sender.post_bytes(body)
    assert answer.status == 400
    assert words in answer.message


@pytest.mark.parametrize("document", [{}, {"messages": []}, {"messages": {}}, []])
async def test_a_batch_needs_messages(sender: Sender, document: object) -> None:
    answer = await sender.post_batch_body(document)
    assert answer.status == 400
    assert "messages is missing" in answer.message


async def test_only_json_is_taken_and_nothing_compressed(sender: Sender) -> None:
    body = json.dumps(sender.message()).encode()
    assert (await sender.post_bytes(body, "text/plain")).status == 415
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await sender.send(sender.inlet.url, gzip.compress(body), headers)
    assert answer.status == 415


@pytest.mark.parametrize(("excess", "status"), [(0, 200), (1, 413)])
async def test_a_request_of_more_than_a_megabyte_is_too_large(
    sender: Sender, excess: int, status: int
) -> None:
    body = json.dumps(sender.message()).encode()
    filled = body + b" " * (1_000_000 - len(body) + excess)
    assert (await sender.post_bytes(filled)).status == status


async def test_a_problem_has_a_type_a_title_and_a_report(adobe: Adobe, sender: Sender) -> None:
    problem = (await sender.post({})).json
    assert problem.keys() == {"type", "status", "title", "report"}
    assert problem["title"] == "Invalid XDM Message Format"
    assert (await sender.post_bytes(b"no")).json["title"] == problem["title"]
    adobe.rules.change(request_bytes_max=10)
    too_large = (await sender.post(sender.message())).json
    assert (too_large["status"], too_large["title"]) == (413, "Request refused")


async def test_an_inlet_that_never_was_is_404(sender: Sender) -> None:
    url = sender.inlet.url.replace(sender.inlet.id, "0" * 64)
    answer = await sender.send(url, b"{}", {"Content-Type": "application/json"})
    assert answer.status == 404
    assert "there is no such inlet" in answer.message


async def test_envelopes_need_a_dataflow_without_a_mapping(adobe: Adobe, sender: Sender) -> None:
    flow = adobe.organisation.flows.get(sender.inlet.flow_id)
    assert flow is not None
    assert flow["flowSpec"]["id"] == FLOW_WITHOUT_MAPPING


async def test_an_inlet_that_is_gone_is_404(adobe: Adobe, sender: Sender) -> None:
    adobe.organisation.connections.remove(sender.inlet.connection_id)
    answer = await sender.post(sender.message())
    assert answer.status == 404
    assert sender.inlet.id in answer.message


async def test_a_disabled_dataflow_takes_nothing(adobe: Adobe, sender: Sender) -> None:
    flow = adobe.organisation.flows.get(sender.inlet.flow_id)
    assert flow is not None
    flow["state"] = "disabled"
    answer = await sender.post(sender.message())
    assert answer.status == 404
    assert "disabled" in answer.message
    batch = await sender.post_batch(sender.message())
    assert batch.status == 207
    assert batch.json["responses"][0]["statusCode"] == 404


@pytest.mark.parametrize(("seconds", "status"), [(-0.001, 400), (0, 200)])
async def test_a_new_dataflow_takes_nothing_for_five_minutes(
    adobe: Adobe, clock: ManualClock, sender: Sender, seconds: float, status: int
) -> None:
    flow = adobe.organisation.flows.get(sender.inlet.flow_id)
    assert flow is not None
    flow["createdAt"] = clock.now()
    clock.move(300 + seconds)
    answer = await sender.post(sender.message())
    assert answer.status == status


async def test_an_authenticated_inlet_wants_a_token(adobe: Adobe, sender: Sender) -> None:
    good = sender.headers.pop("Authorization")
    missing = await sender.post(sender.message())
    assert missing.status == 401
    assert missing.json["status"] == "401"
    assert missing.message == "[id] Ims service token is empty"
    invalid = await sender.post(sender.message(), headers={"Authorization": "Bearer no"})
    assert (invalid.status, invalid.message) == (401, "[id] Ims service token is invalid")
    adobe.rules.change(bad_token_status=403)
    assert (await sender.post(sender.message())).status == 401
    adobe.expire_tokens()
    expired = await sender.post(sender.message(), headers={"Authorization": good})
    assert (expired.status, expired.message) == (403, "[id] Ims service token is expired")


async def test_an_authenticated_inlet_wants_its_sandbox(adobe: Adobe, sender: Sender) -> None:
    answer = await sender.post(sender.message(), headers={"x-sandbox-name": "other"})
    assert answer.status == 403
    del sender.headers["x-sandbox-name"]
    answer = await sender.post(sender.message())
    assert answer.status == 400
    assert "x-sandbox-name is missing" in answer.message
    adobe.rules.change(sandbox_required=False)
    assert (await sender.post(sender.message())).status == 200


async def test_an_inlet_without_authentication_asks_for_nothing(adobe: Adobe) -> None:
    async with sending(adobe, authenticated=False) as sender:
        sender.headers.clear()
        assert (await sender.post(sender.message())).status == 200


async def test_an_address_that_is_not_allowed_meets_an_empty_403(
    adobe: Adobe, sender: Sender
) -> None:
    adobe.rules.change(allowed_addresses=frozenset({"192.0.2.1"}))
    answer = await sender.post(sender.message())
    assert (answer.status, answer.body) == (403, b"")


async def test_a_raw_message_names_its_dataflow_in_the_request(adobe: Adobe) -> None:
    async with sending(adobe, data_type="raw") as sender:
        flow_id = sender.inlet.flow_id
        flow = adobe.organisation.flows.get(flow_id)
        assert flow is not None
        assert flow["flowSpec"]["id"] == FLOW_WITH_MAPPING
        bare = {"event_id": "1", "anything": None}
        refused = await sender.post(bare)
        assert refused.status == 400
        assert "x-adobe-flow-id is missing" in refused.message
        named = {"x-adobe-flow-id": flow_id}
        assert (await sender.post(bare, headers=named)).status == 200
        assert (await sender.post(bare, query=f"?x-adobe-flow-id={flow_id}")).status == 200
        assert (await sender.post_batch(bare, headers=named)).json["responses"][0]["xactionId"]
        assert (await sender.post(bare, headers={"x-adobe-flow-id": "other"})).status == 400
        assert all(accepted.raw and accepted.entity == bare for accepted in adobe.received)
        assert len(adobe.lake(sender.inlet.dataset_id)) == 3


async def test_a_bare_entity_may_name_its_dataflow_in_the_request(
    adobe: Adobe, sender: Sender
) -> None:
    entity = sender.message()["body"]["xdmEntity"]
    assert (await sender.post(entity)).status == 400
    headers = {"x-adobe-flow-id": sender.inlet.flow_id}
    assert (await sender.post(entity, headers=headers)).status == 200
    assert adobe.lake(sender.inlet.dataset_id)[0].entity == entity


async def test_too_many_requests_in_a_second_are_refused(
    adobe: Adobe, clock: ManualClock, sender: Sender
) -> None:
    adobe.rules.change(requests_per_second=2)
    statuses = [(await sender.post(sender.message())).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    adobe.rules.change(throttled_retry_after_seconds=7)
    throttled = await sender.post(sender.message())
    assert (throttled.status, throttled.headers["Retry-After"]) == (429, "7")
    clock.move(1)
    assert (await sender.post(sender.message())).status == 200


async def test_too_many_messages_in_a_second_are_refused(adobe: Adobe, sender: Sender) -> None:
    adobe.rules.change(messages_per_second=3)
    assert (await sender.post_batch(*[sender.message()] * 3)).status == 207
    refused = await sender.post_batch(sender.message())
    assert refused.status == 429
    assert "Retry-After" not in refused.headers


async def test_the_documented_rates_are_a_thousand_and_ten_thousand(adobe: Adobe) -> None:
    assert adobe.rules.requests_per_second == 1_000
    assert adobe.rules.messages_per_second == 10_000


async def test_validation_at_once_says_what_is_wrong(
    adobe: Adobe, clock: ManualClock, sender: Sender
) -> None:
    good = await sender.post(sender.message("good"), query="?syncValidation=true")
    assert good.json["syncValidation"] == {"status": "pass"}
    bad = await sender.post(sender.message("bad", timestamp=5), query="?syncValidation=true")
    assert bad.status == 400
    (cause,) = bad.json["report"]["cause"]["_streamingValidation"]
    assert cause["causingExceptions"][0]["pointerToViolation"] == "#/timestamp"
    assert [accepted.id for accepted in adobe.received] == ["good"]
    adobe.rules.change(sync_validations_per_minute=3)
    statuses = [
        (await sender.post(sender.message(), query="?syncValidation=true")).status for _ in "12"
    ]
    assert statuses == [200, 429]
    clock.move(60)
    adobe.rules.change(sync_validation_supported=False)
    assert (await sender.post(sender.message(), query="?syncValidation=true")).status == 501
    assert (await sender.post(sender.message(), query="?syncValidation=maybe")).status == 400
    batch = await sender.post_batch(sender.message(), query="?syncValidation=true")
    assert (batch.status, "batch" in batch.message) == (400, True)

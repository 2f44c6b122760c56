"""Messages that were answered end in the lake, in the profile store or in a failed batch."""

from __future__ import annotations

import json

import pytest

from tests.stand_ins.aep import Adobe, aep_stand_in
from tests.stand_ins.aep_sender import Sender, sending
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio


async def test_a_repeat_is_kept_by_the_lake_and_dropped_by_the_profile_store(
    adobe: Adobe, sender: Sender
) -> None:
    for identifier in ("a", "b", "a"):
        assert (await sender.post(sender.message(identifier))).status == 200
    dataset_id = sender.inlet.dataset_id
    assert [accepted.id for accepted in adobe.lake(dataset_id)] == ["a", "b", "a"]
    assert [accepted.id for accepted in adobe.profile(dataset_id)] == ["a", "b"]


@pytest.mark.parametrize(("excess", "taken"), [(0, 1), (1, 0)])
async def test_an_event_over_ten_kilobytes_never_reaches_a_profile(
    adobe: Adobe, sender: Sender, excess: int, taken: int
) -> None:
    empty = json.dumps(sender.message("01", note="")["body"]["xdmEntity"], separators=(",", ":"))
    note = "é" + "x" * (10_000 - len(empty) - len("é".encode()) + excess)
    assert (await sender.post(sender.message("01", note=note))).status == 200
    assert len(adobe.lake(sender.inlet.dataset_id)) == 1
    assert len(adobe.profile(sender.inlet.dataset_id)) == taken
    assert len(adobe.profile_dropped(sender.inlet.dataset_id)) == 1 - taken


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"identityMap": {}}, "about nobody"),
        ({"identityMap": {"Email": []}}, "about nobody"),
        ({"identityMap": {"CRMID": [{"id": "5"}]}}, "[CRMID] is not registered"),
    ],
)
async def test_an_event_that_is_nobodys_reaches_the_lake_alone(
    adobe: Adobe, sender: Sender, fields: dict[str, object], reason: str
) -> None:
    assert (await sender.post(sender.message(**fields))).status == 200
    assert len(adobe.lake(sender.inlet.dataset_id)) == 1
    assert not adobe.profile(sender.inlet.dataset_id)
    (dropped,) = adobe.profile_dropped(sender.inlet.dataset_id)
    assert reason in dropped.reason


async def test_a_dataset_must_be_enabled_for_profiles(adobe: Adobe, sender: Sender) -> None:
    dataset = adobe.organisation.datasets.get(sender.inlet.dataset_id)
    assert dataset is not None
    dataset["tags"] = {}
    await sender.post(sender.message())
    (dropped,) = adobe.profile_dropped(sender.inlet.dataset_id)
    assert "not enabled" in dropped.reason


async def test_fields_that_nobody_registered_are_nobodys_business(
    adobe: Adobe, sender: Sender
) -> None:
    await sender.post(sender.message(_acme={"anything": 1}, other={"thing": 2}))
    assert len(adobe.lake(sender.inlet.dataset_id)) == 1


FAULTS = [
    ({"note": None}, "DCVS-1101-400", "#/note"),
    ({"deep": {"list": ["", {"x": None}]}}, "DCVS-1101-400", "#/deep/list/1/x"),
    ({"_id": 5}, "DCVS-1104-400", "#/_id"),
    ({"timestamp": 1613063489}, "DCVS-1104-400", "#/timestamp"),
    ({"timestamp": "2018-00-10T22:07:56Z"}, "DCVS-1105-400", "#/timestamp"),
    ({"timestamp": "2018-01-10 22:07:56Z"}, "DCVS-1105-400", "#/timestamp"),
    ({"timestamp": "2018-01-10T22:07:56"}, "DCVS-1105-400", "#/timestamp"),
    ({"timestamp": "2018-01-10T22:07:56.1234567890Z"}, "DCVS-1105-400", "#/timestamp"),
]


@pytest.mark.parametrize(("entity", "code", "pointer"), FAULTS)
async def test_a_bad_entity_is_received_and_fails_afterwards(
    adobe: Adobe, sender: Sender, entity: dict[str, object], code: str, pointer: str
) -> None:
    assert (await sender.post(sender.message(**entity))).status == 200
    assert not adobe.lake(sender.inlet.dataset_id)
    (record,) = adobe.failed(sender.inlet.dataset_id)
    (error,) = record["_validationErrors"]
    assert (error["code"], error["pointerToViolation"]) == (code, pointer)


@pytest.mark.parametrize("missing", ["_id", "timestamp"])
async def test_what_is_required_fails_when_it_is_missing(
    adobe: Adobe, sender: Sender, missing: str
) -> None:
    message = sender.message()
    del message["body"]["xdmEntity"][missing]
    assert (await sender.post(message)).status == 200
    (record,) = adobe.failed(sender.inlet.dataset_id)
    assert record["_validationErrors"][0]["code"] == "DCVS-1111-400"
    assert f"[{missing}]" in record["_validationErrors"][0]["message"]


@pytest.mark.parametrize(
    "timestamp",
    [
        "2021-02-11T17:11:29Z",
        "2021-02-11T17:11:29.1Z",
        "2021-02-11T17:11:29.123456789+05:30",
        "2021-02-11T17:11:29-08:00",
    ],
)
async def test_four_forms_of_a_moment_are_taken(
    adobe: Adobe, sender: Sender, timestamp: str
) -> None:
    await sender.post(sender.message(timestamp=timestamp))
    assert len(adobe.lake(sender.inlet.dataset_id)) == 1


async def test_validation_stops_at_five_errors(adobe: Adobe, sender: Sender) -> None:
    await sender.post(sender.message(many=[None] * 9))
    (record,) = adobe.failed(sender.inlet.dataset_id)
    assert len(record["_validationErrors"]) == 5


@pytest.mark.parametrize("source", [{}, {"name": ""}, None])
async def test_a_message_without_a_source_fails_afterwards(
    adobe: Adobe, sender: Sender, source: object
) -> None:
    message = sender.message()
    message["header"]["source"] = source
    assert (await sender.post(message)).status == 200
    (record,) = adobe.failed(sender.inlet.dataset_id)
    (error,) = record["_errors"]["_streamingValidation"]
    assert error == {"message": "Payload header is missing Source Name"}


async def test_a_message_is_judged_some_time_after_its_answer(
    adobe: Adobe, clock: ManualClock, sender: Sender
) -> None:
    adobe.rules.change(validation_seconds=3600)
    await sender.post(sender.message())
    clock.move(3599)
    assert not adobe.lake(sender.inlet.dataset_id)
    clock.move(1)
    assert len(adobe.lake(sender.inlet.dataset_id)) == 1


async def test_failures_of_a_quarter_of_an_hour_share_a_batch(
    adobe: Adobe, clock: ManualClock, sender: Sender
) -> None:
    for seconds in (0, 900, 1):
        clock.move(seconds)
        await sender.post(sender.message(timestamp="yesterday"))
        await sender.post(sender.message("fine"))
    failed = [batch for batch in adobe.datasets.batches() if batch["status"] == "failed"]
    assert [batch["metrics"]["failedRecordCount"] for batch in failed] == [2, 1]
    assert failed[0]["errors"][0]["code"] == "DCVS-1105-400"
    assert failed[0]["errors"][0]["recordCount"] == 2
    succeeded = [batch for batch in adobe.datasets.batches() if batch["status"] == "success"]
    assert sum(batch["metrics"]["outputRecordCount"] for batch in succeeded) == 3


async def test_what_the_stand_in_itself_gets_wrong_fails_the_test() -> None:
    with pytest.raises(ZeroDivisionError):
        async with aep_stand_in(clock=ManualClock()) as adobe, sending(adobe) as sender:
            adobe.faults.poison = lambda _: 1 // 0 > 0
            assert (await sender.post(sender.message())).status == 500


async def test_a_rule_that_does_not_exist_is_not_set() -> None:
    with pytest.raises(TypeError, match="no rule 'requests_per_minute'"):
        async with aep_stand_in(requests_per_minute=1):
            pass

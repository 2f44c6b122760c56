"""Setting up Adobe: from nothing, twice, half-way, and what must not be touched."""

from __future__ import annotations

from typing import Any, Literal, get_args

import pytest

from streamer.core.errors import StreamerError
from streamer.core.provision_limits import ADOBE_CREATIONS_MAX
from streamer.provision.aep_plan import DEFAULT_NAME
from streamer.provision.aep_problem import PlatformError
from streamer.provision.aep_registry import UNION
from streamer.provision.aep_removal import IN_PROFILE, NOT_OURS, STAYS, delete, find_removable
from streamer.provision.aep_step import MARK
from tests.provision.adobe import Site, site

pytestmark = pytest.mark.anyio

Kind = Literal["lost", "reset", "answer"]
STEPS = ("field_group", "schema", "dataset", "connection", "source", "target", "flow")
CALLS = 21
"""Of one set-up of mapped events."""
ONE_EACH = {
    "field_groups": 1, "schemas": 1, "datasets": 1, "connections": 1, "source_connections": 1,
    "target_connections": 1, "flows": 1, "mapping_sets": 0,
}  # fmt: skip
EMAIL_CLICKED = "https://ns.adobe.com/xdm/mixins/events/emailclicked"
EVERYTHING: dict[str, Any] = {"profile": True, "consent": True, "adobe_source": True}


async def test_from_nothing_everything_is_made_once_and_marked() -> None:
    async with site() as here:
        ids = await here.set_up()
        assert here.counts() == ONE_EACH
        assert set(here.states.values()) == {"made"}
        assert tuple(here.states) == STEPS
        flow = here.adobe.organisation.flows.get(ids["flow"])
        schema = here.adobe.organisation.schemas.get(ids["schema"])
        connection = here.adobe.organisation.connections.get(ids["connection"])
    assert flow is not None
    assert schema is not None
    assert connection is not None
    assert flow["targetConnectionIds"] == [ids["target"]]
    assert {"$ref": ids["field_group"]} in schema["allOf"]
    assert connection["auth"]["params"]["authenticationRequired"] is True
    for document in (flow, schema, connection):
        assert MARK in document["description"]


async def test_the_second_time_nothing_is_changed() -> None:
    async with site() as here:
        first = await here.set_up(**EVERYTHING)
        there = here.counts()
        here.adobe.requests.clear()
        assert await here.set_up(**EVERYTHING) == first
        assert set(here.states.values()) == {"kept"}
        assert here.writes() == []
        assert here.counts() == there


async def test_a_dry_run_makes_no_call_that_changes_anything() -> None:
    async with site() as here:
        ids = await here.set_up(write=False, **EVERYTHING)
        assert here.writes() == []
        assert ids["flow"] == "{flow}"
        assert set(here.states.values()) == {"to make"}
        assert not any("%7B" in request.path for request in here.adobe.requests)
        bodies = {act.key: act.calls[0].body for act in here.acts}
    assert bodies["flow"]["sourceConnectionIds"] == ["{source}"]
    assert bodies["dataset"]["schemaRef"]["id"] == "{schema}"


async def test_a_dry_run_tells_what_is_there_from_what_is_not() -> None:
    async with site() as here:
        ids = await here.set_up()
        here.adobe.organisation.flows.remove(ids["flow"])
        await here.set_up(write=False)
        assert here.states == {key: "to make" if key == "flow" else "kept" for key in STEPS}


@pytest.mark.parametrize("number", range(1, len(STEPS) + 1))
async def test_a_set_up_that_stopped_before_any_step_goes_on_there(number: int) -> None:
    async with site() as here:
        here.adobe.faults.fail_call(number, 400, method="POST")
        with pytest.raises(PlatformError, match="Fault on order") as raised:
            await here.set_up()
        assert raised.value.hint
        assert sum(here.counts().values()) == number - 1
        ids = await here.set_up()
        assert here.counts() == ONE_EACH
        assert list(here.states.values()) == ["kept"] * (number - 1) + ["made"] * (8 - number)
        assert len(set(ids.values())) == len(STEPS)


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("number", range(1, len(STEPS) + 1))
async def test_a_call_of_which_nobody_knows_makes_no_second_one(number: int, kind: Kind) -> None:
    """Whether the answer was lost, the request was, or Adobe stumbled, one is there after it."""
    async with site() as here:
        here.adobe.faults.fail_call(number, 500, kind=kind, method="POST")
        ids = await here.set_up()
        assert here.counts() == ONE_EACH
        assert await here.set_up() == ids


async def test_a_step_that_fails_again_and_again_is_given_up() -> None:
    async with site() as here:
        for _ in range(ADOBE_CREATIONS_MAX):
            here.adobe.faults.fail_call(1, 500, method="POST")
        with pytest.raises(PlatformError, match="answered 500"):
            await here.set_up()
        assert len(here.writes()) == ADOBE_CREATIONS_MAX


@pytest.mark.parametrize("number", range(1, CALLS + 1))
async def test_any_refused_call_is_an_error_that_says_whose(number: int) -> None:
    async with site() as here:
        here.adobe.faults.fail_call(number, 403)
        with pytest.raises(PlatformError) as raised:
            await here.set_up()
        assert str(raised.value).startswith("Adobe's ")
        assert "permission" in raised.value.hint
        await here.set_up()
        assert here.counts() == ONE_EACH


async def test_a_field_group_that_is_not_offered_and_can_be_done_without_is_left_out() -> None:
    async with site() as here:
        here.adobe.registry.missing_groups.add(EMAIL_CLICKED)
        ids = await here.set_up()
        schema = here.adobe.organisation.schemas.get(ids["schema"])
    assert schema is not None
    assert {"$ref": EMAIL_CLICKED} not in schema["allOf"]


async def test_a_field_group_that_is_needed_and_not_offered_ends_it_before_the_first_step() -> None:
    async with site() as here:
        channel = "https://ns.adobe.com/xdm/context/experienceevent-channel"
        here.adobe.registry.missing_groups.add(channel)
        with pytest.raises(StreamerError, match="is not offered the field group Channel Details"):
            await here.set_up()
        assert here.writes() == []


async def test_a_schema_that_lacks_fields_and_groups_is_added_to() -> None:
    async with site() as here:
        here.adobe.registry.missing_groups.add(EMAIL_CLICKED)
        ids = await here.set_up()
        group = here.adobe.organisation.field_groups.get(ids["field_group"])
        assert group is not None
        own = group["definitions"]["customFields"]["properties"]["_acme"]["properties"]
        del own["customerio"]["properties"]["href"]
        own["customerio"]["properties"]["theirs"] = {"type": "string"}
        here.adobe.registry.missing_groups.clear()
        await here.set_up()
        assert here.states["field_group"] == here.states["schema"] == "changed"
        notes = {act.key: act.notes for act in here.acts}
        assert notes["field_group"] == ["adds the fields href"]
        assert EMAIL_CLICKED in notes["schema"][0]
        assert here.counts() == ONE_EACH
        group = here.adobe.organisation.field_groups.get(ids["field_group"])
        assert group is not None
        own = group["definitions"]["customFields"]["properties"]["_acme"]["properties"]
        assert {"href", "theirs"} <= own["customerio"]["properties"].keys()
        await here.set_up()
        assert set(here.states.values()) == {"kept"}


async def test_what_is_there_for_the_lake_can_be_given_to_the_profile_later() -> None:
    async with site() as here:
        ids = await here.set_up()
        await here.set_up(profile=True)
        assert here.states["profile_schema"] == "made"
        assert here.states["dataset"] == "changed"
        schema = here.adobe.organisation.schemas.get(ids["schema"])
        dataset = here.adobe.organisation.datasets.get(ids["dataset"])
        assert schema is not None
        assert dataset is not None
        assert schema["meta:immutableTags"] == [UNION]
        assert dataset["tags"]["unifiedProfile"] == ["enabled:true"]


async def test_two_names_are_two_set_ups() -> None:
    async with site() as here:
        one, other = await here.set_up(), await here.set_up(name="Another")
        assert not set(one.values()) & set(other.values())


async def test_raw_and_mapped_events_of_one_name_share_the_schema_alone() -> None:
    async with site() as here:
        mapped, raw = await here.set_up(), await here.set_up(raw=True)
        shared = {key for key in mapped if mapped[key] == raw[key]}
        assert shared == {"field_group", "schema"}
        flow = here.adobe.organisation.flows.get(raw["flow"])
        assert flow is not None
        assert flow["transformations"][0]["params"]["mappingId"] == raw["mapping_set"]


async def test_an_inlet_that_anybody_may_write_to_is_not_used() -> None:
    async with site() as here:
        ids = await here.set_up()
        connection = here.adobe.organisation.connections.get(ids["connection"])
        assert connection is not None
        connection["auth"]["params"]["authenticationRequired"] = False
        with pytest.raises(StreamerError, match="from anybody, without a token"):
            await here.set_up()


async def test_an_inlet_for_other_data_is_not_used() -> None:
    async with site() as here:
        ids = await here.set_up()
        connection = here.adobe.organisation.connections.get(ids["connection"])
        assert connection is not None
        connection["auth"]["params"]["dataType"] = "raw"
        with pytest.raises(StreamerError, match="takes raw data, not xdm"):
            await here.set_up()


async def test_a_dataflow_to_another_dataset_is_not_used() -> None:
    async with site() as here:
        ids = await here.set_up()
        here.adobe.organisation.datasets.remove(ids["dataset"])
        with pytest.raises(StreamerError, match="leads to another dataset"):
            await here.set_up()


async def test_a_dataset_of_another_schema_is_not_used() -> None:
    async with site() as here:
        ids = await here.set_up()
        dataset = here.adobe.organisation.datasets.get(ids["dataset"])
        assert dataset is not None
        dataset["schemaRef"]["id"] = "https://ns.adobe.com/acme/schemas/other"
        with pytest.raises(StreamerError, match="has another schema"):
            await here.set_up()


async def remove(here: Site, name: str = DEFAULT_NAME, *, dataset: bool) -> dict[str, str]:
    found = await find_removable(here.platform, name, dataset=dataset)
    doomed = [one for one in found if not one.kept_because]
    assert [await delete(here.platform, one) for one in doomed] == [""] * len(doomed)
    return {f"{one.what} {one.name}": one.kept_because for one in found}


async def test_taking_down_leaves_the_events_and_what_they_need() -> None:
    async with site() as here:
        await here.set_up()
        reasons = await remove(here, dataset=False)
        assert sorted(reasons.values()) == ["", "", "", "", STAYS, STAYS, STAYS]
        left = {kind: number for kind, number in here.counts().items() if number}
        assert left == {"field_groups": 1, "schemas": 1, "datasets": 1}


async def test_taking_down_everything_twice_is_the_same_as_once() -> None:
    async with site() as here:
        await here.set_up(consent=True)
        await remove(here, dataset=True)
        assert set(here.counts().values()) == {0}
        assert await remove(here, dataset=True) == {}


@pytest.mark.parametrize("number", range(1, 8))
async def test_taking_down_that_stopped_half_way_goes_on(number: int) -> None:
    async with site() as here:
        await here.set_up()
        here.adobe.faults.fail_call(number, 400, method="DELETE")
        found = await find_removable(here.platform, DEFAULT_NAME, dataset=True)
        for one in found:
            if await delete(here.platform, one):
                break
        assert sum(here.counts().values()) == len(STEPS) - number + 1
        await remove(here, dataset=True)
        assert set(here.counts().values()) == {0}


async def test_what_somebody_deleted_meanwhile_is_no_failure() -> None:
    async with site() as here:
        await here.set_up()
        found = await find_removable(here.platform, DEFAULT_NAME, dataset=True)
        await remove(here, dataset=True)
        assert [await delete(here.platform, one) for one in found] == [""] * len(found)


async def test_what_somebody_else_made_is_used_and_never_deleted() -> None:
    async with site() as here:
        ids = await here.set_up()
        dataset = here.adobe.organisation.datasets.get(ids["dataset"])
        assert dataset is not None
        dataset["description"] = "ours, by hand"
        await here.set_up()
        assert here.states["dataset"] == "kept"
        reasons = await remove(here, dataset=True)
        assert reasons[f"dataset {DEFAULT_NAME}"] == NOT_OURS
        assert here.counts()["datasets"] == 1


async def test_a_set_up_of_another_name_is_left_alone() -> None:
    async with site() as here:
        await here.set_up()
        await here.set_up(name="Another", consent=True)
        await remove(here, "Another", dataset=True)
        assert here.counts() == ONE_EACH
        assert await remove(here, "Nobody's", dataset=True) == {}


async def test_a_schema_in_the_profile_stays() -> None:
    async with site() as here:
        await here.set_up(profile=True)
        reasons = await remove(here, dataset=True)
        assert reasons[f"schema {DEFAULT_NAME}"] == IN_PROFILE
        assert here.counts()["datasets"] == 0


async def test_a_target_whose_dataset_is_gone_is_found_and_deleted() -> None:
    async with site() as here:
        ids = await here.set_up()
        here.adobe.organisation.datasets.remove(ids["dataset"])
        await remove(here, dataset=True)
        assert set(here.counts().values()) == {0}

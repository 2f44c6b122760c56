"""Reading how a dataflow does, and its switch."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.core.errors import StreamerError
from streamer.provision.aep_watch import Run, as_run, read_runs, read_state, switch
from tests.provision.adobe import site

pytestmark = pytest.mark.anyio

STARTED = 1_790_000_000_000
ITEM: dict[str, Any] = {
    "id": "run-1",
    "metrics": {
        "durationSummary": {"startedAtUTC": STARTED, "completedAtUTC": STARTED + 900_000},
        "recordSummary": {"inputRecordCount": 10, "outputRecordCount": 8, "failedRecordCount": 2},
        "statusSummary": {"status": "failed", "errors": [{"code": "1", "message": "no"}]},
    },
}


async def test_everything_about_a_dataflow_is_read() -> None:
    async with site() as here:
        ids = await here.set_up(profile=True)
        state = await read_state(here.platform, flow_id=ids["flow"], dataset_id=ids["dataset"])
    assert (state.flow, state.connection, state.authenticated) == ("enabled", "enabled", True)
    assert state.dataset == "Customer.io events (streamer)"
    assert state.dataset_in_profile is True


async def test_what_is_gone_is_said_to_be() -> None:
    async with site() as here:
        state = await read_state(here.platform, flow_id="1", dataset_id="2")
        assert (state.flow, state.connection, state.dataset) == ("gone", "gone", "")
        assert await read_runs(here.platform, "1", 5) == []


async def test_the_switch_is_turned_once() -> None:
    async with site() as here:
        ids = await here.set_up()
        flow = ids["flow"]
        assert await switch(here.platform, flow, on=False)
        assert not await switch(here.platform, flow, on=False)
        state = await read_state(here.platform, flow_id=flow, dataset_id=None)
        assert state.flow == "disabled"
        assert await switch(here.platform, flow, on=True)
        with pytest.raises(StreamerError, match="the dataflow 1 is gone"):
            await switch(here.platform, "1", on=True)


def test_a_run_is_read_with_its_numbers_and_errors() -> None:
    assert as_run(ITEM) == Run(
        id="run-1",
        status="failed",
        started_at="2026-09-21T14:13:20.000Z",
        ended_at="2026-09-21T14:28:20.000Z",
        taken=10,
        kept=8,
        failed=2,
        errors=["no"],
    )


@pytest.mark.parametrize("item", [{}, {"metrics": None}, {"metrics": {"recordSummary": None}}])
def test_a_run_that_says_little_is_read_all_the_same(item: dict[str, Any]) -> None:
    run = as_run(item)
    assert (run.status, run.taken, run.started_at, run.errors) == ("unknown", 0, None, [])

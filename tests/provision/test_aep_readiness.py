"""Waiting for a new dataflow: five minutes by any clock, an inlet that answers, and no data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from streamer.core.errors import StreamerError
from streamer.core.provision_limits import ADOBE_INLET_SECONDS_MAX
from streamer.provision.aep_readiness import (
    FLOW_READY_SECONDS,
    LOOK_SECONDS,
    Inlet,
    Knock,
    Waiting,
    knock,
)
from streamer.provision.aep_watch import switch
from tests.provision.adobe import Site, site
from tests.support.http_destination import closed_port

pytestmark = pytest.mark.anyio


class Waiter:
    """Someone who waits for what a site has set up, and writes down what is shown meanwhile."""

    def __init__(self, here: Site, ids: dict[str, str]) -> None:
        connection = here.adobe.organisation.connections.get(ids["connection"])
        assert connection is not None
        self.inlet = Inlet(url=connection["auth"]["params"]["inletUrl"], sandbox="prod")
        self.flow_id = ids["flow"]
        self.shown: list[tuple[float, str]] = []
        self.shown_first: Callable[[], None] = lambda: None
        self.here = here

    async def wait(self) -> None:
        here = self.here
        ask = partial(knock, here.transport, here.ims, self.inlet)
        tell = self._tell
        await Waiting(here.platform, ask=ask, clock=here.clock, tell=tell).until_ready(self.flow_id)

    def _tell(self, seconds: float, why: str) -> None:
        if not self.shown:
            self.shown_first()
        self.shown.append((seconds, why))


async def test_a_new_dataflow_is_waited_for_and_then_takes_data() -> None:
    async with site() as here:
        waiter = Waiter(here, await here.set_up())
        await waiter.wait()
        assert sum(here.clock.slept) == FLOW_READY_SECONDS
        assert waiter.shown[0][0] == FLOW_READY_SECONDS
        assert "about five minutes" in waiter.shown[0][1]
        left = [seconds for seconds, _ in waiter.shown]
        assert left == sorted(left, reverse=True)
        assert here.adobe.received == []


async def test_an_older_dataflow_is_not_waited_for() -> None:
    async with site() as here:
        waiter = Waiter(here, await here.set_up())
        here.clock.move(FLOW_READY_SECONDS)
        await waiter.wait()
        assert here.clock.slept == []


async def test_a_wait_that_was_stopped_goes_on_where_it_was() -> None:
    async with site() as here:
        waiter = Waiter(here, await here.set_up())
        here.clock.move(FLOW_READY_SECONDS - 40)
        await waiter.wait()
        assert sum(here.clock.slept) == 40


@pytest.mark.parametrize("seconds", [-86_400, 86_400])
async def test_a_clock_that_differs_from_adobes_costs_no_more_than_the_wait(seconds: float) -> None:
    async with site() as here:
        waiter = Waiter(here, await here.set_up())
        here.clock.leap(seconds)
        await waiter.wait()
        assert sum(here.clock.slept) <= FLOW_READY_SECONDS


async def test_an_inlet_that_is_not_there_yet_is_asked_again() -> None:
    async with site() as here:
        waiter = Waiter(here, await here.set_up())
        here.clock.move(FLOW_READY_SECONDS)
        here.adobe.faults.answer(404, on="collection")
        here.adobe.faults.answer(503, on="collection")
        await waiter.wait()
        assert here.clock.slept == [LOOK_SECONDS, LOOK_SECONDS]
        assert [why for _, why in waiter.shown] == [
            "the inlet does not take calls yet: it answered 404",
            "the inlet does not take calls yet: it answered 503",
        ]


async def test_an_inlet_that_never_comes_is_an_error_in_the_end() -> None:
    async with site() as here:
        waiter = Waiter(here, await here.set_up())
        here.clock.move(FLOW_READY_SECONDS)
        here.adobe.faults.answer(404, on="collection", times=100)
        with pytest.raises(StreamerError, match="the inlet takes no calls: it answered 404") as e:
            await waiter.wait()
        assert "run the command again" in e.value.hint
        assert sum(here.clock.slept) == ADOBE_INLET_SECONDS_MAX


async def test_an_old_token_is_renewed_and_a_refused_one_ends_the_wait() -> None:
    async with site() as here:
        waiter = Waiter(here, await here.set_up())
        here.clock.move(FLOW_READY_SECONDS)
        here.adobe.faults.answer(401, on="collection")
        await waiter.wait()
        here.adobe.faults.answer(403, on="collection", times=2)
        with pytest.raises(StreamerError, match="does not take our token: it answered 403") as e:
            await waiter.wait()
        assert "address" in e.value.hint


async def test_a_dataflow_that_was_switched_off_or_deleted_is_not_waited_for() -> None:
    async with site() as here:
        waiter = Waiter(here, await here.set_up())
        await switch(here.platform, waiter.flow_id, on=False)
        with pytest.raises(StreamerError, match="switched off") as raised:
            await waiter.wait()
        assert "streamer aep enable" in raised.value.hint
        here.adobe.organisation.flows.remove(waiter.flow_id)
        with pytest.raises(StreamerError, match="is gone"):
            await waiter.wait()
        assert here.clock.slept == []


async def test_a_dataflow_that_is_switched_off_during_the_wait_is_noticed() -> None:
    async with site() as here:
        waiter = Waiter(here, await here.set_up())
        flow = here.adobe.organisation.flows.get(waiter.flow_id)
        assert flow is not None
        flow["createdAt"] -= 299_000
        waiter.shown_first = lambda: flow.update(state="disabled")
        with pytest.raises(StreamerError, match="switched off"):
            await waiter.wait()


async def test_the_next_knock_comes_with_another_token() -> None:
    async with site() as here:
        waiter = Waiter(here, await here.set_up())
        here.adobe.expire_tokens()
        states = [(await knock(here.transport, here.ims, waiter.inlet)).state for _ in range(2)]
        assert states == ["refused", "ready"]


async def test_what_an_inlet_says_is_judged_and_nothing_is_written() -> None:
    async with site() as here:
        waiter = Waiter(here, await here.set_up())
        assert await knock(here.transport, here.ims, waiter.inlet) == Knock(
            "ready", "asked with a batch of no events"
        )
        elsewhere = Inlet(url=f"http://127.0.0.1:{closed_port()}/collection/1", sandbox="prod")
        assert (await knock(here.transport, here.ims, elsewhere)).state == "not yet"
        nowhere = Inlet(url="http://inlet.invalid/collection/1", sandbox="prod")
        assert (await knock(here.transport, here.ims, nowhere)).state == "unreachable"
        odd = Inlet(url="http://127.0.0.1/else", sandbox="prod")
        assert (await knock(here.transport, here.ims, odd)).state == "refused"
        assert here.adobe.received == []

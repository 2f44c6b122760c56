"""How long one `send` over HTTP may take, and how many may be under way."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.limits import SINGLE_SECONDS_MAX
from streamer.core.outcome import ACCEPTED, NOT_ATTEMPTED, Outcome, Verdict
from streamer.destinations.common_options import Privacy
from tests.destinations.examples import StandingClock, stored_event, stored_events
from tests.destinations.http_cases import http_destination
from tests.support.http_destination import Behaviour, calling, reply, scripted_server

pytestmark = pytest.mark.anyio

HUNDRED = stored_events(*range(1, 101))


def taking(clock: StandingClock, seconds: float) -> Behaviour:
    """Accept after so many seconds of the destination's clock."""

    def pass_time() -> None:
        clock.now_ms += round(seconds * 1000)

    return calling(pass_time, reply(200))


def accepted_first(outcomes: list[Outcome]) -> int:
    """Count what was accepted, and see that nothing after it was tried."""
    count = outcomes.count(ACCEPTED)
    assert outcomes == [ACCEPTED] * count + [NOT_ATTEMPTED] * (len(outcomes) - count)
    return count


async def test_single_events_to_a_slow_server_are_settled_some_at_a_time() -> None:
    """A hundred at 3.4 s each took longer than a drain may: they went out again and again."""
    clock, left, sends = StandingClock(), HUNDRED, 0
    async with (
        scripted_server() as server,
        http_destination(server.url, mode="single", clock=clock) as destination,
    ):
        server.script = [taking(clock, 3.4)]
        while left:
            began = clock.monotonic()
            left = left[accepted_first(await destination.send(left)) :]
            assert clock.monotonic() - began <= destination.send_seconds_max
            sends += 1
    assert [event["id"] for event in server.events] == [event.event_id for event in HUNDRED]
    assert sends == 34


@pytest.mark.parametrize(
    ("seconds", "accepted"), [([10.1], 1), ([9.9, 30.0], 2), ([5.0, 4.9, 0.2], 3), ([0.0], 100)]
)
async def test_a_further_request_is_begun_while_there_is_time_and_one_always_is(
    seconds: list[float], accepted: int
) -> None:
    clock = StandingClock()
    async with (
        scripted_server() as server,
        http_destination(server.url, mode="single", clock=clock) as destination,
    ):
        server.script = [taking(clock, each) for each in seconds]
        began = clock.monotonic()
        assert accepted_first(await destination.send(HUNDRED)) == accepted
        assert clock.monotonic() - began <= destination.send_seconds_max
    assert len(server.received) == accepted


async def test_whoever_is_asked_to_hurry_ends_after_the_request_under_way() -> None:
    async with (
        scripted_server() as server,
        http_destination(server.url, mode="single") as destination,
    ):
        server.script = [reply(200), calling(destination.hurry, reply(200)), reply(200)]
        assert accepted_first(await destination.send(HUNDRED)) == 2
        assert accepted_first(await destination.send(HUNDRED)) == 1


async def test_what_cannot_be_sent_is_rejected_even_when_there_is_no_time_for_the_rest() -> None:
    events = [*stored_events(1, 2), stored_event(3, body=b"{broken")]
    async with (
        scripted_server() as server,
        http_destination(
            server.url, mode="single", privacy=Privacy(drop=["content"])
        ) as destination,
    ):
        destination.hurry()
        first, second, third = await destination.send(events)
    assert (first, second) == (ACCEPTED, NOT_ATTEMPTED)
    assert third.unfit


@pytest.mark.parametrize(
    ("mode", "seconds"), [("batch", 7.5), ("single", 7.5 + SINGLE_SECONDS_MAX)]
)
async def test_the_longest_send_follows_from_the_time_limit_of_a_request(
    mode: str, seconds: float
) -> None:
    async with http_destination("http://localhost/", mode=mode, timeout_seconds=7.5) as destination:
        assert destination.send_seconds_max == seconds


@pytest.mark.parametrize("lanes", [1, 3])
async def test_no_lane_waits_for_a_connection_that_a_replay_has(lanes: int) -> None:
    """Each is answered only once all have arrived; waiting for a connection would time out."""
    arrived = 0
    complete = asyncio.Event()

    async def together(writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == lanes + 1:
            complete.set()
        await complete.wait()
        await reply(200)(writer)

    async with (
        scripted_server() as server,
        http_destination(
            server.url, lanes=lanes, connect_timeout_seconds=0.3, timeout_seconds=5.0
        ) as destination,
    ):
        server.script = [together]
        sends = [destination.send(stored_events(at)) for at in range(1, lanes + 2)]
        outcomes = await asyncio.gather(*sends)
    assert [one[0].verdict for one in outcomes] == [Verdict.ACCEPTED] * (lanes + 1)

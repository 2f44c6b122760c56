"""A long time in which Adobe answers 500, as the drain's state machine takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from streamer.core.event import StoredEvent
from streamer.core.outcome import ACCEPTED, NOT_ATTEMPTED, Outcome, deferred
from streamer.destinations.aep_answer import FAILED
from streamer.destinations.aep_delivery import Delivery, Part
from streamer.destinations.aep_messages import Message
from streamer.destinations.aep_patience import Patience
from tests.core.simulation import HOUR, MINUTE, Destination, Simulation


def adobe(answer: Callable[[int, list[int]], bool]) -> tuple[Destination, list[int]]:
    """Put the destination's way of sending before an Adobe that takes a request or fails (500).

    Also returns the times of the requests that failed.
    """
    patience = Patience()
    failed: list[int] = []

    def send(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        async def offer(part: Part) -> list[Outcome]:
            if answer(simulation.now, [message.position for message in part]):
                return [ACCEPTED] * len(part)
            failed.append(simulation.now)
            return [deferred(FAILED, "Adobe answered 500")] * len(part)

        messages = [Message(event.position, b"{}") for event in batch]
        delivery = Delivery([messages], offer=offer, may_go_on=lambda: True, patience=patience)
        asyncio.run(delivery.run())
        return [delivery.outcomes.get(event.position, NOT_ATTEMPTED) for event in batch]

    return send, failed


@pytest.mark.parametrize("hours", [0.1, 1, 5])
@pytest.mark.parametrize("batch", [1, 8])
def test_an_outage_costs_no_event_and_no_storm_of_requests(hours: float, batch: int) -> None:
    destination, failed = adobe(lambda now, _: now > hours * HOUR)
    simulation = Simulation(100, destination, batch=batch)
    simulation.run(round(hours * HOUR) + HOUR)
    assert simulation.buried == {}
    assert simulation.accepted == list(range(1, 101))
    assert len(failed) <= 120 + hours * 360, (
        "six a minute, where there is only one event to a batch"
    )


@pytest.mark.parametrize("poisoned", [{1}, {5}, {8}, {3, 4}, {1, 2, 3}, {40, 97}])
@pytest.mark.parametrize("batch", [1, 8])
def test_poisoned_events_are_found_within_minutes_and_nothing_else_is_lost(
    poisoned: set[int], batch: int
) -> None:
    destination, _ = adobe(lambda _, positions: not poisoned & set(positions))
    simulation = Simulation(100, destination, batch=batch).run(HOUR)
    assert {at: one.reason for at, one in simulation.buried.items()} == dict.fromkeys(
        poisoned, FAILED
    )
    assert simulation.progress.position == 100
    assert simulation.now <= len(poisoned) * 5 * MINUTE

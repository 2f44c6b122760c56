"""A stand-in for Adobe, for the tests of what is delivered there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.destinations.examples import StandingClock
from tests.stand_ins.aep import Adobe, SeededInlet, aep_stand_in


@pytest.fixture
def clock() -> StandingClock:
    """The time, for the stand-in and whoever else asks for it."""
    return StandingClock()


@pytest.fixture
async def adobe(clock: StandingClock) -> AsyncIterator[Adobe]:
    """Run a stand-in."""
    async with aep_stand_in(clock=clock) as adobe:
        yield adobe


@pytest.fixture
def inlet(adobe: Adobe) -> SeededInlet:
    """Make an inlet that wants a token."""
    return adobe.new_inlet()

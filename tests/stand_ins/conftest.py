"""A stand-in for Adobe on a clock that stands still, and somebody who sends to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.stand_ins.aep import Adobe, SeededInlet, aep_stand_in
from tests.stand_ins.aep_sender import Sender, sending
from tests.support.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def adobe(clock: ManualClock) -> AsyncIterator[Adobe]:
    async with aep_stand_in(clock=clock) as adobe:
        yield adobe


@pytest.fixture
def inlet(adobe: Adobe) -> SeededInlet:
    """Return an inlet with all that belongs to it."""
    return adobe.new_inlet()


@pytest.fixture
async def sender(adobe: Adobe) -> AsyncIterator[Sender]:
    """Send to an inlet of its own, with a token."""
    async with sending(adobe) as sender:
        yield sender

"""An HTTP destination for a test, and what it says of three events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from streamer.core.outcome import Outcome
from streamer.destinations.http import HttpDestination
from streamer.destinations.options import HttpOptions
from tests.destinations.examples import Alarms, StandingClock, stored_events
from tests.support.http_destination import (
    Behaviour,
    scripted_server,
)

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@asynccontextmanager
async def http_destination(
    url: str,
    *,
    key: str | None = None,
    bearer_token: str | None = None,
    alarms: Alarms | None = None,
    clock: StandingClock | None = None,
    **options: object,
) -> AsyncIterator[HttpDestination]:
    destination = HttpDestination(
        "hook",
        msgspec.structs.replace(HttpOptions(url=url), **options),
        clock=clock or StandingClock(),
        key=key,
        bearer_token=bearer_token,
        raise_alarm=alarms or Alarms(),
    )
    await destination.open(None)
    try:
        yield destination
    finally:
        await destination.aclose()


async def outcomes_of(
    behaviour: Behaviour,
    *,
    mode: str = "batch",
    alarms: Alarms | None = None,
    key: str | None = None,
    bearer_token: str | None = None,
) -> list[Outcome]:
    """Send three events to a server that behaves so; return what the destination says."""
    async with (
        scripted_server() as server,
        http_destination(
            server.url, mode=mode, alarms=alarms, key=key, bearer_token=bearer_token
        ) as destination,
    ):
        server.script = [behaviour]
        return await destination.send(stored_events(1, 2, 3))


async def outcome_of(
    behaviour: Behaviour,
    *,
    alarms: Alarms | None = None,
    key: str | None = None,
    bearer_token: str | None = None,
) -> Outcome:
    """Do the same, and see that the outcome is the same for all."""
    first, *others = await outcomes_of(behaviour, alarms=alarms, key=key, bearer_token=bearer_token)
    assert others == [first, first]
    return first

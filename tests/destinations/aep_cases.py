"""Destinations of kind ``aep`` for tests: their settings, and one against a stand-in for Adobe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from streamer.clock import Clock
from streamer.core.outcome import Outcome
from streamer.destinations.aep import AepDestination
from streamer.destinations.aep_options import AepOptions
from streamer.destinations.common_options import Secret
from tests.destinations.examples import Alarms, StandingClock
from tests.stand_ins.aep import Adobe, SeededInlet

FLOW = "0d5e3c1a-7f3b-4b5e-9d3a-2f6f0a1b2c3d"


def aep_options(**changes: object) -> AepOptions:
    """Return settings that are complete, for an inlet without authentication."""
    plain = AepOptions(
        inlet_url="https://dcs.adobedc.net/collection/ab12",
        flow_id=FLOW,
        ims_org_id="5C1328435BF324E90A49402A@AdobeOrg",
        tenant="acme",
        dataset_id="5e8bd5b5c1d5f518ab5f6b2a",
        schema_id="https://ns.adobe.com/acme/schemas/123",
    )
    return msgspec.structs.replace(plain, **changes)


def options_for(adobe: Adobe, inlet: SeededInlet, **changes: object) -> AepOptions:
    """Return the settings for an inlet of the stand-in."""
    of_adobe: dict[str, Any] = {
        "inlet_url": inlet.url,
        "flow_id": inlet.flow_id,
        "dataset_id": inlet.dataset_id,
        "schema_id": inlet.schema_id,
        "ims_org_id": adobe.org_id,
        "sandbox": adobe.sandbox,
        "tenant": adobe.tenant,
        "ims_url": adobe.ims_url,
        "client_id": adobe.client_id,
        "client_secret": Secret(env="SECRET"),
    }
    return aep_options(**(of_adobe | changes))


def new_destination(
    options: AepOptions,
    *,
    secret: str | None = None,
    clock: Clock | None = None,
    alarms: Alarms | None = None,
) -> AepDestination:
    return AepDestination(
        "lake",
        options,
        clock=clock or StandingClock(),
        client_secret=secret,
        raise_alarm=alarms or Alarms(),
    )


@asynccontextmanager
async def aep_destination(
    options: AepOptions,
    *,
    secret: str | None = None,
    clock: Clock | None = None,
    alarms: Alarms | None = None,
) -> AsyncIterator[AepDestination]:
    destination = new_destination(options, secret=secret, clock=clock, alarms=alarms)
    await destination.open(None)
    try:
        yield destination
    finally:
        await destination.aclose()


def words(outcomes: list[Outcome]) -> list[str]:
    """Return the reasons, and nothing for what was accepted."""
    return [outcome.reason for outcome in outcomes]


def inlet_requests(adobe: Adobe) -> list[tuple[int, int]]:
    """Return status and size of each request that an inlet got."""
    return [
        (request.status, request.size)
        for request in adobe.requests
        if request.path.startswith("/collection/")
    ]


def ids(adobe: Adobe) -> list[str]:
    """Return the ids of the events that Adobe took, in order."""
    return [accepted.entity["_id"] for accepted in adobe.received]

"""App API clients for tests, beside a stand-in or a scripted server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

from streamer.clock import Clock
from streamer.provision.app_api import AppApi, make_transport
from tests.support.manual_clock import ManualClock


@contextlib.asynccontextmanager
async def app_api(
    url: str,
    key: str,
    *,
    clock: Clock | None = None,
    regions: Mapping[str, str] | None = None,
    waits: list[tuple[float, str]] | None = None,
) -> AsyncIterator[AppApi]:
    """Open a client for the length of the block; its waits move a clock and take no time."""
    transport = make_transport()
    told: list[tuple[float, str]] = [] if waits is None else waits
    try:
        yield AppApi(
            transport,
            url=url,
            key=key,
            clock=clock or ManualClock(),
            regions=regions or {},
            on_wait=lambda seconds, why: told.append((seconds, why)),
        )
    finally:
        await transport.aclose()

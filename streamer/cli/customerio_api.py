"""Asking the App API from a command, which is no event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from streamer.cli import console
from streamer.clock import SystemClock
from streamer.provision import app_api
from streamer.provision.app_api import REGIONS, AppApi

T = TypeVar("T")

TOLD_SECONDS_MIN = 2.0
"""A shorter wait is over before anybody wonders."""


def ask(url: str, key: str, work: Callable[[AppApi], Awaitable[T]]) -> T:
    """Do ``work`` with the API at ``url``; raises what it raises."""

    async def run() -> T:
        transport = app_api.make_transport()
        try:
            api = AppApi(
                transport, url=url, key=key, clock=SystemClock(), regions=REGIONS, on_wait=_tell
            )
            return await work(api)
        finally:
            await transport.aclose()

    return anyio.run(run)


def url_of(region: str | None, given: str | None, configured: str) -> str:
    """Return where the API is: as given, as the region has it, or as configured."""
    return given or (REGIONS[region] if region else configured)


def _tell(seconds: float, why: str) -> None:
    if seconds >= TOLD_SECONDS_MIN:
        console.say([f"{why}; going on in {max(seconds, 1):.0f} s"])

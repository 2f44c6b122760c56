"""A destination's own test of itself, for the commands that let it make one.

Nothing is sent. It is built as the service would build it, and has its time:
one that never answers must not keep whoever asks.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import anyio

from streamer.clock import SystemClock
from streamer.config.secrets import Secrets, resolve, secrets_in
from streamer.core.alarms import Alarm
from streamer.destinations import registry
from streamer.destinations.base import Destination, Finding
from streamer.destinations.common_options import CommonOptions

PROBE_SECONDS_MAX = 20.0
"""A destination that says nothing for so long is not there."""


def build(
    name: str, options: CommonOptions, raise_alarm: Callable[[Alarm, str], None]
) -> Destination:
    """Build a destination as the service would; it is connected to nothing yet."""
    secrets = Secrets({one: resolve(one, os.environ) for _, one in secrets_in(options)})
    return registry.build(
        name, options, clock=SystemClock(), secret=secrets.of, raise_alarm=raise_alarm
    )


def probe(destination: Destination, *, seconds_max: float = PROBE_SECONDS_MAX) -> list[Finding]:
    """Let a destination test itself, and close it."""
    return anyio.run(_probe, destination, seconds_max)


async def _probe(destination: Destination, seconds_max: float) -> list[Finding]:
    try:
        with anyio.fail_after(seconds_max):
            return await destination.probe()
    except TimeoutError:
        return [Finding(False, "it does not answer", f"nothing for {seconds_max:.0f} s")]
    finally:
        await destination.aclose()

"""A destination's test of itself has its time, and is closed after it."""

from __future__ import annotations

import anyio

from streamer.cli.probing import probe
from streamer.destinations.base import Finding
from streamer.destinations.options import StdoutOptions
from streamer.destinations.stdout import StdoutDestination


class SilentDestination(StdoutDestination):
    """One that never says anything of itself."""

    closed = False

    async def probe(self) -> list[Finding]:
        """Wait for ever."""
        await anyio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None:
        """Remember it."""
        self.closed = True


def test_a_destination_that_says_nothing_does_not_keep_whoever_asks() -> None:
    silent = SilentDestination("silent", StdoutOptions())
    (found,) = probe(silent, seconds_max=0.01)
    assert (found.ok, found.detail) == (False, "nothing for 0 s")
    assert silent.closed

"""Two services of which one runs at a time: the other is stopped, and takes nothing from it.

Whatever a service does by itself (pruning, looking through what was stored) goes on only while it
is asked, so that it hits its own rounds and not those of the other.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from benchmarks.filling import Maker
from benchmarks.harness.load import Load, percentile, send
from benchmarks.harness.pairs import interleaved, median_ratio
from benchmarks.harness.server import Server, cores_apart, on_core, streamer

SHARES = (50, 90, 99)


class Loaded(Protocol):
    """What answers a load."""

    def load(self, requests: list[bytes], connections: int) -> Load:
        """Answer every request."""


class Service:
    """One of the two, which runs only while it is sent something."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.awake_seconds = 0.0
        os.kill(server.pid, signal.SIGSTOP)

    def load(self, requests: list[bytes], connections: int) -> Load:
        """Let it run, and send it a load.

        Raises:
            RuntimeError: it did not answer every request with 200.
        """
        os.kill(self.server.pid, signal.SIGCONT)
        began = time.perf_counter()
        try:
            return send(self.server.port, requests, connections=connections).must_be()
        finally:
            os.kill(self.server.pid, signal.SIGSTOP)
            self.awake_seconds += time.perf_counter() - began

    def release(self) -> None:
        """Let it run from now on."""
        with suppress(ProcessLookupError):
            os.kill(self.server.pid, signal.SIGCONT)


@contextmanager
def two_services(
    first: Path, second: Path, config_toml: str = ""
) -> Iterator[tuple[Service, Service]]:
    """Serve two databases from one core, the load coming from another if there is one."""
    core, load_core = cores_apart()
    with (
        streamer(first, config_toml, core=core) as one,
        streamer(second, config_toml, core=core) as other,
    ):
        both = Service(one), Service(other)
        try:
            with on_core(load_core):
                yield both
        finally:
            for service in both:
                service.release()


class Comparison:
    """The latencies of both, round by round."""

    def __init__(self, maker: Maker, *, count: int, connections: int) -> None:
        self._maker = maker
        self._count = count
        self._connections = connections
        self._first: list[Load] = []
        self._second: list[Load] = []

    def warm_up(self, first: Loaded, second: Loaded) -> None:
        """Send a load that does not count."""
        for service in (first, second):
            self._load(service)

    def add(self, first: Loaded, second: Loaded, rounds: int) -> None:
        """Send loads to both in turn."""
        found = interleaved(rounds, lambda: self._load(first), lambda: self._load(second))
        self._first += found[0]
        self._second += found[1]

    def _load(self, service: Loaded) -> Load:
        return service.load(self._maker.requests(self._count), self._connections)

    def drop_last(self) -> None:
        """Forget the last round: it was not what was to be measured."""
        del self._first[-1:], self._second[-1:]

    def ratio(self, share: float) -> float:
        """Return how many times the first's percentile the second's is, as rounds' median."""
        return median_ratio(_of_each(self._second, share), _of_each(self._first, share))

    def details(self) -> dict[str, object]:
        """Return percentiles in ms: of all latencies, and of each round."""
        return {
            name: {
                f"p{share}": {"all": _of_all(loads, share), "rounds": _of_each(loads, share)}
                for share in SHARES
            }
            for name, loads in (("first", self._first), ("second", self._second))
        }


def _of_each(loads: list[Load], share: float) -> list[float]:
    return [one.percentile(share) for one in loads]


def _of_all(loads: list[Load], share: float) -> float:
    return percentile([each for one in loads for each in one.latencies_ms], share)

"""Streamer beside the empty application: the same load against both, in turn, in one run.

Both servers run all the time on the same core, and whichever is not measured is idle. The load
comes from another core where there is one. A round's processor time is read when the server has
come to rest: what it puts off (checkpoints, the survey of what was stored) is its cost as well.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from benchmarks.harness import server
from benchmarks.harness.load import Load, percentile, send, signed_requests
from benchmarks.harness.pairs import interleaved, median_ratio
from benchmarks.harness.server import Server

SERVICE_DIRECTORY = "streamer"
WARM_UP_EVENTS = 1_000
REST_SECONDS = 1.5
"""The survey looks once a second at what has come."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one load did to one server."""

    load: Load
    cpu_seconds: float
    """Until it came to rest."""
    cpu_seconds_answering: float
    """Until the last answer."""

    @property
    def cpu_microseconds(self) -> float:
        """Processor time per event, in µs."""
        return self.cpu_seconds / len(self.load.latencies_ms) * 1e6

    @property
    def cpu_microseconds_answering(self) -> float:
        """The part of it until the last answer, in µs per event."""
        return self.cpu_seconds_answering / len(self.load.latencies_ms) * 1e6


class Rounds(msgspec.Struct, frozen=True, kw_only=True):
    """The rounds of both."""

    empty: list[Round]
    ours: list[Round]

    def cpu_ratio(self) -> float:
        """How many times the empty application's processor time ours is."""
        ours = [one.cpu_microseconds for one in self.ours]
        return median_ratio(ours, [one.cpu_microseconds for one in self.empty])

    def throughput_ratio(self) -> float:
        """How many times the empty application's events per second ours are."""
        ours = [one.load.per_second for one in self.ours]
        return median_ratio(ours, [one.load.per_second for one in self.empty])

    def details(self) -> dict[str, object]:
        """Return the raw numbers of both."""
        return {"empty": summary(self.empty), "streamer": summary(self.ours)}


def summary(rounds: Sequence[Round]) -> dict[str, object]:
    """Write some rounds of one server as JSON can hold them."""
    return {
        "events_per_round": len(rounds[0].load.latencies_ms),
        "cpu_microseconds": [round(one.cpu_microseconds, 2) for one in rounds],
        "cpu_microseconds_answering": [round(one.cpu_microseconds_answering, 2) for one in rounds],
        "events_per_second": [round(one.load.per_second, 1) for one in rounds],
        "latency_ms": latencies(rounds),
    }


def latencies(rounds: Sequence[Round]) -> dict[str, float]:
    """Return percentiles over all rounds, in ms."""
    every = [latency for one in rounds for latency in one.load.latencies_ms]
    shares = (50, 90, 99, 99.9, 100)
    return {f"p{share:g}": round(percentile(every, share), 3) for share in shares}


class Beside:
    """Both servers, up and warm."""

    def __init__(self, empty: Server, ours: Server, cores: tuple[int | None, int | None]) -> None:
        self.empty = empty
        self.ours = ours
        self.server_core, self.load_core = cores
        self._next_number = 0
        self._stored = 0

    def requests(self, count: int) -> list[bytes]:
        """Make requests whose events were not sent before."""
        first, self._next_number = self._next_number, self._next_number + count
        return signed_requests(count, first=first)

    def send(self, to: Server, requests: Sequence[bytes], connections: int) -> Load:
        """Send from the core that is the load's."""
        with server.on_core(self.load_core):
            load = send(to.port, requests, connections=connections)
        self._stored += load.statuses.get(200, 0) if to is self.ours else 0
        return load

    def check_stored(self, status: dict[str, Any]) -> None:
        """See to it that what was answered 200 is in the outbox, each event once."""
        stored = status["outbox"]["events"]
        if stored != self._stored:
            raise RuntimeError(f"{self._stored} events were acknowledged, {stored} are stored")

    def warm_up(self, connections: int) -> None:
        """Have both do everything once before anything is measured."""
        for one in (self.empty, self.ours):
            self.send(one, self.requests(WARM_UP_EVENTS), connections).must_be(200)
        time.sleep(REST_SECONDS)

    def rounds(self, count: int, *, events: int, connections: int) -> Rounds:
        """Send so many events to each, in turn, ``count`` times."""
        self.warm_up(connections)
        empty, ours = interleaved(
            count,
            lambda: self._round(self.empty, events, connections),
            lambda: self._round(self.ours, events, connections),
        )
        return Rounds(empty=empty, ours=ours)

    def _round(self, to: Server, events: int, connections: int) -> Round:
        requests = self.requests(events)
        before = to.cpu_seconds()
        load = self.send(to, requests, connections)
        answered = to.cpu_seconds()
        time.sleep(REST_SECONDS)
        return Round(
            load=load,
            cpu_seconds=to.cpu_seconds() - before,
            cpu_seconds_answering=answered - before,
        )


@contextmanager
def beside_empty(
    options: argparse.Namespace, config_toml: str = "", *, pinned: bool = True
) -> Iterator[Beside]:
    """Start both; streamer with the tables of ``config_toml``, its data below the directory."""
    directory = options.directory / SERVICE_DIRECTORY
    cores = server.cores_apart() if pinned else (None, None)
    with (
        server.empty_app(core=cores[0]) as empty,
        server.streamer(directory, config_toml, core=cores[0]) as ours,
    ):
        both = Beside(empty, ours, cores)
        yield both
        both.check_stored(server.ask_status(directory))

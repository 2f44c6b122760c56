"""How many events a second are acknowledged while they are delivered: the outbox stays empty.

Two destinations are at work, one that writes files and one that posts batches
to a receiver, which is a process of its own on the load's core. Ingest and
drains share a process, and so a core: what a drain takes, a call waits for. A
fast answer would be worth nothing if it were paid for with a lag that grows,
so the lag is looked at during the load, with ``streamer status --json``, as an
operator would. The empty application is measured beside the same looks.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.harness import report, server
from benchmarks.harness.beside import SERVICE_DIRECTORY, Beside, beside_empty
from benchmarks.harness.load import Load, percentile
from benchmarks.harness.pairs import interleaved, median_ratio
from benchmarks.harness.receiver import receiver
from benchmarks.harness.report import Figure, Measured
from benchmarks.harness.server import Server

QUESTION = "How many events a second are stored and answered while they are also delivered?"
CONNECTIONS = 32
RATIO_MIN = 0.60
LAG_SECONDS_MAX = 2.0
"""So many seconds of the load may be behind at most: what a drain has read and sent is behind."""
LOOK_SECONDS = 1.0
CAUGHT_UP_SECONDS_MAX = 120.0


class Look(msgspec.Struct, frozen=True):
    """What is behind at one moment."""

    at_seconds: float
    """Since the load began."""
    lags: dict[str, int]
    """Events that each destination has not settled."""

    @property
    def worst(self) -> int:
        """The lag of the destination that is further behind."""
        return max(self.lags.values())


class Round(msgspec.Struct, frozen=True):
    """One load, and what was behind during it."""

    load: Load
    looks: list[Look]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this script may be told."""
    parser.add_argument("--events", type=int, help="events of a round")
    parser.add_argument("--rounds", type=int, help="rounds of both")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)


def destinations(directory: Path, port: int) -> str:
    """Write the configuration of the two destinations."""
    return (
        f'[destinations.archive]\nkind = "file"\ndirectory = "{directory / "archive"}"\n'
        f'[destinations.hook]\nkind = "http"\nurl = "http://127.0.0.1:{port}/"\n'
    )


def measure(options: argparse.Namespace) -> Measured:
    """Send the same load to both, in turn, and look at the lag meanwhile."""
    events = options.events or (60_000 if options.full else 6_000)
    rounds = options.rounds or (5 if options.full else 4)
    directory = options.directory / SERVICE_DIRECTORY
    with receiver(server.cores_apart()[1]) as hook:
        tables = destinations(options.directory, hook.port)
        with beside_empty(options, tables) as both:
            both.warm_up(options.connections)
            catch_up(directory)
            empty, ours = interleaved(
                rounds,
                lambda: one_round(both, both.empty, events, options.connections, directory),
                lambda: one_round(both, both.ours, events, options.connections, directory),
            )
    return Measured(figures(empty, ours), details(empty, ours, events, options.connections))


def one_round(both: Beside, to: Server, events: int, connections: int, directory: Path) -> Round:
    """Send one load and look at the lag until everything is settled."""
    requests = both.requests(events)
    with looking(directory, both.load_core) as looks:
        load = both.send(to, requests, connections)
    looks.append(look(directory, load.seconds))
    catch_up(directory)
    return Round(load, looks)


@contextmanager
def looking(directory: Path, core: int | None) -> Iterator[list[Look]]:
    """Look at the lag every now and then, from the load's core, while the block runs."""
    looks: list[Look] = []
    ended = threading.Event()

    def keep_looking() -> None:
        with server.on_core(core):
            begun = time.monotonic()
            while not ended.wait(LOOK_SECONDS):
                looks.append(look(directory, time.monotonic() - begun))

    thread = threading.Thread(target=keep_looking)
    thread.start()
    try:
        yield looks
    finally:
        ended.set()
        thread.join()


def look(directory: Path, at_seconds: float) -> Look:
    """Ask the service what is behind."""
    told = server.ask_status(directory)["destinations"]
    return Look(at_seconds, {name: one["lag_events"] for name, one in told.items()})


def catch_up(directory: Path) -> None:
    """Wait until everything is settled, so that no round inherits another's work."""
    deadline = time.monotonic() + CAUGHT_UP_SECONDS_MAX
    while look(directory, 0).worst:
        if time.monotonic() > deadline:
            raise RuntimeError("the drains do not catch up")


def figures(empty: list[Round], ours: list[Round]) -> list[Figure]:
    """Return throughput beside the empty application, and what was behind."""
    rates = [[one.load.per_second for one in rounds] for rounds in (ours, empty)]
    latencies = [latency for one in ours for latency in one.load.latencies_ms]
    behind = max(one.worst / each.load.per_second for each in ours for one in each.looks)
    refused = sum(
        count for one in ours for status, count in one.load.statuses.items() if status != 200
    )
    return [
        Figure(
            name="throughput while draining, against the empty app",
            value=median_ratio(*rates),
            unit="x",
            at_least=RATIO_MIN,
        ),
        Figure(
            name="lag at most, in seconds of this load",
            value=behind,
            unit="s",
            at_most=LAG_SECONDS_MAX,
            note=f"{max(one.worst for each in ours for one in each.looks):,} events",
        ),
        Figure(name="throughput, streamer", value=statistics.median(rates[0]), unit="events/s"),
        Figure(name="throughput, empty app", value=statistics.median(rates[1]), unit="events/s"),
        Figure(name="p99, streamer", value=percentile(latencies, 99), unit="ms"),
        Figure(name="answers other than 200", value=refused, unit="answers", at_most=0),
    ]


def details(
    empty: list[Round], ours: list[Round], events: int, connections: int
) -> dict[str, object]:
    """Return the raw numbers."""
    return {
        "events_per_round": events,
        "connections": connections,
        "empty": {"events_per_second": [round(one.load.per_second, 1) for one in empty]},
        "streamer": {
            "events_per_second": [round(one.load.per_second, 1) for one in ours],
            "looks": [[msgspec.to_builtins(seen) for seen in one.looks] for one in ours],
        },
    }


if __name__ == "__main__":
    report.run("draining", QUESTION, measure, arguments=add_arguments)

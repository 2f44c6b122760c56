"""How many events a second are acknowledged, beside the empty application.

This is the price of an event seen from outside, with 32 senders at once, who
also want to be answered in time and are never to be told to come again. The
outbox fills; `benchmarks.draining` is the same with drains that empty it.

The server has a core for itself and the load the other, as in the measurement
of CPU. Without that the scheduler moves both about, and what it does with the
two threads of streamer and the one of the load is part of the result:
``--unpinned`` shows how large a part.
"""

from __future__ import annotations

import argparse
import statistics

from benchmarks.harness import report
from benchmarks.harness.beside import Rounds, beside_empty
from benchmarks.harness.load import percentile
from benchmarks.harness.report import Figure, Measured

QUESTION = "How many events a second are stored and answered, with 32 senders at once?"
CONNECTIONS = 32
RATIO_MIN = 0.77
P99_MS_MAX = 50.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this script may be told."""
    parser.add_argument("--events", type=int, help="events of a round")
    parser.add_argument("--rounds", type=int, help="rounds of both")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--unpinned", action="store_true", help="let server and load share cores")


def measure(options: argparse.Namespace) -> Measured:
    """Send the same load to both and compare how fast it was answered."""
    events = options.events or (20_000 if options.full else 4_000)
    rounds = options.rounds or (9 if options.full else 5)
    with beside_empty(options, pinned=not options.unpinned) as both:
        found = both.rounds(rounds, events=events, connections=options.connections)
    return Measured(figures(found), {"connections": options.connections, **found.details()})


def figures(found: Rounds) -> list[Figure]:
    """Return what the rounds say about throughput."""
    latencies = [latency for one in found.ours for latency in one.load.latencies_ms]
    refused = sum(
        count for one in found.ours for status, count in one.load.statuses.items() if status != 200
    )
    ours, empty = (
        statistics.median(one.load.per_second for one in rounds)
        for rounds in (found.ours, found.empty)
    )
    return [
        Figure(
            name="throughput, against the empty app",
            value=found.throughput_ratio(),
            unit="x",
            at_least=RATIO_MIN,
        ),
        Figure(name="throughput, streamer", value=ours, unit="events/s"),
        Figure(name="throughput, empty app", value=empty, unit="events/s"),
        Figure(
            name="p99, streamer", value=percentile(latencies, 99), unit="ms", at_most=P99_MS_MAX
        ),
        Figure(name="answers other than 200", value=refused, unit="answers", at_most=0),
    ]


if __name__ == "__main__":
    report.run("throughput", QUESTION, measure, arguments=add_arguments)

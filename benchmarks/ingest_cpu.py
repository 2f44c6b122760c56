"""What a durably acknowledged event costs in CPU, beside a call that does nothing.

The server is the real ``streamer serve`` with a source and no destination. The
empty application behind the same server code reads the body and answers 200.
The ratio of the two is the price of verifying, decoding and committing, and of
everything that the service does beside it. `benchmarks.harness.beside` tells
how the two are measured.
"""

from __future__ import annotations

import argparse
import pstats
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import report, server
from benchmarks.harness.beside import Round, Rounds, beside_empty
from benchmarks.harness.load import send, signed_requests
from benchmarks.harness.report import Figure, Measured

QUESTION = "How much more CPU does a stored event cost than a call that does nothing?"
CONNECTIONS = 32
RATIO_MAX = 1.30
PROFILE_ROWS = 35


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this script may be told."""
    parser.add_argument("--events", type=int, help="events of a round")
    parser.add_argument("--rounds", type=int, help="rounds of both")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument(
        "--profile", action="store_true",
        help="print where the time of the event loop's thread goes, and measure nothing",
    )  # fmt: skip


def measure(options: argparse.Namespace) -> Measured:
    """Send the same load to both and compare what their processes used."""
    events = options.events or (20_000 if options.full else 3_000)
    rounds = options.rounds or (9 if options.full else 5)
    if options.profile:
        profile(options.directory, events, options.connections)
        return Measured([])
    with beside_empty(options) as both:
        found = both.rounds(rounds, events=events, connections=options.connections)
    for one in found.ours:
        one.load.must_be(200)
    return Measured(figures(found), {"connections": options.connections, **found.details()})


def figures(found: Rounds) -> list[Figure]:
    """Return what the rounds say about CPU."""
    ratio = Figure(
        name="CPU per event, against the empty app",
        value=found.cpu_ratio(),
        unit="x",
        at_most=RATIO_MAX,
    )
    return [ratio, cost("streamer", found.ours), cost("empty app", found.empty)]


def cost(name: str, rounds: Sequence[Round]) -> Figure:
    """Return what an event costs one of the two."""
    answering = statistics.median(one.cpu_microseconds_answering for one in rounds)
    return Figure(
        name=f"CPU per event, {name}",
        value=statistics.median(one.cpu_microseconds for one in rounds),
        unit="µs",
        note=f"{answering:.0f} until the last answer",
    )


def profile(directory: Path, events: int, connections: int) -> None:
    """Run the service under a profiler, with the same load, and print what it saw.

    The profiler sees one thread, that of the event loop; the writer's has its time in SQLite.
    """
    with tempfile.NamedTemporaryFile(dir=directory) as seen:
        python = (sys.executable, "-m", "cProfile", "-o", seen.name)
        with server.streamer(directory / "streamer", python=python) as ours:
            send(ours.port, signed_requests(events), connections=connections).must_be(200)
        pstats.Stats(seen.name, stream=sys.stderr).sort_stats("tottime").print_stats(PROFILE_ROWS)


if __name__ == "__main__":
    report.run("ingest_cpu", QUESTION, measure, arguments=add_arguments)

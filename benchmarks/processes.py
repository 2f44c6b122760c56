"""What a second process brings, and what it costs.

Two services, of one process and of two, run side by side and get the same load
in turn. Where there are cores enough, the load has one to itself and either
service has all the others: then two processes can do nearly twice as much.
Where there are not, no throughput can be gained, and what is looked at is the
price: the processor time of an event, of all processes together, must not grow.
Part of it is that half as many senders share a commit; what one process needs
for the senders that one of several has is told beside it.

The share of the busier process tells how evenly the kernel has handed out the
connections; with a shared listener nobody else does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import report, server
from benchmarks.harness.load import Load, percentile, send, signed_requests
from benchmarks.harness.pairs import interleaved, median_ratio
from benchmarks.harness.report import Figure, Measured
from benchmarks.harness.server import Server

QUESTION = "What does a second process bring, and what does it cost?"
CONNECTIONS = 32
CORES_MIN = 4
"""One for the load, two for the processes, and one for the threads of their writers."""
THROUGHPUT_RATIO_MIN = 1.6
CPU_RATIO_MAX = 1.1
WARM_UP_EVENTS = 1_000
REST_SECONDS = 1.5
MIB = 2**20


class Round(NamedTuple):
    """What one load did to one service."""

    load: Load
    cpu_seconds: list[float]
    """Of each process, until it came to rest."""

    @property
    def cpu_microseconds(self) -> float:
        """Processor time of all processes for an event, in µs."""
        return sum(self.cpu_seconds) / len(self.load.latencies_ms) * 1e6

    @property
    def busiest_share(self) -> float:
        """The part of it that the busiest process used."""
        return max(self.cpu_seconds) / sum(self.cpu_seconds)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this script may be told."""
    parser.add_argument("--events", type=int, help="events of a round")
    parser.add_argument("--rounds", type=int, help="rounds of both")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--processes", type=int, default=2, help="of the larger service")
    parser.add_argument("--engine", default="hypercorn", help="of both services")


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Bind this thread, and every process that it starts meanwhile, to some processor cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Pair:
    """Both services, and the load for either."""

    def __init__(self, options: argparse.Namespace, one: Server, several: Server) -> None:
        self.one = one
        self.several = several
        self.connections: int = options.connections
        self.connections_each: int = max(1, options.connections // options.processes)
        self._next_number = 0

    def round(
        self, to: Server, events: int, load_cores: set[int], *, connections: int = 0
    ) -> Round:
        """Send so many new events to a service."""
        first, self._next_number = self._next_number, self._next_number + events
        requests = signed_requests(events, first=first)
        before = to.cpu_seconds_each()
        with on_cores(load_cores):
            load = send(to.port, requests, connections=connections or self.connections).must_be(200)
        time.sleep(REST_SECONDS)
        used = zip(to.cpu_seconds_each(), before, strict=True)
        return Round(load, [after - earlier for after, earlier in used])


def measure(options: argparse.Namespace) -> Measured:
    """Send the same load to both and compare."""
    events = options.events or (20_000 if options.full else 4_000)
    rounds = options.rounds or (9 if options.full else 5)
    cores = os.sched_getaffinity(0)
    apart = len(cores) >= CORES_MIN
    load_cores = {max(cores)} if apart else cores
    with ExitStack() as running, on_cores(cores - load_cores if apart else cores):
        directory: Path = options.directory
        table = f'[server]\nengine = "{options.engine}"\nprocesses = '
        one = running.enter_context(server.streamer(directory / "one", f"{table}1\n"))
        several = running.enter_context(
            server.streamer(directory / "several", f"{table}{options.processes}\n")
        )
        pair = Pair(options, one, several)
        for warm in (one, several):
            pair.round(warm, WARM_UP_EVENTS, load_cores)
        found = interleaved(
            rounds,
            lambda: pair.round(one, events, load_cores),
            lambda: pair.round(several, events, load_cores),
            lambda: pair.round(one, events, load_cores, connections=pair.connections_each),
        )
        memory = [one.resident_bytes_each(), several.resident_bytes_each()]
    figures = [*_figures(*found, apart=apart), *_memory(*memory)]
    settings = {"connections": options.connections, "engine": options.engine}
    return Measured(figures, {**settings, **_details(*found)})


def _figures(
    one: list[Round], several: list[Round], fewer: list[Round], *, apart: bool
) -> list[Figure]:
    throughput = [[each.load.per_second for each in rounds] for rounds in (one, several)]
    cpu = [[each.cpu_microseconds for each in rounds] for rounds in (one, several, fewer)]
    gained = median_ratio(throughput[1], throughput[0])
    return [
        Figure(
            name="throughput, against one process",
            value=gained if apart else None,
            unit="x",
            at_least=THROUGHPUT_RATIO_MIN,
            note="" if apart else f"needs {CORES_MIN} cores; {gained:.2f} x with the load on them",
        ),
        Figure(
            name="CPU of all processes for an event, against one process",
            value=median_ratio(cpu[1], cpu[0]),
            unit="x",
            at_most=CPU_RATIO_MAX,
        ),
        Figure(name="CPU, one process", value=statistics.median(cpu[0]), unit="µs"),
        Figure(name="CPU, several processes", value=statistics.median(cpu[1]), unit="µs"),
        Figure(
            name="CPU, one process with the senders of one of several",
            value=statistics.median(cpu[2]),
            unit="µs",
        ),
        Figure(name="p99, one process", value=_p99_ms(one), unit="ms"),
        Figure(name="p99, several processes", value=_p99_ms(several), unit="ms"),
        Figure(
            name="share of the busiest process",
            value=statistics.median(each.busiest_share for each in several),
            unit="x",
        ),
    ]


def _p99_ms(rounds: list[Round]) -> float:
    return percentile([ms for each in rounds for ms in each.load.latencies_ms], 99)


def _memory(one: list[int], several: list[int]) -> list[Figure]:
    return [
        Figure(name="memory, one process", value=one[0] / MIB, unit="MiB"),
        Figure(name="memory, the main one of several", value=several[0] / MIB, unit="MiB"),
        Figure(name="memory, each further process", value=max(several[1:]) / MIB, unit="MiB"),
    ]


def _details(one: list[Round], several: list[Round], fewer: list[Round]) -> dict[str, object]:
    return {
        name: {
            "events_per_second": [round(each.load.per_second, 1) for each in rounds],
            "cpu_microseconds": [round(each.cpu_microseconds, 2) for each in rounds],
            "cpu_seconds_each": [each.cpu_seconds for each in rounds],
        }
        for name, rounds in (("one", one), ("several", several), ("fewer", fewer))
    }


if __name__ == "__main__":
    report.run("processes", QUESTION, measure, arguments=add_arguments)

"""The second engine: the service behind uvicorn, beside an empty application on uvicorn.

Three servers take the same load in turn. The measure is uvicorn as it comes,
run by its own command with uvloop and httptools, around an application that
does nothing. The second is the same application behind our own server code and
the engine that is built on uvicorn's connections: what lies between the two is
the price of the promises that uvicorn alone does not keep. The third is the
service.

64 senders call at once for the figures that are to be reached, and one alone
for what Customer.io seems to do: it waits for each answer.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from benchmarks.harness import report, server
from benchmarks.harness.beside import REST_SECONDS, WARM_UP_EVENTS, Round, summary
from benchmarks.harness.load import percentile, send, signed_requests
from benchmarks.harness.pairs import interleaved, median_ratio
from benchmarks.harness.report import Figure, Measured
from benchmarks.harness.server import Server

QUESTION = "What does the service reach behind uvicorn, beside an empty application on uvicorn?"
CONNECTIONS = 64
RATIO_MIN = 0.35
P99_MS_MAX = 15.0
CONFIGURATION = '[server]\nengine = "uvicorn"\n'

BARE, EMPTY, OURS = range(3)
NAMES = ("empty app on uvicorn itself", "empty app behind our server", "streamer")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this script may be told."""
    parser.add_argument("--events", type=int, help="events of a round")
    parser.add_argument("--rounds", type=int, help="rounds of each")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)


@contextmanager
def uvicorn_itself(options: argparse.Namespace, core: int | None) -> Iterator[Server]:
    """Serve the empty application by uvicorn's own command."""
    port = server.free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.harness.empty:empty"]
    command += ["--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    command += ["--no-access-log", "--log-level", "warning", "--lifespan", "off"]
    with server.start(
        command, cwd=options.directory, env=server.MODULE_PATH, core=core, wait_for_port=port
    ) as running:
        yield running


class Sender:
    """Sends new events to one server after the other, from a core of its own."""

    def __init__(self, core: int | None) -> None:
        self._core = core
        self._next_number = 0

    def round(self, to: Server, *, events: int, connections: int) -> Round:
        """Send so many events and look at what they cost."""
        requests = signed_requests(events, first=self._next_number)
        self._next_number += events
        before = to.cpu_seconds()
        with server.on_core(self._core):
            load = send(to.port, requests, connections=connections)
        load.must_be(200)
        answered = to.cpu_seconds()
        time.sleep(REST_SECONDS)
        return Round(
            load=load,
            cpu_seconds=to.cpu_seconds() - before,
            cpu_seconds_answering=answered - before,
        )


def measure(options: argparse.Namespace) -> Measured:
    """Send the same load to each, many senders at once and then one alone."""
    events = options.events or (40_000 if options.full else 10_000)
    rounds = options.rounds or (9 if options.full else 5)
    server_core, load_core = server.cores_apart()
    with ExitStack() as running:
        start = running.enter_context
        servers = [
            start(uvicorn_itself(options, server_core)),
            start(server.empty_app("uvicorn", core=server_core)),
            start(server.streamer(options.directory / "data", CONFIGURATION, core=server_core)),
        ]
        sender = Sender(load_core)
        for one in servers:
            sender.round(one, events=WARM_UP_EVENTS, connections=options.connections)
        many, alone = (
            interleaved(
                rounds,
                *(partial(sender.round, one, events=count, connections=most) for one in servers),
            )
            for count, most in ((events, options.connections), (events // 10, 1))
        )
    return Measured(figures(many, alone), details(options, many, alone))


def figures(many: Sequence[Sequence[Round]], alone: Sequence[Sequence[Round]]) -> list[Figure]:
    """Return what the rounds say."""
    throughput = [[one.load.per_second for one in rounds] for rounds in many]
    latencies = [latency for one in many[OURS] for latency in one.load.latencies_ms]
    return [
        Figure(
            name="throughput, against the empty app on uvicorn itself",
            value=median_ratio(throughput[OURS], throughput[BARE]),
            unit="x",
            at_least=RATIO_MIN,
        ),
        Figure(
            name="p99, streamer", value=percentile(latencies, 99), unit="ms", at_most=P99_MS_MAX
        ),
        *(
            Figure(name=f"throughput, {name}", value=statistics.median(found), unit="events/s")
            for name, found in zip(NAMES, throughput, strict=True)
        ),
        *(
            Figure(
                name=f"CPU per event, {name}",
                value=statistics.median(one.cpu_microseconds for one in rounds),
                unit="µs",
            )
            for name, rounds in zip(NAMES, many, strict=True)
        ),
        *(
            Figure(
                name=f"one sender alone, median, {name}",
                value=statistics.median(one.load.percentile(50) for one in rounds),
                unit="ms",
            )
            for name, rounds in zip(NAMES, alone, strict=True)
        ),
    ]


def details(
    options: argparse.Namespace,
    many: Sequence[Sequence[Round]],
    alone: Sequence[Sequence[Round]],
) -> dict[str, object]:
    """Return the raw numbers."""
    return {
        "connections": options.connections,
        "many": {name: summary(rounds) for name, rounds in zip(NAMES, many, strict=True)},
        "alone": {name: summary(rounds) for name, rounds in zip(NAMES, alone, strict=True)},
    }


if __name__ == "__main__":
    report.run("engines", QUESTION, measure, arguments=add_arguments)

"""Whether anything is slower with ten million events in the outbox than with none.

Two real services, one of them with an empty outbox, are sent the same load in turn; drains of both
are measured in turn as well. Ids are those of Customer.io unless others are asked for.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

from benchmarks import filling
from benchmarks.alternating import Comparison, two_services
from benchmarks.filling import Backlog, Maker
from benchmarks.harness import report
from benchmarks.harness.load import send
from benchmarks.harness.pairs import interleaved, median_ratio
from benchmarks.harness.report import Figure, Measured
from benchmarks.harness.server import MODULE_PATH, Server, streamer
from streamer.store import cursors, destinations, drift, facts

QUESTION = "Is it as quick with ten million events in the outbox as with none?"

STATUS_RUNS = 5
START_RUNS = 3
LOOK_SECONDS = 0.02
DRAIN_SECONDS_MAX = 600.0
MEMORY_MIB_MAX = 120e6 / 2**20
GROWTH_MIB_MAX = 8.0
SERIAL = 1
FULL_LOAD = 32


class Sizes(NamedTuple):
    """How much of everything."""

    events: int
    old_events: int
    """Those that are to be pruned."""
    rounds: int
    serial_requests: int
    requests: int
    drain_rounds: int
    drained_events: int
    memory_seconds: float


SMALL = Sizes(200_000, 60_000, 6, 200, 2_000, 3, 30_000, 8.0)
FULL = Sizes(10_000_000, 1_000_000, 20, 500, 5_000, 6, 200_000, 60.0)


class Databases(NamedTuple):
    """The installations, each in a directory."""

    empty: Path
    little: Path
    """With a backlog that is drained in one round."""
    large: Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this script can be asked besides."""
    parser.add_argument("--ids", choices=["ulid", "random"], default="ulid", help="kind of id")
    parser.add_argument("--events", type=int, help="so many instead")
    parser.add_argument(
        "--keep", type=Path, help="keep the database here once it is built, and begin with it"
    )


def measure(options: argparse.Namespace) -> Measured:
    """Measure everything, one after the other."""
    sizes = FULL if options.full else SMALL
    if options.events is not None:
        sizes = sizes._replace(events=options.events, old_events=options.events // 10)
    data = build(options, sizes)
    maker = Maker(options.ids, seed=time.time_ns())
    details: dict[str, object] = {"events": sizes.events, "ids": options.ids}
    figures = [*status_figures(data.large), start_figure(data.large)]
    figures += acknowledgement_figures(data, maker, sizes, details)
    figures += drain_figures(data, sizes, details)
    figures += memory_figures(data.large, maker, sizes.memory_seconds, details)
    figures += pruning_figures(data, maker, sizes, details)
    return Measured(figures, details)


def build(options: argparse.Namespace, sizes: Sizes) -> Databases:
    """Make the installations; a large one that was kept is copied."""
    data = Databases(*(options.directory / name for name in Databases._fields))
    filling.declare(data.empty)
    filling.fill(data.little, Backlog(2 * sizes.drained_events), to_files(data.little))
    kept = data.large
    if options.keep is not None:
        kept = options.keep.resolve() / f"{sizes.events}-{options.ids}"
    if not filling.database(kept).exists():
        made = kept.with_name(f"{kept.name}-unfinished")
        shutil.rmtree(made, ignore_errors=True)
        backlog = Backlog(sizes.events, options.ids, old_events=sizes.old_events)
        filling.fill(made, backlog)
        made.rename(kept)
    if kept != data.large:
        shutil.copytree(kept, data.large)
    filling.declare(data.large, to_files(data.large) + to_lanes())
    os.sync()  # or the disk is busy with it for a while
    return data


def to_files(directory: Path) -> str:
    """Configure a destination that takes all events."""
    return f'[destinations.archive]\nkind = "file"\ndirectory = "{directory / "archive"}"\n'


def to_lanes() -> str:
    """Configure one whose lag has to be counted, since it has lanes and a filter."""
    return (
        '[destinations.some]\nkind = "http"\nurl = "http://127.0.0.1:9/"\nlanes = 4\n'
        'include = ["email.*"]\n'
    )


def status_figures(directory: Path) -> list[Figure]:
    """Time ``streamer status`` as a whole process, of a service that does not run."""
    command = [sys.executable, "-m", "streamer", "status", "--json"]
    command += ["--config", str(directory / "streamer.toml")]
    walls, processors = [], []
    for _ in range(STATUS_RUNS):
        spent, began = _children_seconds(), time.perf_counter()
        subprocess.run(  # noqa: S603 - our own program
            command, env=MODULE_PATH, cwd=directory, check=True, stdout=subprocess.DEVNULL
        )
        walls.append(time.perf_counter() - began)
        processors.append(_children_seconds() - spent)
    return [
        Figure(
            name="streamer status, the whole process",
            value=statistics.median(walls),
            unit="s",
            at_most=0.3,
            note=f"{statistics.median(processors):.2f} s of a processor",
        )
    ]


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def start_figure(directory: Path) -> Figure:
    """Time a service from its start to its first answer that it is ready."""
    seconds = []
    for _ in range(START_RUNS):
        began = time.perf_counter()
        with streamer(directory, to_files(directory)):
            seconds.append(time.perf_counter() - began)
    return Figure(name="start to ready", value=statistics.median(seconds), unit="s", at_most=2.0)


def acknowledgement_figures(
    data: Databases, maker: Maker, sizes: Sizes, details: dict[str, object]
) -> list[Figure]:
    """Compare answers of an empty outbox and of the backlog.

    Then once more while the survey looks through the whole backlog, as it does in the hour after
    an upgrade from a version that had none.
    """
    figures = []
    for name, position, rounds in (
        ("", sizes.events, sizes.rounds),
        (" while the backlog is surveyed", 0, max(2, sizes.rounds // 3)),
    ):
        with filling.changing(data.large) as db:
            facts.write(db, drift.POSITION, position)
        with two_services(data.empty, data.large) as pair:
            for connections, count in (
                (SERIAL, sizes.serial_requests), (FULL_LOAD, sizes.requests),
            ):  # fmt: skip
                compared = Comparison(maker, count=count, connections=connections)
                compared.warm_up(*pair)
                compared.add(*pair, rounds)
                details[f"answers{name}, {connections}"] = compared.details()
                figures += _ratios(f"answers{name}", compared, connections, at_most=1.15)
    return figures


def _ratios(name: str, compared: Comparison, connections: int, *, at_most: float) -> list[Figure]:
    return [
        Figure(
            name=f"{name}, {connections} connection{'s' * (connections > 1)}, {said}",
            value=compared.ratio(share),
            unit="x",
            at_most=at_most,
        )
        for share, said in ((50, "median"), (90, "p90"))
    ]


def drain_figures(data: Databases, sizes: Sizes, details: dict[str, object]) -> list[Figure]:
    """Compare the drains of a little backlog, always the same, and of the large one, going on."""
    with filling.changing(data.large) as db:
        facts.write(db, drift.POSITION, sizes.events)
    beginnings = {data.little: 0, data.large: sizes.old_events}

    def drain(directory: Path) -> float:
        rate, end = drain_round(directory, beginnings[directory], sizes.drained_events)
        if directory == data.large:
            beginnings[directory] = end
        return rate

    little, large = interleaved(
        sizes.drain_rounds, lambda: drain(data.little), lambda: drain(data.large)
    )
    details["drained a second"] = {"little": little, "large": large}
    return [
        Figure(
            name="drain to files, large backlog over a little one",
            value=median_ratio(large, little),
            unit="x",
            at_least=0.9,
            note=f"{statistics.median(large):,.0f} events/s",
        )
    ]


def drain_round(directory: Path, behind: int, events: int) -> tuple[float, int]:
    """Drain some events behind a position; return how many a second, and where it ended."""
    with filling.changing(directory) as db:
        cursors.move(db, "archive", behind, now=filling.now_ms())
    shutil.rmtree(directory / "archive", ignore_errors=True)
    with streamer(directory, to_files(directory)):
        first, began = _wait_beyond(directory, behind + events // 10)
        last, ended = _wait_beyond(directory, behind + events)
    return (last - first) / (ended - began), _cursor(directory)


def _wait_beyond(directory: Path, position: int) -> tuple[int, float]:
    deadline = time.perf_counter() + DRAIN_SECONDS_MAX
    while (now := time.perf_counter()) < deadline:
        cursor = _cursor(directory)
        if cursor >= position:
            return cursor, now
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"the drain did not come to {position}")


def _cursor(directory: Path) -> int:
    return filling.value(directory, "SELECT position FROM cursors WHERE destination = 'archive'")


def memory_figures(
    directory: Path, maker: Maker, seconds: float, details: dict[str, object]
) -> list[Figure]:
    """Watch how much memory a service holds that takes in events and drains its backlog."""
    resident: list[float] = []
    over = Event()

    def watch(server: Server) -> None:
        while not over.wait(LOOK_SECONDS * 5):
            resident.append(server.resident_bytes() / 2**20)

    with streamer(directory, to_files(directory)) as server:
        watching = Thread(target=watch, args=(server,))
        watching.start()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            send(server.port, maker.requests(2_000), connections=FULL_LOAD).must_be()
        over.set()
        watching.join()
    shutil.rmtree(directory / "archive", ignore_errors=True)
    half = len(resident) // 2
    details["resident MiB"] = resident[:: max(1, len(resident) // 100)]
    return [
        Figure(
            name="memory, taking in and draining, at most",
            value=max(resident),
            unit="MiB",
            at_most=MEMORY_MIB_MAX,
        ),
        Figure(
            name="memory, second half over the first",
            value=max(resident[half:]) - max(resident[:half]),
            unit="MiB",
            at_most=GROWTH_MIB_MAX,
        ),
    ]


def pruning_figures(
    data: Databases, maker: Maker, sizes: Sizes, details: dict[str, object]
) -> list[Figure]:
    """Compare answers of an empty outbox and of the backlog while its oldest events are pruned."""
    make_old(data.large, sizes.old_events)
    serial = Comparison(maker, count=sizes.serial_requests, connections=SERIAL)
    parallel = Comparison(maker, count=sizes.requests, connections=FULL_LOAD)
    turns = cycle((serial, parallel))
    with two_services(data.empty, data.large) as pair:
        serial.warm_up(*pair)
        began, awake = _first(data.large), pair[1].awake_seconds
        while True:
            compared = next(turns)
            compared.add(*pair, 1)
            if filling.is_pruned(data.large, sizes.old_events):
                break
        compared.drop_last()  # it ended somewhere in there
        seconds = pair[1].awake_seconds - awake
    details["answers while pruning"] = {
        str(SERIAL): serial.details(), str(FULL_LOAD): parallel.details(),
    }  # fmt: skip
    return [
        *_ratios("answers beside pruning", serial, SERIAL, at_most=2.0),
        *_ratios("answers beside pruning", parallel, FULL_LOAD, at_most=2.0),
        Figure(
            name="pruned and given back beside that load",
            value=(sizes.old_events + 1 - began) / seconds,
            unit="events/s",
        ),
    ]


def make_old(directory: Path, events: int) -> None:
    """Let everything be settled since long ago; only the oldest were received then, too."""
    filling.declare(directory)
    with filling.changing(directory) as db:
        for name in ("archive", "some"):
            destinations.retire(db, name)
            destinations.forget(db, name, now=filling.now_ms())
    filling.settle_long_ago(directory, events)


def _first(directory: Path) -> int:
    return filling.value(directory, "SELECT min(position) FROM outbox")


if __name__ == "__main__":
    report.run("ten_million", QUESTION, measure, arguments=arguments)

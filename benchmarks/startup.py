"""How long a command takes to say its help, against a bare program of the same library.

Each round runs both, one after the other, so that whatever else the machine
does hits both alike; the ratio is taken within a round and its median told.
The time of the processor is told beside that of the wall, which a busy machine
stretches.
Nothing here depends on what a machine can do in absolute terms.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from benchmarks.harness import report
from benchmarks.harness.pairs import interleaved, median_ratio
from benchmarks.harness.report import Figure, Measured
from benchmarks.installed import ROOT

QUESTION = "How much longer does a command take to say its help than a program that does nothing?"

BARE = """
from cyclopts import App
app = App(name="bare", version_flags=["--version"])
@app.command
def status(*, config: str | None = None, json: bool = False):
    "Show something."
app()
"""
"""A program of one command, which does nothing."""

COMMANDS = (
    (),
    ("serve",),
    ("init",),
    ("check",),
    ("doctor",),
    ("send-sample",),
    ("status",),
    ("events", "list"),
    ("db", "backup"),
)


class Cost(NamedTuple):
    """Seconds that one run took."""

    wall: float
    processor: float


def cost(command: list[str]) -> Cost:
    """Run a command to its end and return what it took."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(  # noqa: S603 - our own program
        command, check=True, env=environment, stdout=subprocess.DEVNULL
    )
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Cost(wall, processor)


def compare(arguments: tuple[str, ...], rounds: int) -> dict[str, float]:
    """Return the medians of both in ms, and the medians of their ratios."""
    bare_words = ["status", "--help"] if arguments else ["--help"]
    bare = [sys.executable, "-c", BARE, *bare_words]
    ours = [sys.executable, "-m", "streamer", *arguments, "--help"]
    cost(bare), cost(ours)  # warms the caches of the disk
    base, found = interleaved(rounds, lambda: cost(bare), lambda: cost(ours))
    return {
        "bare_ms": round(statistics.median(one.wall for one in base) * 1000, 1),
        "streamer_ms": round(statistics.median(one.wall for one in found) * 1000, 1),
        "ratio": median_ratio([one.wall for one in found], [one.wall for one in base]),
        "processor_ratio": median_ratio(
            [one.processor for one in found], [one.processor for one in base]
        ),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this script may be told."""
    parser.add_argument("--rounds", type=int, help="rounds of each command")


def measure(options: argparse.Namespace) -> Measured:
    """Compare every command."""
    rounds = options.rounds or (15 if options.full else 3)
    commands = COMMANDS if options.full else COMMANDS[:3]
    found = {" ".join(("streamer", *words, "--help")): compare(words, rounds) for words in commands}
    figures = [
        Figure(
            name=command,
            value=one["ratio"],
            unit="x",
            note=f"{one['streamer_ms']:.0f} ms; of CPU {one['processor_ratio']:.2f} x",
        )
        for command, one in found.items()
    ]
    return Measured(figures, {"commands": found})


if __name__ == "__main__":
    report.run("startup", QUESTION, measure, arguments=add_arguments)

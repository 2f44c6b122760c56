"""How long a command takes to say its help, against a bare program of the same library.

Each round runs both, one after the other, so that whatever else the machine
does hits both alike; the ratio is taken within a round and its median told.
The time of the processor is told beside that of the wall, which a busy machine
stretches.
Nothing here depends on what a machine can do in absolute terms.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from benchmarks.installed import ROOT, compile_package

ROUNDS = 15

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


def measure(arguments: tuple[str, ...], rounds: int) -> dict[str, float]:
    """Return the medians of both in ms, and the median of their ratios."""
    words = [*arguments, "--help"]
    bare_words = ["status", "--help"] if arguments else ["--help"]
    pairs = [
        (
            cost([sys.executable, "-c", BARE, *bare_words]),
            cost([sys.executable, "-m", "streamer", *words]),
        )
        for _ in range(rounds + 1)
    ][1:]  # the first one warms the caches of the disk
    return {
        "bare_ms": round(statistics.median(bare.wall for bare, _ in pairs) * 1000, 1),
        "streamer_ms": round(statistics.median(ours.wall for _, ours in pairs) * 1000, 1),
        "ratio": round(statistics.median(ours.wall / bare.wall for bare, ours in pairs), 2),
        "processor_ratio": round(
            statistics.median(ours.processor / bare.processor for bare, ours in pairs), 2
        ),
    }


def main() -> None:
    """Measure every command and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="pairs for each command")
    options = parser.parse_args()
    compile_package()
    found = {
        " ".join(("streamer", *words, "--help")): measure(words, options.rounds)
        for words in COMMANDS
    }
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    sys.stdout.write(f"{'command':32} {'bare':>8} {'ours':>8} {'ratio':>6} {'of CPU':>7}\n")
    for command, figures in found.items():
        sys.stdout.write(
            f"{command:32} {figures['bare_ms']:6} ms {figures['streamer_ms']:6} ms "
            f"{figures['ratio']:6} {figures['processor_ratio']:7}\n"
        )


if __name__ == "__main__":
    main()

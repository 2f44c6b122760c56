"""How long a command takes to say its help, against a bare program of the same library.

Each round runs both, one after the other, so that whatever else the machine
does hits both alike; the ratio is taken within a round and its median told.
Nothing here depends on what a machine can do in absolute terms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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


def seconds(command: list[str]) -> float:
    """Run a command to its end and return how long it took."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begun = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
    return time.perf_counter() - begun


def measure(arguments: tuple[str, ...], rounds: int) -> dict[str, float]:
    """Return the medians of both in ms, and the median of their ratios."""
    words = [*arguments, "--help"]
    bare_words = ["status", "--help"] if arguments else ["--help"]
    pairs = [
        (
            seconds([sys.executable, "-c", BARE, *bare_words]),
            seconds([sys.executable, "-m", "streamer", *words]),
        )
        for _ in range(rounds + 1)
    ][1:]  # the first one warms the caches of the disk
    return {
        "bare_ms": round(statistics.median(bare for bare, _ in pairs) * 1000, 1),
        "streamer_ms": round(statistics.median(ours for _, ours in pairs) * 1000, 1),
        "ratio": round(statistics.median(ours / bare for bare, ours in pairs), 2),
    }


def main() -> None:
    """Measure every command and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="pairs for each command")
    options = parser.parse_args()
    found = {
        " ".join(("streamer", *words, "--help")): measure(words, options.rounds)
        for words in COMMANDS
    }
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    sys.stdout.write(f"{'command':32} {'bare':>8} {'ours':>8} {'ratio':>6}\n")
    for command, figures in found.items():
        sys.stdout.write(
            f"{command:32} {figures['bare_ms']:6} ms {figures['streamer_ms']:6} ms "
            f"{figures['ratio']:6}\n"
        )


if __name__ == "__main__":
    main()

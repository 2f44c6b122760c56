"""Runs every benchmark, one after the other, and keeps what they found in one file.

Each is a process of its own, as when it is run by hand. One that fails is told and left behind:
the others are worth having. A file that exists keeps what is not measured anew, so that a single
benchmark can be repeated with ``--only``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.harness import report, results
from benchmarks.harness.results import Result
from benchmarks.installed import ROOT

SCRIPTS = (
    "ingest_cpu", "serial", "throughput", "draining", "drain_rate", "lanes", "ten_million", "disk",
    "rivals", "engines", "processes", "hours_lost", "mapping", "backlog", "startup",
)  # fmt: skip
"""In the order in which results are told."""

TOLD_OF_FAILURE = 2_000


def command(name: str, options: argparse.Namespace) -> list[str]:
    """Return the command line of one benchmark."""
    words = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    words += ["--directory", str(options.directory.resolve())]
    return words + (["--full"] if options.full else [])


def measure(name: str, options: argparse.Namespace) -> Result:
    """Run one benchmark to its end."""
    done = subprocess.run(  # noqa: S603 - our own scripts
        command(name, options), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return msgspec.json.decode(done.stdout, type=Result)
    why = done.stderr.strip()[-TOLD_OF_FAILURE:] or f"exit code {done.returncode}"
    found = report.document(name, "", report.Measured([]), full=options.full)
    return msgspec.convert({**found, "failure": why}, Result)


def tell(result: Result, seconds: float) -> None:
    """Print one result for people."""
    told = f"FAILED: {result.failure}" if result.failure else report.table(result.figures)
    title = f"{result.benchmark}: {result.question}" if result.question else result.benchmark
    sys.stdout.write(f"\n{title} ({seconds:.0f} s)\n{told}\n")
    sys.stdout.flush()


def summary(found: Sequence[Result]) -> str:
    """Count what was reached."""
    verdicts = [figure.verdict for one in found for figure in one.figures]
    counts = [f"{verdicts.count(word)} {word}" for word in ("met", "MISSED", "not measured")]
    failed = [one.benchmark for one in found if one.failure]
    return ", ".join(counts) + (f"; failed: {', '.join(failed)}" if failed else "")


def merge(old: results.Results, new: Sequence[Result]) -> results.Results:
    """Put new results in the place of old ones, all in their order."""
    known = {**old, **{one.benchmark: one for one in new}}
    return {name: known[name] for name in SCRIPTS if name in known}


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.all", description=__doc__)
    parser.add_argument("--full", action="store_true", help="at full size: this takes hours")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results in this file")
    parser.add_argument(
        "--directory", type=Path, default=Path(), help="where databases go: on a real disk"
    )
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, metavar="NAME")
    return parser.parse_args(words)


def main() -> None:
    """Run what is asked for; fail if a benchmark failed, not if a figure was missed."""
    options = parse()
    found = []
    for name in options.only:
        begun = time.monotonic()
        found.append(measure(name, options))
        tell(found[-1], time.monotonic() - begun)
        if options.json:  # at once: the next one may take an hour, or the machine
            results.write(options.json, merge(results.read(options.json), found))
    sys.stdout.write(f"\n{summary(found)}\n")
    sys.exit(any(one.failure for one in found))


if __name__ == "__main__":
    main()

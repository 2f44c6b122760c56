"""How a benchmark tells what it found: figures with what is to be reached, for people and programs.

Each script asks one question, and `run` is its command line. A figure that misses its bound is
told and is no error: machines differ, and what counts is read from the results as a whole.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.installed import ROOT, compile_package
from streamer.store import sqlite

PACKAGES = ("streamer", "hypercorn", "h11", "uvloop", "aiosqlite", "aiohttp", "msgspec", "uvicorn")
"""What a result depends on; those that are installed are told."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement, and what is to be reached."""

    name: str
    value: float | None
    """None when it could not be measured."""
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Say whether what is to be reached is reached; nothing if there is no bound."""
        if self.value is None:
            return "not measured"
        if self.at_most is None and self.at_least is None:
            return ""
        too_much = self.at_most is not None and self.value > self.at_most
        too_little = self.at_least is not None and self.value < self.at_least
        return "MISSED" if too_much or too_little else "met"

    @property
    def bound(self) -> str:
        """Write what is to be reached."""
        parts = []
        if self.at_least is not None:
            parts.append(f"≥ {self.at_least:,g}")
        if self.at_most is not None:
            parts.append(f"≤ {self.at_most:,g}")
        return " ".join(parts)


class Measured(NamedTuple):
    """What a benchmark found."""

    figures: Sequence[Figure]
    details: dict[str, object] = {}  # noqa: RUF012 - a default that nobody changes
    """Raw numbers behind the figures, which JSON can hold; plots are drawn from them."""


Measure = Callable[[argparse.Namespace], Measured]


def written(value: float | None) -> str:
    """Write a value with about three figures that mean something."""
    if value is None:
        return "-"
    size = abs(value)
    decimals = 0 if size >= 100 or not size else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:,.{decimals}f}"


def table(figures: Iterable[Figure]) -> str:
    """Write figures as columns, for people."""
    rows = [
        (one.name, written(one.value), one.unit, one.bound, one.verdict, one.note)
        for one in figures
    ]
    widths = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    lines = []
    for name, value, *others in rows:
        cells = [name.ljust(widths[0]), value.rjust(widths[1])]
        cells += [text.ljust(width) for text, width in zip(others, widths[2:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def document(benchmark: str, question: str, measured: Measured, *, full: bool) -> dict[str, object]:
    """Return everything that is known about one run, as JSON can hold it."""
    figures = [{**msgspec.structs.asdict(one), "verdict": one.verdict} for one in measured.figures]
    return {
        "benchmark": benchmark,
        "question": question,
        "full": full,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "figures": figures,
        "details": measured.details,
    }


@functools.cache
def commit() -> str:
    """Return the commit that was measured, with a mark if files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10"]
    command += ["--exclude", "*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - git
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


@functools.cache
def machine() -> dict[str, object]:
    """Say what was measured on, without a name that only one place knows."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return platform.machine()


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    found = {"python": platform.python_version(), "sqlite": sqlite.VERSION}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def run(
    benchmark: str,
    question: str,
    measure: Measure,
    *,
    arguments: Callable[[argparse.ArgumentParser], object] | None = None,
) -> None:
    """Be the command line of a benchmark: measure, and print a table or one JSON object.

    ``measure`` gets the arguments with ``directory`` replaced by an empty directory that is
    removed afterwards.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{benchmark}", description=question)
    parser.add_argument("--full", action="store_true", help="at full size, not in seconds")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--directory", type=Path, default=Path(), help="where databases go: on a real disk"
    )
    if arguments is not None:
        arguments(parser)
    options = parser.parse_args()
    compile_package()
    options.directory.mkdir(parents=True, exist_ok=True)
    where = options.directory.resolve()
    with (
        tempfile.TemporaryDirectory(dir=where, prefix="benchmark-") as directory,
        # With --json one object is printed: a log line is none of it.
        contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout),
    ):
        options.directory = Path(directory)
        measured = measure(options)
    if options.json:
        found = document(benchmark, question, measured, full=options.full)
        text = json.dumps(found, ensure_ascii=False)
    else:
        text = f"{question}\n\n{table(measured.figures)}"
    sys.stdout.write(text + "\n")

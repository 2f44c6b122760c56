"""Results of runs as they are kept: one file for each date, one line in it for each benchmark.

A line is what the script printed with ``--json``, so that a file can be put together from runs of
single scripts. A script that failed has a line as well, which says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.harness.report import Figure
from benchmarks.installed import ROOT

DIRECTORY = ROOT / "benchmarks" / "results"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one benchmark found, once."""

    benchmark: str
    question: str
    full: bool
    date: str
    commit: str
    machine: dict[str, object]
    versions: dict[str, str]
    figures: list[Figure]
    """The first one is the answer to the question."""
    details: dict[str, object]
    failure: str = ""
    """Why there are no figures, if the script failed."""

    @property
    def day(self) -> str:
        """The date without the time."""
        return self.date.partition("T")[0]


Results = dict[str, Result]
"""By the benchmark's name, in the order in which they are told."""


def read(file: Path) -> Results:
    """Read a file of results; one that is not there has none."""
    if not file.exists():
        return {}
    lines = msgspec.json.decode(file.read_bytes(), type=list[Result])
    return {one.benchmark: one for one in lines}


def write(file: Path, results: Mapping[str, Result]) -> None:
    """Write a file of results, a line each."""
    lines = [json.dumps(msgspec.to_builtins(one), ensure_ascii=False) for one in results.values()]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def latest(directory: Path = DIRECTORY) -> Results:
    """Return the results of the last date that there are any of."""
    files = sorted(directory.glob("*.json"))
    return read(files[-1]) if files else {}

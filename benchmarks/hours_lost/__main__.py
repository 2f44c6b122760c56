"""The command line: all servers go through the same week side by side, and their accounts follow.

They run at the same time, each with a sender in a process of its own, because most of a week is
waiting for processes to stop and start. What is counted are hours, which does not need a quiet
machine; how fast a burst is worked off does, and is the concern of other benchmarks.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

from benchmarks.harness.report import Figure, Measured, run
from benchmarks.hours_lost import trial
from benchmarks.hours_lost.account import POINT_SECONDS
from benchmarks.hours_lost.faulty_disk import FaultyDisk
from benchmarks.hours_lost.trial import SERVERS, Plan, Result
from benchmarks.hours_lost.week import HOUR_SECONDS

QUESTION = "How many hours does a week full of faults make Customer.io wait?"
OURS = "streamer"


def measure(options: argparse.Namespace) -> Measured:
    """Send every server that is installed through its week."""
    plan = Plan(full=options.full, seed=options.seed, rescue_hours=options.rescue_hours)
    results, absent = _run_all(plan, options.directory)
    figures = [figure for result in results for figure in figures_of(result)]
    figures += [
        Figure(name=f"{name}: held back", value=None, unit="h", note=f"{package} is not installed")
        for name, package in absent.items()
    ]
    has_disk = FaultyDisk.is_possible()
    if not has_disk:
        figures.append(
            Figure(name="slow disk, full disk", value=None, unit="h", note="no C compiler")
        )
    return Measured(
        figures,
        {
            "plan": msgspec.to_builtins(plan),
            "faults": [fault._asdict() for fault in trial.faults_of(plan, with_disk=has_disk)],
            "point_hours": POINT_SECONDS / HOUR_SECONDS,
            "servers": msgspec.to_builtins(results),
        },
    )


def _run_all(plan: Plan, directory: Path) -> tuple[list[Result], dict[str, str]]:
    """Return the results, and what the servers without one lack."""
    lacking = {name: trial.missing(name) for name in SERVERS}
    present = [name for name, package in lacking.items() if package is None]
    directories = [directory / str(number) for number in range(len(present))]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(present), mp_context=context) as pool:
        results = list(pool.map(trial.run, present, [plan] * len(present), directories))
    return results, {name: package for name, package in lacking.items() if package is not None}


def figures_of(result: Result) -> Sequence[Figure]:
    """Tell one server's week in few figures; only ours has to reach something."""
    bound = 0 if result.server == OURS else None
    by_fault = sorted(result.losses, key=lambda loss: -loss.held_hours)
    split = ", ".join(f"{one.fault} {one.held_hours:.2f}" for one in by_fault if one.held_hours)
    told = [
        ("hour waits by its own choice", result.hour_waits_chosen, "waits", bound, ""),
        ("held back", result.held_hours, "h", None, split),
        ("hour waits by a kill within a call", result.hour_waits_by_kill, "waits", None, ""),
        ("largest backlog", result.backlog_most, "events", None, ""),
        ("longest wait of an event", result.longest_wait_hours, "h", None, ""),
        ("acknowledged and not kept", result.lost, "events", bound, ""),
        ("given up after seven days", result.given_up, "events", bound, ""),
        ("let pass by a person, unstored", result.rescued, "events", bound, ""),
    ]
    return [
        Figure(name=f"{result.server}: {what}", value=value, unit=unit, at_most=most, note=note)
        for what, value, unit, most, note in told
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone can be told."""
    parser.add_argument("--seed", type=int, default=1, help="repeats a week; default 1")
    parser.add_argument(
        "--rescue-hours", type=float, default=12.0,
        help="virtual hours until a person lets poison pass that was refused; default 12",
    )  # fmt: skip


if __name__ == "__main__":
    run("hours_lost", QUESTION, measure, arguments=add_arguments)

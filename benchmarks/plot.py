"""Draws the results that are kept as SVG files, for the README.

A picture shows what a table hides: how large the difference is. One is drawn for each question
whose benchmark has results; the files of others go. Run: ``python -m benchmarks.plot``, which
draws the last date's, or with ``--results FILE`` those of another file.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import results
from benchmarks.harness.report import written
from benchmarks.harness.results import Result, Results
from benchmarks.harness.svg import Bar, Chart, Group, draw
from benchmarks.installed import ROOT

DIRECTORY = ROOT / "docs" / "performance"


def value(result: Result, name: str) -> float:
    """Return the value of a figure, which must be there."""
    [found] = [figure.value for figure in result.figures if figure.name == name]
    assert found is not None
    return found


def bar(label: str, number: float, unit: str, *, ours: bool = False) -> Bar:
    """Make a bar that tells its value."""
    return Bar(label, number, f"{written(number)} {unit}", ours=ours)


def cpu(found: Results) -> Chart:
    """Draw the price of an event in processor time."""
    result = found["ingest_cpu"]
    empty = value(result, "CPU per event, empty app")
    ours = value(result, "CPU per event, streamer")
    bars = [bar("empty app", empty, "µs"), bar("streamer", ours, "µs", ours=True)]
    [ratio] = [one for one in result.figures if one.at_most is not None]
    assert ratio.at_most is not None
    return Chart(
        "CPU of the server per acknowledged event",
        f"32 connections; the line is {ratio.at_most:g} times an app that only answers 200",
        [Group("", bars, bound=empty * ratio.at_most)],
    )


def serial(found: Results) -> Chart:
    """Draw how long one sender waits."""
    result = found["serial"]
    groups = []
    for name in ("median", "p99"):
        [bound] = [one.at_most for one in result.figures if one.name == f"{name}, streamer"]
        bars = [
            bar("one durable commit, alone", value(result, f"{name}, one-row commit"), "ms"),
            bar("empty app", value(result, f"{name}, empty app"), "ms"),
            bar("streamer", value(result, f"{name}, streamer"), "ms", ours=True),
        ]
        groups.append(Group(name, bars, bound=bound))
    return Chart(
        "Time to acknowledge, one call at a time",
        "The line is the empty app and two commits",
        groups,
    )


def throughput(found: Results) -> Chart:
    """Draw what is acknowledged in a second, with an outbox that fills and one that is drained."""
    groups = []
    for benchmark, title, ours in (
        ("throughput", "Without destinations", "streamer"),
        ("draining", "While draining to files and over HTTP", "streamer, drained at once"),
    ):
        result = found[benchmark]
        bars = [
            bar("empty app", value(result, "throughput, empty app"), "/s"),
            bar(ours, value(result, "throughput, streamer"), "/s", ours=True),
        ]
        groups.append(Group(title, bars))
    return Chart("Events acknowledged in a second", "32 connections, server on one core", groups)


def rivals(found: Results, title: str, field: str, unit: str) -> Chart:
    """Draw one number of all contestants, for each number of connections."""
    contestants = _measured(found["rivals"].details["contestants"])
    counts = list(contestants[0]["speeds"])
    return Chart(
        title,
        "The same signed calls, machine and run; (!) marks what may lose what it acknowledged",
        [
            Group(
                f"{count} connection{'s' if count != '1' else ''}",
                [_contestant(one, one["speeds"][count][field], unit) for one in contestants],
            )
            for count in counts
        ],
    )


def _measured(contestants: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - as JSON has it
    return [one for one in contestants if not one["not_measured"]]


def _contestant(one: Mapping[str, Any], number: float, unit: str) -> Bar:
    label = one["title"] if one["durable"] else f"{one['title']} (!)"
    return bar(label, number, unit, ours=one["name"].startswith("streamer"))


def rivals_throughput(found: Results) -> Chart:
    """Draw what each contestant acknowledges in a second."""
    return rivals(found, "Against what else one might pick: throughput", "per_second", "/s")


def rivals_p99(found: Results) -> Chart:
    """Draw how long the slowest hundredth of calls waits for each contestant."""
    return rivals(found, "Against what else one might pick: p99", "p99_ms", "ms")


def hours_lost(found: Results) -> Chart:
    """Draw how long each server makes the sender wait in a week of faults."""
    servers: Any = found["hours_lost"].details["servers"]
    held = [
        bar(one["server"], one["held_hours"], "h", ours=one["server"] == "streamer")
        for one in servers
    ]
    most = [
        bar(one["server"], one["backlog_most"], "events", ours=one["server"] == "streamer")
        for one in servers
    ]
    return Chart(
        "A week full of faults, seen by Customer.io",
        "Deploys, kills, a slow and a full disk, a burst, a rotated key, poison, dead destinations",
        [Group("Hours for which it held events back", held), Group("Largest backlog", most)],
    )


def drain_rate(found: Results) -> Chart:
    """Draw how fast a backlog leaves, beside the least that could do the same."""
    result = found["drain_rate"]
    groups = []
    for case, title in (
        ("file", "to files"),
        ("http", "over HTTP"),
        ("aep", "to Adobe's stand-in"),
    ):
        sides: Any = result.details.get(case)
        if sides is not None:
            bare, ours = (
                statistics.median(one["per_second"] for one in sides[side])
                for side in ("bare", "drain")
            )
            bars = [bar("bare loop", bare, "/s"), bar("streamer", ours, "/s", ours=True)]
            groups.append(Group(title, bars))
    return Chart(
        "Events drained in a second",
        "Beside a loop that does nothing but the same reads and writes",
        groups,
    )


CHARTS: Mapping[str, tuple[Sequence[str], Callable[[Results], Chart]]] = {
    "cpu": (["ingest_cpu"], cpu),
    "serial": (["serial"], serial),
    "throughput": (["throughput", "draining"], throughput),
    "rivals_throughput": (["rivals"], rivals_throughput),
    "rivals_p99": (["rivals"], rivals_p99),
    "hours_lost": (["hours_lost"], hours_lost),
    "drain_rate": (["drain_rate"], drain_rate),
}
"""The benchmarks that a picture needs, and what draws it."""


def charts(found: Results) -> dict[str, Chart]:
    """Return the pictures that there are results for."""
    there = {name for name, one in found.items() if not one.failure}
    return {
        name: make(found) for name, (needed, make) in CHARTS.items() if there.issuperset(needed)
    }


def files(found: Results) -> dict[str, str]:
    """Return what is in each file, by its name."""
    return {f"{name}.svg": draw(chart) for name, chart in charts(found).items()}


def save(directory: Path, found: Results) -> None:
    """Write all pictures, and remove those that are not drawn any more."""
    directory.mkdir(parents=True, exist_ok=True)
    drawn = files(found)
    for old in directory.glob("*.svg"):
        if old.name not in drawn:
            old.unlink()
    for name, text in drawn.items():
        (directory / name).write_text(text, encoding="utf-8")


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot", description=__doc__)
    parser.add_argument("--results", type=Path, metavar="FILE", help="not those of the last date")
    parser.add_argument("--directory", type=Path, default=DIRECTORY)
    options = parser.parse_args()
    found = results.read(options.results) if options.results else results.latest()
    save(options.directory, found)


if __name__ == "__main__":
    main()

"""Draws the results that are kept as SVG files, for the README.

A picture shows what a table hides: how large the difference is. One is drawn for each question
whose benchmark has results; the files of others go. Run: ``python -m benchmarks.plot``, which
draws the last date's, or with ``--results FILE`` those of another file.
"""

from __future__ import annotations

import argparse
import itertools
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import results
from benchmarks.harness.report import written
from benchmarks.harness.results import Result, Results
from benchmarks.harness.svg import Bar, Bars, Chart, Curve, Curves, Group, Kind, draw
from benchmarks.installed import ROOT

DIRECTORY = ROOT / "docs" / "performance"
OUTLIER_TIMES = 5
"""A bar that is longer than ours by this would leave nothing to be seen of the others."""


def value(result: Result, name: str) -> float:
    """Return the value of a figure, which must be there."""
    [found] = [figure.value for figure in result.figures if figure.name == name]
    assert found is not None
    return found


def bar(label: str, number: float, unit: str, kind: Kind = "other") -> Bar:
    """Make a bar that tells its value."""
    return Bar(label, number, f"{written(number)} {unit}", kind)


def cpu(found: Results) -> Bars:
    """Draw the price of an event in processor time."""
    result = found["ingest_cpu"]
    empty = value(result, "CPU per event, empty app")
    ours = value(result, "CPU per event, streamer")
    bars = [bar("empty app", empty, "µs"), bar("streamer", ours, "µs", "ours")]
    [ratio] = [one for one in result.figures if one.at_most is not None]
    assert ratio.at_most is not None
    return Bars(
        "CPU of the server per acknowledged event",
        f"32 connections; the line is {ratio.at_most:g} times an app that only answers 200",
        [Group("", bars, bound=empty * ratio.at_most)],
    )


def serial(found: Results) -> Bars:
    """Draw how long one sender waits."""
    result = found["serial"]
    groups = []
    for name in ("median", "p99"):
        [bound] = [one.at_most for one in result.figures if one.name == f"{name}, streamer"]
        bars = [
            bar("one durable commit, alone", value(result, f"{name}, one-row commit"), "ms"),
            bar("empty app", value(result, f"{name}, empty app"), "ms"),
            bar("streamer", value(result, f"{name}, streamer"), "ms", "ours"),
        ]
        groups.append(Group(name, bars, bound=bound))
    return Bars(
        "Time to acknowledge, one call at a time",
        "The line is the empty app and two commits",
        groups,
    )


def throughput(found: Results) -> Bars:
    """Draw what is acknowledged in a second while the outbox fills."""
    return _beside_empty(found["throughput"], "Events acknowledged in a second, not drained")


def draining(found: Results) -> Bars:
    """Draw what is acknowledged in a second while the outbox is drained."""
    return _beside_empty(found["draining"], "Events acknowledged in a second while draining")


def _beside_empty(result: Result, title: str) -> Bars:
    bars = [
        bar("empty app", value(result, "throughput, empty app"), "/s"),
        bar("streamer", value(result, "throughput, streamer"), "/s", "ours"),
    ]
    return Bars(title, "32 connections, the server on a core of its own", [Group("", bars)])


def rivals(found: Results, title: str, field: str, unit: str) -> Bars:
    """Draw one number of all contestants, for each number of connections."""
    every: Any = found["rivals"].details["contestants"]
    measured = [one for one in every if not one["not_measured"]]
    counts = list(measured[0]["speeds"])
    return Bars(
        title,
        "Pale: may lose what it acknowledged. With a gap: longer than it is drawn",
        [_contestants(measured, count, field, unit) for count in counts],
    )


def _contestants(measured: Sequence[Mapping[str, Any]], count: str, field: str, unit: str) -> Group:
    bars = [_contestant(one, one["speeds"][count][field], unit) for one in measured]
    ours = max((bar.value for bar in bars if bar.kind == "ours"), default=None)
    title = f"{count} connection{'s' if count != '1' else ''}"
    return Group(title, bars, limit=None if ours is None else ours * OUTLIER_TIMES)


def _contestant(one: Mapping[str, Any], number: float, unit: str) -> Bar:
    kind: Kind = "other" if one["durable"] else "faint"
    label = re.sub(r" \([^)]*\)", "", one["title"])
    return bar(label, number, unit, "ours" if one["name"].startswith("streamer") else kind)


def rivals_throughput(found: Results) -> Bars:
    """Draw what each contestant acknowledges in a second."""
    return rivals(found, "Against what else one might pick: throughput", "per_second", "/s")


def rivals_p99(found: Results) -> Bars:
    """Draw how long the slowest hundredth of calls waits for each contestant."""
    return rivals(found, "Against what else one might pick: p99", "p99_ms", "ms")


def hours_lost(found: Results) -> Bars:
    """Draw how long each server makes the sender wait in a week of faults."""
    servers: Any = found["hours_lost"].details["servers"]
    bars = [
        bar(one["server"], one["held_hours"], "h", "ours" if _is_ours(one) else "other")
        for one in servers
    ]
    return Bars(
        "A week full of faults: hours for which Customer.io held events back",
        "Deploys, kills, a slow and a full disk, a burst, a rotated key, poison, dead destinations",
        [Group("", bars)],
    )


def backlog_held(found: Results) -> Curves:
    """Draw the backlog that each server makes the sender hold in that week."""
    details: Any = found["hours_lost"].details
    others: Iterator[Kind] = itertools.cycle(("other", "third", "faint"))
    curves = [
        Curve(one["server"], one["backlog_curve"], "ours" if _is_ours(one) else next(others))
        for one in details["servers"]
    ]
    hours = details["point_hours"] * max(len(curve.values) for curve in curves)
    days = [f"day {day}" for day in range(round(hours / 24) + 1)]
    return Curves(
        "The same week: events that Customer.io held back",
        "The most of each quarter of an hour",
        days,
        curves,
    )


def _is_ours(one: Mapping[str, Any]) -> bool:
    return bool(one["server"] == "streamer")


def drain_rate(found: Results) -> Bars:
    """Draw how fast a backlog leaves, beside the least that could do the same."""
    groups = []
    for case, title, least in (
        ("file", "to files", "the same reads and writes"),
        ("http", "over HTTP", "the same requests"),
        ("aep", "to Adobe", "the mapping alone"),
    ):
        sides: Any = found["drain_rate"].details.get(case)
        if sides is not None:
            bare, ours = (
                statistics.median(one["per_second"] for one in sides[side])
                for side in ("bare", "drain")
            )
            bars = [bar(least, bare, "/s"), bar("streamer", ours, "/s", "ours")]
            groups.append(Group(title, bars))
    return Bars("Events drained in a second", "Beside the least that could do the same", groups)


def lanes(found: Results) -> Bars:
    """Draw what lanes bring with a destination that takes its time."""
    bars = _rates(found["lanes"], theirs="bare")
    title = "Events delivered in a second to a destination that takes 50 ms for each"
    return Bars(title, "The bare loop waits for one answer after the other", [Group("", bars)])


def engines(found: Results) -> Bars:
    """Draw what each engine acknowledges in a second."""
    bars = _rates(found["engines"], theirs="empty")
    return Bars("Events acknowledged in a second, by engine", "64 connections", [Group("", bars)])


def _rates(result: Result, *, theirs: str) -> list[Bar]:
    """Draw every rate among the figures; those with a certain word in the name are not ours."""
    return [
        bar(
            one.name.removeprefix("throughput, "), one.value, "/s",
            "other" if theirs in one.name else "ours",
        )
        for one in result.figures
        if one.unit == "events/s" and one.value is not None
    ]  # fmt: skip


def ten_million(found: Results) -> Bars:
    """Draw every ratio of a large outbox to a small one, beside what it may be."""
    by_bound: dict[float, list[Bar]] = {}
    for one in found["ten_million"].figures:
        if one.unit == "x" and one.at_most is not None and one.value is not None:
            by_bound.setdefault(one.at_most, []).append(bar(one.name, one.value, "x", "ours"))
    groups = [Group(f"at most {most:g} x", bars, most) for most, bars in by_bound.items()]
    return Bars("Ten million events in the outbox", "How many times as long as with none", groups)


CHARTS: Mapping[str, tuple[str, Callable[[Results], Chart]]] = {
    "cpu": ("ingest_cpu", cpu),
    "serial": ("serial", serial),
    "throughput": ("throughput", throughput),
    "draining": ("draining", draining),
    "drain_rate": ("drain_rate", drain_rate),
    "lanes": ("lanes", lanes),
    "ten_million": ("ten_million", ten_million),
    "engines": ("engines", engines),
    "rivals_throughput": ("rivals", rivals_throughput),
    "rivals_p99": ("rivals", rivals_p99),
    "hours_lost": ("hours_lost", hours_lost),
    "backlog_held": ("hours_lost", backlog_held),
}
"""The benchmark that a picture is of, and what draws it."""


def charts(found: Results) -> dict[str, Chart]:
    """Return the pictures that there are results for."""
    there = {name for name, one in found.items() if not one.failure}
    return {name: make(found) for name, (needed, make) in CHARTS.items() if needed in there}


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

"""What the documents say of performance, written from the results that are kept.

`benchmarks/README.md` gets every figure of the last date, the top README one or a few of each
benchmark. Nothing here is an opinion: a figure that is missed stands there as missed. The parts are
put between the markers of the pages by ``python -m tests.docs.generate``, and tests compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from benchmarks import plot
from benchmarks.harness import results
from benchmarks.harness.report import Figure, written
from benchmarks.harness.results import Result, Results
from benchmarks.harness.svg import Chart
from benchmarks.installed import ROOT
from benchmarks.rivals import table as rivals_table

README = ROOT / "README.md"
BENCHMARKS = ROOT / "benchmarks" / "README.md"

NOTHING = "No results are kept at the moment."

PICTURES = ("cpu", "serial", "backlog_held")
"""Those that the README shows; all are on the benchmarks' page."""

HEADLINES: Mapping[str, tuple[str, ...]] = {
    "serial": ("median, streamer", "p99, streamer"),
    "throughput": ("throughput, against the empty app", "p99, streamer"),
    "drain_rate": (
        "file: drain, against the bare loop",
        "HTTP: events drained",
        "aep: events drained",
    ),
    "ten_million": (
        "start to ready",
        "answers, 1 connection, median",
        "answers, 1 connection, p90",
        "drain to files, large backlog over a little one",
    ),
}
"""Which figures of a benchmark the README tells; of others the first one, which is the answer. What
was missed is told in any case."""

FURTHER: Mapping[str, Callable[[Mapping[str, object]], str]] = {"rivals": rivals_table.markdown}
"""What is told of a benchmark besides its figures, from its details."""

Parts = Mapping[str, Callable[[], str]]


def answers(result: Result) -> list[Figure]:
    """Return the figures of a benchmark that the README tells.

    Raises:
        LookupError: it does not have one of them any more.
    """
    names = HEADLINES.get(result.benchmark, tuple(one.name for one in result.figures[:1]))
    unknown = set(names) - {one.name for one in result.figures}
    if unknown:
        raise LookupError(f"{result.benchmark} has no figure {min(unknown)!r}: see HEADLINES")
    return [one for one in result.figures if one.name in names or one.verdict == "MISSED"]


def summary(found: Results) -> str:
    """Write the part of the top README: answers, pictures, and what was measured on."""
    if not found:
        return NOTHING
    rows = [
        (one.question, figure.name, _value(figure), figure.bound, _verdict(figure))
        for one in found.values()
        if not one.failure
        for figure in answers(one)
    ]
    lines = ["| question | figure | measured | to reach | |", "| --- | --- | --- | --- | --- |"]
    lines += map(_line, _once(rows))
    shown = [(name, chart) for name, chart in plot.charts(found).items() if name in PICTURES]
    pictures = [_picture(name, chart, "docs/performance") for name, chart in shown]
    failed = [one.benchmark for one in found.values() if one.failure]
    failures = [f"Without figures, because they failed: {', '.join(failed)}.\n"] if failed else []
    return "\n".join([*lines, "", *failures, *pictures, _measured_on(found)])


def everything(found: Results) -> str:
    """Write the part of the benchmarks' README: every figure of the last date."""
    if not found:
        return NOTHING
    return "\n\n".join([_measured_on(found), *map(_section, found.values())])


def _section(one: Result) -> str:
    """Write all about one benchmark."""
    title = f"### {one.benchmark}\n\n{_question(one)}"
    if one.failure:
        return f"{title}\n\nIt failed."
    lines = ["| figure | measured | to reach | | note |", "| --- | ---: | --- | --- | --- |"]
    lines += [
        _line((each.name, _value(each), each.bound, _verdict(each), each.note))
        for each in one.figures
    ]
    parts = [title, "\n".join(lines)]
    if one.benchmark in FURTHER:
        parts.append(FURTHER[one.benchmark](one.details))
    for name, chart in plot.charts({one.benchmark: one}).items():
        parts.append(_picture(name, chart, "../docs/performance").rstrip())
    return "\n\n".join(parts)


def _question(one: Result) -> str:
    size = "" if one.full else " (A small run.)"
    return f"{one.question}{size} Measured on {one.day} at {one.commit}."


def _measured_on(found: Results) -> str:
    """Say on what, with what and when; where results differ in it, all of it is said."""
    every = list(found.values())
    days = sorted({one.day for one in every})
    machines = sorted({_machine(one) for one in every})
    commits = list(dict.fromkeys(one.commit for one in every))
    versions = sorted(
        {f"{name} {number}" for one in every for name, number in one.versions.items()}
    )
    small = "" if all(one.full for one in every) else " Some or all of it are small runs."
    return (
        f"Measured {' to '.join(dict.fromkeys((days[0], days[-1])))} on {'; '.join(machines)};"
        f" {', '.join(versions)}; at {', '.join(f'`{one}`' for one in commits)}.{small}"
    )


def _machine(one: Result) -> str:
    about = one.machine
    return (
        f"{about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB, "
        f"{about['system']}"
    )


def _picture(name: str, chart: Chart, directory: str) -> str:
    return f"![{chart.title}]({directory}/{name}.svg)\n"


def _value(figure: Figure) -> str:
    return (
        f"{written(figure.value, figure.unit)} {figure.unit}" if figure.value is not None else "-"
    )


def _verdict(figure: Figure) -> str:
    return {"met": "met", "MISSED": "**missed**"}.get(figure.verdict, figure.verdict)


def _once(rows: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Write a question once, beside the first of its answers."""
    asked = ""
    for question, *cells in rows:
        yield ("" if question == asked else question, *cells)
        asked = question


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


PARTS_OF_README: Parts = {"performance": lambda: summary(results.latest())}
PARTS_OF_BENCHMARKS: Parts = {"results": lambda: everything(results.latest())}

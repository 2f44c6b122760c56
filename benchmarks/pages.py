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
from benchmarks.installed import ROOT

README = ROOT / "README.md"
BENCHMARKS = ROOT / "benchmarks" / "README.md"

NOTHING = "No results are kept at the moment."

HEADLINES: Mapping[str, tuple[str, ...]] = {
    "serial": ("median, streamer", "p99, streamer"),
    "throughput": ("throughput, against the empty app", "p99, streamer"),
}
"""Which figures of a benchmark the README tells; of others the first one, which is the answer."""

Parts = Mapping[str, Callable[[], str]]


def answers(result: Result) -> list[Figure]:
    """Return the figures of a benchmark that the README tells.

    Raises:
        LookupError: it does not have one of them any more.
    """
    names = HEADLINES.get(result.benchmark)
    if names is None:
        return result.figures[:1]
    by_name = {figure.name: figure for figure in result.figures}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise LookupError(f"{result.benchmark} has no figure {missing[0]!r}: see HEADLINES")
    return [by_name[name] for name in names]


def summary(found: Results) -> str:
    """Write the part of the top README: answers, pictures, and what was measured on."""
    if not found:
        return NOTHING
    rows = [
        (one.question, _named(figure), _value(figure), figure.bound, _verdict(figure))
        for one in found.values()
        if not one.failure
        for figure in answers(one)
    ]
    lines = ["| question | figure | measured | to reach | |", "| --- | --- | --- | --- | --- |"]
    lines += map(_line, _once(rows))
    return "\n".join([*lines, "", *_pictures(found, "docs/performance"), _measured_on(found)])


def everything(found: Results) -> str:
    """Write the part of the benchmarks' README: every figure of the last date."""
    if not found:
        return NOTHING
    parts = [_measured_on(found)]
    for one in found.values():
        parts.append(f"### {one.benchmark}\n\n{_question(one)}")
        if one.failure:
            parts.append("It failed.")
            continue
        lines = ["| figure | measured | to reach | | note |", "| --- | ---: | --- | --- | --- |"]
        lines += [
            _line((_named(each), _value(each), each.bound, _verdict(each), each.note))
            for each in one.figures
        ]
        parts.append("\n".join(lines))
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


def _pictures(found: Results, directory: str) -> Iterator[str]:
    for name, chart in plot.charts(found).items():
        yield f"![{chart.title}]({directory}/{name}.svg)\n"


def _named(figure: Figure) -> str:
    return figure.name


def _value(figure: Figure) -> str:
    return f"{written(figure.value)} {figure.unit}" if figure.value is not None else "-"


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

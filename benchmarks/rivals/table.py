"""The comparison as Markdown, made from the details that a run keeps.

It needs nothing but those details, so that a README is written from a result of another day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.rivals.rounds import CONNECTIONS

HEAD = (
    "server", "durable", *(f"{count} conn.: events/s (p50, p99 ms)" for count in CONNECTIONS),
    "CPU µs/event", "syncs per answer (1, 16 conn.)", "memory MiB", "answered and lost by kill -9",
)  # fmt: skip
CPU_AT = 16


def markdown(details: Mapping[str, Any]) -> str:
    """Write the table, what each server gives up, and what could not be measured."""
    found = details["contestants"]
    rows = [_cells(one) for one in found if not one["not_measured"]]
    lines = [_line(HEAD), _line("---" for _ in HEAD), *map(_line, rows)]
    lines += ["", *(_words(one, details["wins_over"]) for one in found)]
    return "\n".join([*lines, "", str(details["elsewhere"])])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(one: Mapping[str, Any]) -> list[str]:
    speeds = one["speeds"]
    return [
        one["title"],
        "yes" if one["durable"] else "no",
        *(_speed(speeds[str(count)]) for count in CONNECTIONS),
        f"{speeds[str(CPU_AT)]['cpu_microseconds']:,.0f}",
        ", ".join("-" if count is None else f"{count:.2f}" for count in one["syncs"].values()),
        f"{one['resident_mib']:,.0f}",
        "-" if one["lost"] is None else f"{one['lost']:,} of {one['answered']:,}",
    ]


def _speed(speed: Mapping[str, Any]) -> str:
    refused = f", {speed['not_answered']} refused" if speed["not_answered"] else ""
    return f"{speed['per_second']:,.0f} ({speed['p50_ms']:.1f}, {speed['p99_ms']:.1f}{refused})"


def _words(one: Mapping[str, Any], base: str | None) -> str:
    """Say what it is, where it wins if it was held against anybody, and what it gives up."""
    told = [f"**{one['title']}**: {one['about']}."]
    if one["not_measured"]:
        told.append(f"Not measured: {one['not_measured']}")
    elif one["title"] != base:
        told.append(f"Ahead of {base} in {', '.join(one['wins']) or 'nothing'}." if base else "")
    if one["gives_up"]:
        told.append(f"Gives up {one['gives_up']}.")
    return f"- {' '.join(filter(None, told))}"

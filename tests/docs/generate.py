"""Writes the parts of the documents that the code knows better than any author.

Run `python -m tests.docs.generate` after a limit, a transition, a function or a rule of the mapping
has changed, or the results of the benchmarks; tests compare. What is particular to docs/mapping.md
is in `mapping_tables`, and what is said of performance in `benchmarks.pages`.
A generated part stands between two comments that name it.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

from benchmarks import pages as performance
from streamer.core import intervals, limits, mapping_limits, provision_limits
from streamer.core.drain_diagram import transitions_diagram
from tests.docs import mapping_tables

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"

_UNITS = {"KIB": "KiB", "MIB": "MiB", "GIB": "GiB"}
_FACTORS = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}


def limits_table() -> str:
    """List every limit, and every interval, with its value and its reason."""
    further = {
        "The mapping to Adobe's schemas:": mapping_limits,
        "Setting up and looking after Customer.io and Adobe:": provision_limits,
        "How often things are done:": intervals,
    }
    tables = [f"{title}\n\n{_table_of(module)}" for title, module in further.items()]
    return "\n\n".join([_table_of(limits), *tables])


def _table_of(module: ModuleType) -> str:
    """List the constants of a module by its headings."""
    source = inspect.getsource(module)
    statements = ast.parse(source).body
    headings = {
        number: match[1]
        for number, line in enumerate(source.splitlines(), start=1)
        if (match := re.fullmatch(r"# (.+)\.", line))
    }
    lines: list[str] = []
    pending: list[str] = []
    for statement, reason in zip(statements, [*statements[1:], None], strict=True):
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            continue
        name = statement.targets[0].id
        if name in _UNITS or name == "DAY_SECONDS":
            continue
        for number in [at for at in headings if at < statement.lineno]:
            title = headings.pop(number)
            lines += ["", f"**{title}**", "", "| limit | value | why |", "| --- | --- | --- |"]
        pending.append(name)
        if isinstance(reason, ast.Expr) and isinstance(reason.value, ast.Constant):
            why = " ".join(str(reason.value.value).replace("``", "`").split())
            names = "<br>".join(f"`{one}`" for one in pending)
            values = "<br>".join(_written(getattr(module, one), one) for one in pending)
            lines.append(f"| {names} | {values} | {why} |")
            pending = []
    assert not pending, "tests/core/test_limits.py sees to it that every limit has its reason"
    return "\n".join(lines[1:])


def _written(value: object, name: str) -> str:
    """Write a value as a person would."""
    if isinstance(value, tuple):
        return ", ".join(_written(one, name) for one in value)
    assert isinstance(value, int | float), name
    if "BYTES" in name:
        for unit, factor in _FACTORS.items():
            if value >= factor and value % factor == 0:
                return f"{int(value) // factor} {unit}"
    return f"{value:,}"


def transitions_block() -> str:
    """Draw the drain's phases, from the table that it moves by."""
    return f"```mermaid\n{transitions_diagram()}```"


PARTS = {"limits": limits_table, "transitions": transitions_block}


def render(page: str, parts: Mapping[str, Callable[[], str]] = PARTS) -> str:
    """Return the page with every generated part as it should be."""
    for name, write in parts.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        assert found and closed, f"the page has no place for {name}"
        page = f"{before}{begin}\n\n{write()}\n\n{end}{after}"
    return page


PAGES: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    PAGE: PARTS,
    mapping_tables.MAPPING: mapping_tables.PARTS,
    performance.README: performance.PARTS_OF_README,
    performance.BENCHMARKS: performance.PARTS_OF_BENCHMARKS,
}


if __name__ == "__main__":
    for file, parts in PAGES.items():
        file.write_text(render(file.read_text(encoding="utf-8"), parts), encoding="utf-8")

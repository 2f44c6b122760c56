"""docs/operating.md finds a way from each symptom, and knows every code that ``doctor`` prints."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from streamer.cli.looks import finding
from streamer.ingest.answers import INSTANCE_HEADER
from tests.docs import pages
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "operating.md"
INSTALL = ROOT / "docs" / "install.md"
CLI = ROOT / "streamer" / "cli"
MAKERS = {"ok", "warning", "failed", "guarded", "bad", "judged"}
"""What is called with a code as its first argument."""


def section(heading: str) -> str:
    """Return the text below a heading of the second or third rank, up to the next of them."""
    found = re.search(
        rf"^##+ {re.escape(heading)}\n(.*?)(?=^## |^### |\Z)", pages.text(PAGE), re.M | re.S
    )
    assert found is not None, heading
    return found[1]


def written(node: ast.expr) -> Iterator[str]:
    """Yield the code that an expression writes; a destination's name is left open."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else "NAME" for part in node.values
        )


def codes_of(tree: ast.Module) -> Iterator[str]:
    """Yield every code in a module: of findings, of variables named so, and of listed looks."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and makes_a_finding(node.func):
            yield from written(node.args[0])
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            names, values = node.targets[0].elts, getattr(node.value, "elts", [])
            for name, value in zip(names, values, strict=False):
                if getattr(name, "id", "") == "code":
                    yield from written(value)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "looks":
            for look in getattr(node.value, "elts", []):
                yield from written(look.elts[0])


def makes_a_finding(called: ast.expr) -> bool:
    """Tell whether what is called is a maker, or a choice between two of them."""
    if isinstance(called, ast.IfExp):
        return makes_a_finding(called.body) and makes_a_finding(called.orelse)
    return isinstance(called, ast.Name) and called.id in MAKERS


def codes_in_the_program() -> set[str]:
    """Read them where they stand; an alarm's own code is the one that is not written there."""
    files = [*(CLI / "looks").glob("*.py"), CLI / "examination.py"]
    return {code for file in files for code in codes_of(ast.parse(file.read_text("utf-8")))}


def test_every_code_of_a_finding_is_in_the_table_and_no_other() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", section("What `doctor` finds"), re.MULTILINE)
    assert len(rows) == len(set(rows)), "a code stands there twice"
    assert set(rows) == codes_in_the_program()
    assert len(rows) > 30


def test_the_makers_of_findings_are_those_that_are_looked_for() -> None:
    made = {
        name
        for name, value in vars(finding).items()
        if callable(value) and getattr(value, "__module__", "") == finding.__name__
    }
    assert {name for name in made if name.islower() and not name.startswith("_")} <= MAKERS


def test_each_row_says_what_is_looked_at_and_what_to_do() -> None:
    for row in re.findall(r"^\| `[^`]+` \|(.+)\|$", section("What `doctor` finds"), re.MULTILINE):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)]
        assert len(cells) == 2, row
        assert all(cells), row


def test_every_section_on_a_symptom_is_in_the_list_at_the_top() -> None:
    top = section("By symptom")
    body = pages.text(PAGE).partition("\n## By symptom\n")[2].partition("\n## ")[0]
    listed = set(re.findall(r"\]\(#([^)]+)\)", top))
    for heading in re.findall(r"^### (.+)$", body, re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        if anchor in {"i-rotated-the-key", "restart-and-upgrade"}:
            continue  # acts, which one looks for by their names
        assert anchor in listed, heading


@pytest.mark.parametrize(
    "words",
    [
        "*failing*", "certificate has expired", "does not start", "restarts again", "lag grows",
        "twice", "disk", "clock", "backup", "another machine", "seven days",
    ],
)  # fmt: skip
def test_what_an_operator_sees_at_night_is_in_the_list(words: str) -> None:
    assert words in section("By symptom")


def test_what_the_log_is_said_to_say_is_what_the_program_says() -> None:
    program = "".join(path.read_text("utf-8") for path in (ROOT / "streamer").rglob("*.py"))
    rows = section("It does not start") + section("It keeps restarting")
    systemd = r"status=|.*-limit-hit|oom-kill|Watchdog timeout|Traceback"
    quoted = [
        phrase
        for first in re.findall(r"^\| (.+?) \|", rows, re.MULTILINE)
        for phrase in re.findall(r"`([^`]+)`", first)
        if not re.match(systemd, phrase)
    ]
    assert len(quoted) >= 5
    assert [phrase for phrase in quoted if phrase not in program] == []


def test_the_way_from_outside_is_where_one_looks_for_it() -> None:
    for page in (PAGE, INSTALL):
        assert f"`{INSTANCE_HEADER}`" in pages.text(page)
        assert "doctor --url https://YOUR.HOST --send-test" in list(pages.commands(page))

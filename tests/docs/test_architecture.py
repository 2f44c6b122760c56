"""docs/architecture.md says of the layers, the promises and the limits what the code says."""

from __future__ import annotations

import re
import tomllib

import pytest

from streamer.core import limits
from streamer.core.drain import TRANSITIONS
from streamer.core.drain_diagram import transitions_diagram
from tests.docs import generate, pages
from tests.docs.generate import PAGE
from tests.docs.pages import ROOT


def test_the_generated_parts_are_current() -> None:
    page = pages.text(PAGE)
    assert generate.render(page) == page, "run `python -m tests.docs.generate`"


def test_the_diagram_has_every_transition_and_no_other() -> None:
    arrows = re.findall(r"^    (\w+) --> (\w+): ", transitions_diagram(), re.MULTILINE)
    moves = [(here.value, to.value) for here, by in TRANSITIONS.items() for to in by.values()]
    assert sorted(arrows) == sorted(moves)


def test_the_limits_are_all_in_the_table() -> None:
    written = set(re.findall(r"`([A-Z][A-Z_]+)`", generate.limits_table()))
    named = {name for name in vars(limits) if name.isupper()}
    assert named - written == {"KIB", "MIB", "GIB", "DAY_SECONDS"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BODY_BYTES_MAX", "8 MiB"),
        ("TRUNCATED_COPY_BYTES", "64 KiB"),
        ("POSITION_LEAP", "1,000,000,000"),
        ("DISK_ALARM_SHARES", "0.5, 0.75, 0.9"),
    ],
)
def test_values_are_written_for_people(name: str, value: str) -> None:
    assert f"| `{name}` | {value} |" in generate.limits_table()


def test_the_layers_are_those_that_the_contract_enforces() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = [
        one
        for one in document["tool"]["importlinter"]["contracts"]
        if one.get("containers") == ["streamer"]
    ]
    enforced = [re.findall(r"\w+", layer) for layer in contract["layers"]]
    assert [re.findall(r"`(\w+)`", row[0]) for row in pages.table(PAGE, "Layers")] == enforced


def test_each_promise_names_tests_that_exist() -> None:
    rows = pages.table(PAGE, "Promises")
    assert [row[0] for row in rows] == [f"P{number}" for number in range(1, 9)]
    for promise, _, proof in rows:
        named = re.findall(r"`(tests/[\w/.]+)`", proof)
        assert named, promise
        missing = [path for path in named if not (ROOT / path).exists()]
        assert not missing, promise


def test_files_that_the_page_names_exist() -> None:
    named = [
        quoted for quoted in pages.code(PAGE) if re.fullmatch(r"(streamer|systemd)/\S+", quoted)
    ]
    assert len(named) > 5
    assert not [path for path in named if not (ROOT / path).exists()]

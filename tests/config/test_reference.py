"""The configuration reference is what the types say."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from streamer.config.model import Config
from streamer.config.problems import KeyPath
from streamer.config.reference import DOCUMENT, render
from streamer.config.settings import (
    Setting,
    as_table,
    element_of,
    named_of,
    setting,
    settings_of,
    variants_of,
)

ROOT = Path(__file__).parents[2]


def every_setting(table: type[msgspec.Struct], path: KeyPath = ()) -> list[tuple[KeyPath, Setting]]:
    """List all settings, with the tables of each kind of source and destination."""
    found: list[tuple[KeyPath, Setting]] = []
    for item in settings_of(table):
        here = (*path, item.name)
        kind = named_of(item.type) or element_of(item.type) or item.type
        tables = list[object](variants_of(kind).values()) or [setting(kind).type]
        if not named_of(item.type):
            found.append((here, item))
        for below in tables:
            if (inner := as_table(below)) is not None:
                found += every_setting(inner, (*here, inner.__name__))
    return found


SETTINGS = every_setting(Config)


def test_the_committed_reference_is_current() -> None:
    assert (ROOT / DOCUMENT).read_text() == render(), (
        "run `python -m streamer.config.reference` and commit the result"
    )


@pytest.mark.parametrize(
    ("path", "item"), SETTINGS, ids=[".".join(map(str, path)) for path, _ in SETTINGS]
)
def test_every_setting_is_described_and_listed(path: KeyPath, item: Setting) -> None:
    is_section = len(path) == 1 and as_table(item.type) is not None
    assert item.description or is_section
    assert "|" not in item.description, "a bar would break the table"
    if not is_section:
        row = next(line for line in render().splitlines() if line.startswith(f"| `{item.name}`"))
        assert row.count(" | ") == 3


def test_every_number_has_bounds_on_both_sides() -> None:
    numbers = [(path, item) for path, item in SETTINGS if item.type in {int, float}]
    assert len(numbers) > 20
    for path, item in numbers:
        assert item.bound("le") is not None, path
        assert item.bound("ge") is not None or item.bound("gt") is not None, path

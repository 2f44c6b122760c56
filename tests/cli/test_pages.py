"""Whoever is told to read a page finds it there."""

from __future__ import annotations

from pathlib import Path

from streamer.cli.pages import page
from tests.support.service import ROOT


def test_in_a_checkout_the_pages_are_its_own() -> None:
    assert page("operating.md") == str(ROOT / "docs" / "operating.md")


def test_the_first_place_that_has_the_page_is_named(tmp_path: Path) -> None:
    places = tuple(tmp_path / name for name in ("checkout", "installed"))
    for place in places:
        place.mkdir()
    (places[1] / "operating.md").write_text("# Operating\n")
    assert page("operating.md", places=places) == str(places[1] / "operating.md")
    assert page("install.md", places=places) == "docs/install.md"

"""Each row of the comparison with Adobe's own source names what shows it, and that is there.

Commands are held to the program by `test_docs`, as on every page.
"""

from __future__ import annotations

import re

import pytest

from tests.docs import pages
from tests.docs.pages import ROOT

ROWS = pages.table(ROOT / "docs" / "adobe-source-compared.md", "Feature by feature")


def test_every_row_has_its_four_columns() -> None:
    assert len(ROWS) > 20
    assert {len(row) for row in ROWS} == {4}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_names_what_shows_it(row: list[str]) -> None:
    proof = row[3]
    assert re.search(r"`streamer |tests/|\]\(", proof)
    for path in re.findall(r"tests/\S+\.py", proof):
        assert "def test_" in (ROOT / path).read_text(encoding="utf-8"), path

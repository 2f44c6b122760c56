"""Every query of docs/inspecting.md runs in the system's sqlite3 and prints what the page shows."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.build import append, event, fill_every_table, open_fresh

PAGE = Path(__file__).resolve().parents[2] / "docs" / "inspecting.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = shutil.which("sqlite3")

pytestmark = pytest.mark.skipif(SHELL is None, reason="the sqlite3 shell is not installed")


def examples() -> list[tuple[str, str]]:
    """Pair each query of the page with the output that is shown for it."""
    blocks = [match.groups() for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]
    after = [*blocks[1:], ("", "")]
    return [
        (text, shown if kind == "text" else "")
        for (language, text), (kind, shown) in zip(blocks, after, strict=True)
        if language == "sql"
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A database with rows in every table, which a writer has open."""
    path = tmp_path_factory.mktemp("data") / "streamer.db"
    with closing(open_fresh(path)) as db:
        fill_every_table(db)
        yield path
        append(db, event("after everything was read"))


def shell(path: Path, query: str) -> str:
    done = subprocess.run(
        ["sqlite3", "-readonly", "-box", str(path), query],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(("query", "shown"), examples())
def test_a_query_prints_what_the_page_shows(path: Path, query: str, shown: str) -> None:
    assert shown, "show what the query prints in a text block behind it"
    assert shell(path, query) == shown


def test_the_page_has_a_query_for_every_view(path: Path) -> None:
    views = shell(path, "SELECT name FROM sqlite_schema WHERE type = 'view'")
    queries = "".join(query for query, _ in examples())
    assert [name for name in re.findall(r"\bv_\w+", views) if name not in queries] == []
    assert len(examples()) >= 12


def test_looking_leaves_the_files_alone(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    before = (path.read_bytes(), log.read_bytes())
    for query, _ in examples():
        shell(path, query)
    assert (path.read_bytes(), log.read_bytes()) == before

"""A real database file for each test of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.store.sqlite import Connection
from tests.store.build import open_fresh


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the test's database is."""
    return tmp_path / "streamer.db"


@pytest.fixture
def db(path: Path) -> Iterator[Connection]:
    """A fresh database, opened as the writer opens it."""
    connection = open_fresh(path)
    yield connection
    connection.close()

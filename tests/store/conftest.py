"""A real database file for each test of the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streamer.store import sqlite
from streamer.store.sqlite import Connection
from streamer.store.writer import Writer
from tests.store.build import open_fresh
from tests.store.writing import running


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


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[Writer]:
    """A running writer."""
    async with running(path) as one:
        yield one


@pytest.fixture
def reader(writer: Writer, path: Path) -> Iterator[Connection]:
    """Another connection, which sees only what is committed."""
    with closing(sqlite.open_reader(path)) as connection:
        yield connection

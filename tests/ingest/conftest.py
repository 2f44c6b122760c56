"""What the ingest tests share: the engines, the loops, and a running ingest side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from streamer.web.engine import EngineName
from streamer.web.server import run_server
from tests.ingest.harness import Engine, Ingest, Settings, make_database, run_ingest

ENGINES: dict[str, Engine] = {
    name: partial(run_server, engine=name) for name in get_args(EngineName)
}
"""Every HTTP server that the service can be run with."""

StartIngest = Callable[..., AbstractAsyncContextManager[Ingest]]


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Run each test on both loops that the service may run on."""
    return request.param


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    """The HTTP server under test."""
    return ENGINES[request.param]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database to copy, because making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "streamer.db"
    make_database(path)
    return path


@pytest.fixture
def start_ingest(engine: Engine, template: Path, tmp_path: Path) -> StartIngest:
    """Start an ingest side with settings of the test's own."""

    def start(**settings: object) -> AbstractAsyncContextManager[Ingest]:
        return run_ingest(engine, template, tmp_path, replace(Settings(), **settings))

    return start


@pytest.fixture
async def ingest(start_ingest: StartIngest) -> AsyncIterator[Ingest]:
    """A running ingest side with the usual settings."""
    async with start_ingest() as running:
        yield running

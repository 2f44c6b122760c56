"""The bench that every test of a drain stands on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.drain.bench import Bench, bench


@pytest.fixture
async def on_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Give a bench with an empty outbox and one destination."""
    async with bench(tmp_path / "streamer.db") as one:
        yield one

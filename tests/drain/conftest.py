"""The bench that every test of a drain stands on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from streamer.observe import board
from tests.drain.bench import Bench, bench


@pytest.fixture(autouse=True)
def _board_keeps_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the board of alarms logs is tested with the board; here the drain's own lines count."""
    silent = structlog.wrap_logger(structlog.ReturnLogger(), processors=[lambda *_: ""])
    monkeypatch.setattr(board, "_log", silent)


@pytest.fixture
async def on_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Give a bench with an empty outbox and one destination."""
    async with bench(tmp_path / "streamer.db") as one:
        yield one

"""The look at the control rows: what cannot be read is told, and not twice a second."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from streamer.app import control as module
from streamer.app.control import Control
from streamer.core.intervals import DATA_VERSION_POLL_SECONDS
from streamer.store.connection import connect_reader
from tests.store.build import open_fresh
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[MutableMapping[str, Any]]]:
    """Every line that is logged."""
    with structlog.testing.capture_logs() as captured:
        monkeypatch.setattr(module, "_log", structlog.get_logger())
        yield captured


class Enough(Exception):
    """The clock was asked for as many naps as were wanted."""


class ClockForNaps(ManualClock):
    """Ends the loop after some naps."""

    def __init__(self, naps: int) -> None:
        super().__init__()
        self.naps = naps

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if len(self.slept) == self.naps:
            raise Enough


async def test_rows_that_cannot_be_read_are_told_ever_more_rarely(
    tmp_path: Path, lines: list[MutableMapping[str, Any]]
) -> None:
    path = tmp_path / "streamer.db"
    db = open_fresh(path)
    db.execute("ALTER TABLE cursors RENAME TO elsewhere")
    reader = await connect_reader(path)
    clock = ClockForNaps(100)
    with pytest.raises(Enough):
        await Control(reader, clock, {}).run()
    assert [line["times"] for line in lines] == [1, 2, 4, 8, 16, 32, 64]
    assert {line["event"] for line in lines} == {"control.unreadable"}
    assert clock.slept == [DATA_VERSION_POLL_SECONDS] * 100
    await reader.aclose()
    db.close()

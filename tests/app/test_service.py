"""How the service joins its parts, where no process could be brought into the state in question."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from streamer.app.prepare import Prepared
from streamer.app.reload import Reloader
from streamer.app.service import Service
from streamer.app.signals import Signals
from streamer.clock import SystemClock
from streamer.config.load import load
from streamer.config.secrets import resolve_all
from streamer.store.connection import connect_reader
from streamer.web.public import make_public
from streamer.web.server import run_server
from tests.ingest.harness import listen, make_database
from tests.support.raw_http import exchange, head
from tests.support.service import CONFIG, KEY

pytestmark = pytest.mark.anyio


async def test_a_loop_that_stands_still_is_told_by_liveness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog ends such a process half a minute later; until then, monitors see it."""
    (tmp_path / "streamer.toml").write_text(CONFIG)
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    config = load(tmp_path / "streamer.toml", environ={}, working_directory=tmp_path).config
    path = tmp_path / "streamer.db"
    make_database(path)
    reader = await connect_reader(path)
    clock = SystemClock()
    service = Service(
        config,
        resolve_all(config, {}),
        reader,
        clock=clock,
        prepared=Prepared([], []),
        reloader=Reloader(tmp_path / "streamer.toml", tmp_path, clock),
        signals=Signals(),
    )
    listener, address = listen(tmp_path)
    stop = asyncio.Event()
    serving = asyncio.create_task(
        run_server(make_public(service.health), listener, stop=stop.wait, graceful_seconds=1)
    )
    statuses = []
    for stalled in ([], ["drain archive"]):
        monkeypatch.setattr(service.watch, "stalled", lambda stalled=stalled: stalled)
        statuses.append((await exchange(address, head([], "GET", "/livez"))).status)
    stop.set()
    await serving
    listener.close()
    await reader.aclose()
    assert statuses == [200, 503]

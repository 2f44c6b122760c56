"""The admin listener: who is let in, by which name, and what is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamer.clock import SystemClock
from streamer.store import status
from streamer.store.connection import connect_reader
from streamer.web.admin import make_admin
from streamer.web.health import Health
from streamer.web.metrics import ProcessFigures
from streamer.web.server import run_server
from tests.ingest.harness import listen, make_database
from tests.support.raw_http import Address, Answer, Header, connect, exchange, head

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-the-tests"
BEARER: Header = ("Authorization", f"Bearer {TOKEN}")
FIGURES = ProcessFigures(
    alarms={("STR-101", "customerio"): 3},
    transactions=7,
    busy=1,
    wal_bytes=4096,
    disk_free_bytes=10**9,
    loop_lag_seconds=0.01,
)


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Address]:
    """The admin application on a listener of its own, over an empty database."""
    path = tmp_path / "streamer.db"
    make_database(path)
    reader = await connect_reader(path)
    clock = SystemClock()

    async def write_probe() -> None:
        return None

    application = make_admin(
        Health(clock, is_alive=lambda: True, refuses=lambda: None, write_probe=write_probe),
        token=TOKEN,
        allowed_hosts={"localhost", "127.0.0.1", "::1"},
        read_status=lambda: reader.run(lambda db: status.read(db, now=clock.now())),
        read_figures=lambda: FIGURES,
    )
    listener, address = listen(tmp_path)
    stop = asyncio.Event()
    serving = asyncio.create_task(
        run_server(application, listener, stop=stop.wait, graceful_seconds=1)
    )
    yield address
    stop.set()
    await serving
    listener.close()
    await reader.aclose()


async def get(admin: Address, path: str, *headers: Header, host: str = "localhost") -> Answer:
    """Ask for a page under a name."""
    request = head([*headers, ("Connection", "close")], "GET", path)
    return await exchange(admin, request.replace(b"Host: localhost", b"Host: " + host.encode(), 1))


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8081", "LOCALHOST", "127.0.0.1:1", "[::1]", "[::1]:8081"]
)
async def test_it_answers_under_its_own_names(admin: Address, host: str) -> None:
    assert (await get(admin, "/api/status", BEARER, host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example",
     "localhost@evil.example", "", "::1.evil", "[::2]"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/status", "/livez"])
async def test_a_name_that_is_not_its_own_is_421(admin: Address, host: str, path: str) -> None:
    """A page in an operator's browser could give its own name our address."""
    answer = await get(admin, path, BEARER, host=host)
    assert answer.status in {400, 421}
    assert b"outbox" not in answer.body


@pytest.mark.parametrize(
    "path", ["/metrics", "/api/status", "/nothing", "/livezz", "/readyz/", "/livez/../metrics"]
)
@pytest.mark.parametrize(
    "given",
    [None, "", TOKEN, "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"bearer{TOKEN}", f"Basic {TOKEN}",
     "Bearer ÿ"],
)  # fmt: skip
async def test_nothing_but_health_is_shown_without_the_token(
    admin: Address, path: str, given: str | None
) -> None:
    headers = [] if given is None else [("Authorization", given)]
    answer = await get(admin, path, *headers)
    assert answer.status == 401
    assert answer.one("www-authenticate") == "Bearer"
    assert b"outbox" not in answer.body


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_health_needs_no_token(admin: Address, path: str) -> None:
    assert (await get(admin, path)).status == 200


async def test_the_status_is_what_the_command_prints(admin: Address) -> None:
    answer = await get(admin, "/api/status", BEARER)
    assert answer.one("content-type") == "application/json"
    found = msgspec.json.decode(answer.body, type=status.Status)
    assert (found.outbox.events, set(found.sources)) == (0, {"customerio", "second"})


async def test_the_metrics_can_be_parsed(admin: Address) -> None:
    answer = await get(admin, "/metrics", BEARER)
    assert (answer.one("content-type") or "").startswith("text/plain")
    families = {
        family.name: family for family in text_string_to_metric_families(answer.body.decode())
    }
    assert families["streamer_alarms"].samples[0].value == 3
    assert families["streamer_wal_bytes"].samples[0].value == 4096


async def test_what_is_not_there_and_what_is_not_allowed_say_so(admin: Address) -> None:
    for path in ("/nothing", "/api//status", "/api/status/"):
        assert (await get(admin, path, BEARER)).status == 404, "nothing is redirected"
    async with connect(admin) as sender:
        answer = await sender.ask(head([BEARER, ("Content-Length", "0")], "POST", "/metrics"))
    assert answer.status == 405
    assert "GET" in (answer.one("allow") or "")

"""The two listeners of the real program: each has its own routes, and the settings it was given."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from collections.abc import Iterator
from typing import get_args

import pytest

from streamer.core import limits
from streamer.core.signature import sign
from streamer.store import sqlite
from streamer.web.engine import EngineName
from tests.support.service import CONFIG, KEY, Service, running_service

DEADLINE_SECONDS = 0.5
MIB = 2**20
KIND = 'kind = "customerio"'
FURTHER = f"""
[server]
engine = "ENGINE"
deadline_seconds = {DEADLINE_SECONDS}

[outbox]
body_max_bytes = {MIB}
queue_bytes_max = {MIB}
"""
SETTINGS = CONFIG.replace(KIND, f'{KIND}\non_bad_signature = "401"') + FURTHER
BODY = b'{"event_id":"01J8ZQ","object_type":"email","metric":"sent"}'
WEBHOOK = "/webhooks/customerio"


@pytest.fixture(scope="module", params=get_args(EngineName))
def service(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Service]:
    settings = SETTINGS.replace("ENGINE", request.param)
    with running_service(tmp_path_factory.mktemp("listeners"), settings) as running:
        yield running


def ask(
    url: str, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> int:
    """Ask a listener; return the status."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        return connection.getresponse().status


def signed(body: bytes, key: str = KEY) -> dict[str, str]:
    """Sign a call."""
    at = str(int(time.time()))
    return {"X-CIO-Timestamp": at, "X-CIO-Signature": sign(key.encode(), at, body)}


@pytest.fixture
def bearer(service: Service) -> dict[str, str]:
    """What lets an operator in."""
    token = (service.data_dir / "admin-token").read_text("ascii").strip()
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/metrics", "/api/status"])
def test_what_the_admin_listener_shows_is_not_on_the_public_one(
    service: Service, bearer: dict[str, str], path: str
) -> None:
    assert ask(service.url, "GET", path, headers=bearer) == 404
    assert ask(service.admin_url, "GET", path, headers=bearer) == 200
    assert ask(service.admin_url, "GET", path) == 401
    assert ask(service.admin_url, "GET", path, headers={**bearer, "Host": "evil.example"}) == 421


def test_the_admin_listener_takes_no_webhooks(service: Service, bearer: dict[str, str]) -> None:
    for headers in (signed(BODY), {**signed(BODY), **bearer}):
        assert ask(service.admin_url, "POST", WEBHOOK, BODY, headers) in {401, 404}
    assert "01J8ZQ" not in service.run("events", "list", "--json").stdout


def test_a_wrong_signature_is_answered_as_the_configuration_says(service: Service) -> None:
    assert ask(service.url, "POST", WEBHOOK, BODY, signed(BODY, key="another")) == 401


def test_the_deadline_is_the_configured_one(service: Service) -> None:
    """A body that stops half way is answered when the deadline is over, and not before."""
    lines = [f"POST {WEBHOOK} HTTP/1.1", "Host: localhost", "Content-Length: 99"]
    lines += [f"{name}: {value}" for name, value in signed(BODY).items()]
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as sender:
        sender.sendall("\r\n".join([*lines, "", "{"]).encode())
        answer = sender.recv(4096)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert DEADLINE_SECONDS * 0.9 < time.monotonic() - began < DEADLINE_SECONDS + 1


def test_a_body_that_the_memory_cannot_hold_is_cut_and_kept(service: Service) -> None:
    body = b'{"event_id":"large","x":"%b"}' % (b"x" * 2 * MIB)
    assert ask(service.url, "POST", WEBHOOK, body, signed(body)) == 200
    with contextlib.closing(sqlite.open_reader(service.data_dir / "streamer.db")) as db:
        kept = db.execute("SELECT reason, length(body), body_bytes FROM quarantine").fetchall()
    assert kept == [("too_large", limits.TRUNCATED_COPY_BYTES, len(body))]

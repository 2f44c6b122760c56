"""What the documentation tells whoever writes the receiving end, done by its own words."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from streamer.config.model import Outbox
from streamer.core.limits import BODY_BYTES_HARD_MAX, MIB, RETRY_AFTER_SECONDS_MAX
from streamer.core.standard_webhooks import signing_key
from streamer.destinations.options import HttpOptions
from tests.destinations.examples import NOON_MS, stored_events
from tests.destinations.http_cases import KEY, http_destination
from tests.docs.pages import ROOT, blocks, text
from tests.support.http_destination import Received, scripted_server

pytestmark = pytest.mark.anyio

PAGE = ROOT / "docs" / "destinations.md"
NOON = NOON_MS / 1000

Check = Callable[[dict[str, str], bytes, str, float], bool]


@pytest.fixture(scope="module")
def is_genuine() -> Check:
    (code,) = blocks(PAGE, "python")
    names: dict[str, Any] = {}
    exec(textwrap.dedent(code), names)  # noqa: S102 - it is our own page
    check: Check = names["is_genuine"]
    return check


async def request(key: str | None, mode: str = "batch") -> Received:
    async with (
        scripted_server() as server,
        http_destination(server.url, key=key, mode=mode, bearer_token="secret") as destination,
    ):
        await destination.send(stored_events(1, 2))
    return server.received[0]


@pytest.mark.parametrize("key", [KEY, KEY.rstrip("="), "plain text", "whsec_" + "YQ"])
@pytest.mark.parametrize("mode", ["batch", "single"])
async def test_a_request_of_ours_is_genuine(is_genuine: Check, key: str, mode: str) -> None:
    received = await request(key, mode)
    assert is_genuine(received.headers, received.body, key, NOON)


async def test_a_request_that_anything_was_changed_of_is_not_genuine(is_genuine: Check) -> None:
    received = await request(KEY)
    headers, body = received.headers, received.body
    other = "whsec_" + base64.b64encode(signing_key(KEY) + b"x").decode()
    assert not is_genuine(headers, body + b" ", KEY, NOON)
    assert not is_genuine(headers, body, other, NOON)
    assert not is_genuine(headers, body, KEY, NOON + 301)
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        assert not is_genuine({**headers, name: headers[name] + "1"}, body, KEY, NOON)
        assert not is_genuine({k: v for k, v in headers.items() if k != name}, body, KEY, NOON)


async def test_a_request_without_a_key_is_not_genuine(is_genuine: Check) -> None:
    received = await request(None)
    assert not is_genuine(received.headers, received.body, KEY, NOON)


@pytest.mark.parametrize("key", [KEY, None])
async def test_the_headers_that_are_documented_are_sent_and_no_other(key: str | None) -> None:
    rows = text(PAGE).partition("| header | value |")[2].partition("\n\n")[0]
    documented = {
        quoted.lower()
        for row in rows.splitlines()[2:]
        if key or "with a key" not in row
        for quoted in row.split("|")[1].replace("`", "").replace(" ", "").split(",")
    }
    assert set((await request(key)).headers) == documented | {"host", "accept"}


def test_the_numbers_that_are_documented_are_those_of_the_settings() -> None:
    said = " ".join(text(PAGE).partition("### For whoever")[2].split())
    options = HttpOptions(url="https://example.com")
    assert f"`batch_events_max` events ({options.batch_events_max})" in said
    assert f"of them ({options.batch_bytes_max // MIB} MiB)" in said
    assert f"has {Outbox().body_max_bytes // MIB} MiB, or" in said
    assert f"up to {BODY_BYTES_HARD_MAX // MIB} MiB" in said
    assert f"`timeout_seconds` ({options.timeout_seconds:g})" in said
    assert f"`backoff_base_seconds` ({options.backoff_base_seconds:g})" in said
    assert f"`backoff_max_seconds` ({options.backoff_max_seconds:g})" in said
    assert RETRY_AFTER_SECONDS_MAX == 3600
    assert "`Retry-After` makes a wait longer, up to an hour" in said

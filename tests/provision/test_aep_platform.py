"""Calls to Adobe's platform API: headers, another try where it does no harm, pages, and errors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streamer.core.errors import StreamerError
from streamer.core.limits import DETAIL_CHARACTERS_MAX
from streamer.core.provision_limits import ADOBE_TRIES_MAX, ADOBE_WAIT_SECONDS_MAX
from streamer.destinations.ims import Ims
from streamer.destinations.transport import Transport
from streamer.provision.aep_platform import (
    FLOWS,
    REGISTRY,
    Call,
    Platform,
    path_of,
)
from streamer.provision.aep_problem import PlatformError, quoted
from tests.support.http_destination import (
    ScriptedServer,
    closed_port,
    reply,
    reply_json,
    scripted_server,
    then_reset,
)
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio

TOKEN = "eyJ-token"
SECRET = "p8e-secret"
TOKENS = reply_json({"access_token": TOKEN, "token_type": "bearer", "expires_in": 86_399})
READ = Call(method="GET", path=f"{FLOWS}/flows/1")
WRITE = Call(method="POST", path=f"{FLOWS}/flows", body={"name": "one"})


class Desk:
    """A platform whose server answers by a script, behind a token service of its own."""

    def __init__(self, server: ScriptedServer, platform: Platform, clock: ManualClock) -> None:
        self.server = server
        self.platform = platform
        self.clock = clock
        self.notices: list[str] = []
        self.tokens = server


@asynccontextmanager
async def desk_of(*script: object) -> AsyncIterator[Desk]:
    clock = ManualClock()
    transport = Transport(connect_seconds_max=5, total_seconds_max=5, connections_max=2)
    async with scripted_server() as tokens, scripted_server() as server:
        tokens.script = [TOKENS]
        server.script = list(script)  # type: ignore[arg-type]  # behaviours
        ims = Ims(
            transport,
            url=tokens.url.removesuffix("/events"),
            client_id="client",
            client_secret=SECRET,
            scopes="openid",
            clock=clock,
        )
        notices: list[str] = []
        platform = Platform(
            transport,
            ims,
            url=server.url.removesuffix("/events"),
            org_id="1@AdobeOrg",
            client_id="client",
            sandbox="dev",
            clock=clock,
            notice=notices.append,
        )
        desk = Desk(server, platform, clock)
        desk.notices, desk.tokens = notices, tokens
        try:
            yield desk
        finally:
            await transport.aclose()


def problem(status: int, **document: object) -> object:
    return reply(status, json.dumps(document).encode(), x_request_id="rq-7")


async def test_every_call_says_who_calls_and_for_which_sandbox() -> None:
    async with desk_of(reply_json({"id": "1"})) as desk:
        assert await desk.platform.make(WRITE) == {"id": "1"}
    [request] = desk.server.received
    assert (request.method, request.path) == ("POST", f"{FLOWS}/flows")
    assert json.loads(request.body) == {"name": "one"}
    expected = {
        "authorization": f"Bearer {TOKEN}",
        "x-api-key": "client",
        "x-gw-ims-org-id": "1@AdobeOrg",
        "x-sandbox-name": "dev",
        "content-type": "application/json",
    }
    assert expected.items() <= request.headers.items()


async def test_a_call_may_say_another_content_type() -> None:
    call = Call(method="PATCH", path="/x", body=[], headers={"Content-Type": "application/y"})
    async with desk_of(reply(200)) as desk:
        assert await desk.platform.make(call) is None
    assert desk.server.received[0].headers["content-type"] == "application/y"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_reading_is_tried_again_after_a_passing_failure(status: int) -> None:
    async with desk_of(reply(status), reply(status), reply_json({"a": 1})) as desk:
        assert await desk.platform.make(READ) == {"a": 1}
    assert len(desk.server.received) == 3
    assert len(desk.clock.slept) == 2
    assert desk.notices[0].startswith(f"Adobe answered {status}; trying again in ")


@pytest.mark.parametrize("status", [429, 503])
async def test_a_change_that_was_not_looked_at_is_tried_again(status: int) -> None:
    async with desk_of(reply(status, Retry_After="7"), reply_json({"id": "1"})) as desk:
        assert await desk.platform.make(WRITE) == {"id": "1"}
    assert desk.clock.slept == [7.0]


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_change_of_which_nobody_knows_is_not_repeated(status: int) -> None:
    async with desk_of(reply(status), reply_json({"id": "1"})) as desk:
        with pytest.raises(PlatformError) as raised:
            await desk.platform.make(WRITE)
    assert raised.value.uncertain
    assert len(desk.server.received) == 1


async def test_a_lost_answer_to_a_change_leaves_it_uncertain() -> None:
    async with desk_of(then_reset(b""), reply_json({})) as desk:
        with pytest.raises(PlatformError) as raised:
            await desk.platform.make(WRITE)
    assert raised.value.uncertain
    assert raised.value.status is None
    assert "Flow Service gave no answer to POST /flowservice/flows" in str(raised.value)


async def test_a_lost_answer_to_reading_is_asked_for_again() -> None:
    async with desk_of(then_reset(b""), then_reset(b""), reply_json({"a": 1})) as desk:
        assert await desk.platform.make(READ) == {"a": 1}


async def test_tries_end() -> None:
    async with desk_of(reply(503)) as desk:
        with pytest.raises(PlatformError, match="answered 503"):
            await desk.platform.make(READ)
    assert len(desk.server.received) == ADOBE_TRIES_MAX


async def test_a_wait_that_nobody_would_watch_is_an_error_at_once() -> None:
    async with desk_of(reply(503, Retry_After=str(ADOBE_WAIT_SECONDS_MAX + 1))) as desk:
        with pytest.raises(PlatformError) as raised:
            await desk.platform.make(WRITE)
    assert desk.clock.slept == []
    assert not raised.value.uncertain


async def test_a_refused_token_is_renewed_once() -> None:
    async with desk_of(reply(401), reply_json({"a": 1})) as desk:
        assert await desk.platform.make(READ) == {"a": 1}
        assert len(desk.tokens.received) == 2
    assert desk.clock.slept == []


async def test_a_token_that_is_refused_at_the_last_try_is_an_error() -> None:
    async with desk_of(*[reply(503)] * (ADOBE_TRIES_MAX - 1), reply(401)) as desk:
        with pytest.raises(PlatformError, match="answered 401"):
            await desk.platform.make(READ)
    assert len(desk.server.received) == ADOBE_TRIES_MAX


async def test_a_file_for_which_the_last_try_is_refused_is_no_empty_file() -> None:
    async with desk_of(*[reply(503)] * (ADOBE_TRIES_MAX - 1), reply(401)) as desk:
        with pytest.raises(PlatformError, match="answered 401"):
            async with desk.platform.download("/file", total_seconds_max=5):
                raise AssertionError("there is nothing to read")
    assert len(desk.server.received) == ADOBE_TRIES_MAX


async def test_a_token_that_is_refused_twice_is_an_error() -> None:
    async with desk_of(reply(401)) as desk:
        with pytest.raises(PlatformError, match="answered 401") as raised:
            await desk.platform.make(WRITE)
    assert len(desk.server.received) == 2
    assert not raised.value.uncertain
    assert "Developer Console" in raised.value.hint


@pytest.mark.parametrize(
    ("path", "service", "permission"),
    [
        (f"{REGISTRY}/tenant/schemas", "Adobe's Schema Registry", "Manage Schemas"),
        ("/data/foundation/catalog/dataSets", "Adobe's Catalog", "Manage Datasets"),
        (f"{FLOWS}/flows", "Adobe's Flow Service", "Manage Sources"),
        ("/data/foundation/export/batches/b1/failed", "Adobe's Data Access", "View Datasets"),
        ("/data/core/idnamespace/identities", "Adobe's Identity Service", "Identity Namespaces"),
    ],
)
async def test_a_missing_permission_is_named(path: str, service: str, permission: str) -> None:
    said = problem(403, error_code="403027", message="User region is missing")
    async with desk_of(said) as desk:
        with pytest.raises(PlatformError) as raised:
            await desk.platform.get(path)
    assert str(raised.value).startswith(f"{service} answered 403 to GET ")
    assert "User region is missing" in str(raised.value)
    assert "(request rq-7)" in str(raised.value)
    assert permission in raised.value.hint
    assert "--" not in raised.value.hint, "not every command has the options of another"


async def test_what_is_not_there_is_none_where_that_is_asked() -> None:
    async with desk_of(reply(404)) as desk:
        assert await desk.platform.look_up("/x") is None
        with pytest.raises(PlatformError) as raised:
            await desk.platform.get("/x")
    assert raised.value.status == 404


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000], ids=["a page", "depth without end"])
async def test_an_answer_that_is_no_json_is_an_error(body: bytes) -> None:
    async with desk_of(reply(200, body)) as desk:
        with pytest.raises(PlatformError, match="what it answered is no JSON"):
            await desk.platform.make(READ)


async def test_an_answer_that_is_something_else_is_an_error() -> None:
    async with desk_of(reply_json([1])) as desk:
        with pytest.raises(PlatformError, match="something else than was asked for") as raised:
            await desk.platform.flow_item("/data/foundation/flowservice/flows", "1")
        with pytest.raises(PlatformError, match="something else"):
            [item async for item in desk.platform.datasets()]
    assert "platform_url" in raised.value.hint


async def test_neither_token_nor_secret_gets_into_an_error() -> None:
    async with desk_of(problem(400, title="bad", detail="no")) as desk:
        with pytest.raises(PlatformError) as raised:
            await desk.platform.make(Call(method="POST", path="/x?token=abc", body={"s": SECRET}))
    told = f"{raised.value} {raised.value.hint} {raised.value.__cause__!r}"
    assert TOKEN not in told
    assert SECRET not in told
    assert "abc" not in told


async def test_a_service_that_cannot_be_reached_is_said_so() -> None:
    clock = ManualClock()
    transport = Transport(connect_seconds_max=2, total_seconds_max=2, connections_max=1)
    async with scripted_server() as tokens:
        tokens.script = [TOKENS]
        ims = Ims(
            transport, url=tokens.url.removesuffix("/events"), client_id="c",
            client_secret=SECRET, scopes="", clock=clock,
        )  # fmt: skip
        platform = Platform(
            transport, ims, url=f"http://127.0.0.1:{closed_port()}", org_id="o", client_id="c",
            sandbox="prod", clock=clock,
        )  # fmt: skip
        with pytest.raises(PlatformError, match="does not take connections"):
            await platform.make(READ)
        await transport.aclose()
    assert len(clock.slept) == ADOBE_TRIES_MAX - 1


async def test_a_token_service_that_stumbles_is_asked_again_and_a_refusal_is_not() -> None:
    clock = ManualClock()
    transport = Transport(connect_seconds_max=2, total_seconds_max=2, connections_max=1)
    async with scripted_server() as tokens, scripted_server() as server:
        server.script = [reply_json({"a": 1})]
        tokens.script = [reply(503), TOKENS]
        url = tokens.url.removesuffix("/events")
        ims = Ims(transport, url=url, client_id="c", client_secret=SECRET, scopes="", clock=clock)
        platform = Platform(
            transport, ims, url=server.url.removesuffix("/events"), org_id="o", client_id="c",
            sandbox="prod", clock=clock,
        )  # fmt: skip
        assert await platform.make(WRITE) == {"a": 1}
        tokens.script = [reply(400, b'{"error":"invalid_client"}')]
        ims.reject(TOKEN)
        clock.move(60)
        waits = len(clock.slept)
        with pytest.raises(StreamerError, match="invalid_client"):
            await platform.make(WRITE)
        assert len(clock.slept) == waits
        await transport.aclose()
    assert len(server.received) == 1


async def test_lists_of_the_flow_service_are_read_to_their_end() -> None:
    there = "https://elsewhere.example/flows?continuationToken=next%3Dpage"
    first = reply_json({"items": [{"id": 1}], "_links": {"next": {"href": there}}})
    async with desk_of(first, reply_json({"items": [{"id": 2}], "_links": {}})) as desk:
        found = [item["id"] async for item in desk.platform.flow_items("/flows", property="a==b")]
    assert found == [1, 2]
    paths = [request.path for request in desk.server.received]
    assert paths == [
        "/flows?property=a%3D%3Db&limit=100",
        "/flows?property=a%3D%3Db&continuationToken=next%3Dpage&limit=100",
    ]


async def test_lists_of_the_registry_are_read_to_their_end() -> None:
    first = reply_json({"results": [{"title": "a"}], "_page": {"next": "a"}})
    last = reply_json({"results": [{"title": "b"}], "_page": {"next": None}})
    async with desk_of(first, last) as desk:
        found = [item["title"] async for item in desk.platform.registry_items("/schemas")]
    assert found == ["a", "b"]
    assert desk.server.received[1].path == "/schemas?orderby=title&start=a"
    assert desk.server.received[0].headers["accept"] == "application/vnd.adobe.xed-id+json"


async def test_lists_of_datasets_are_read_to_their_end() -> None:
    first = reply_json({f"d{number}": {"name": "x"} for number in range(100)})
    async with desk_of(first, reply_json({"last": {"name": "y"}})) as desk:
        found = [item async for item in desk.platform.datasets(property="name==y")]
    assert len(found) == 101
    assert found[-1] == {"id": "last", "name": "y"}
    assert "start=100" in desk.server.received[1].path


def test_an_id_that_is_an_address_is_one_part_of_a_path() -> None:
    path = path_of("/schemas", "https://ns.adobe.com/acme/schemas/1", version=1)
    assert path == "/schemas/https%3A%2F%2Fns.adobe.com%2Facme%2Fschemas%2F1?version=1"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"title":"Bad","detail":"no name"}', "Bad; no name"),
        (b'{"error_code":"403","message":"no"}', "no"),
        (b'{"title":"A","report":{"message":"B","detailed-message":"C"}}', "A; B; C"),
        (b'{"error":{"message":"deep"}}', "deep"),
        (b'{"error":"flat"}', "flat"),
        (b'{"title":"same","message":"same"}', "same"),
        (b'{"title":"a\\u001b[2Jb"}', "a [2Jb"),
        (b"<html>", ""),
        (b"[1]", ""),
        (b"\xff", ""),
        pytest.param(b"[" * 100_000, "", id="depth without end"),
    ],
)
def test_of_an_answer_what_is_meant_for_people_is_quoted(body: bytes, said: str) -> None:
    assert quoted(body) == said


def test_what_is_quoted_is_short() -> None:
    assert len(quoted(json.dumps({"title": "x" * 10_000}).encode())) == DETAIL_CHARACTERS_MAX + 1


async def test_half_an_answer_to_reading_is_asked_for_again() -> None:
    torn = then_reset(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")
    async with desk_of(torn, reply_json({"a": 1})) as desk:
        assert await desk.platform.make(READ) == {"a": 1}

"""Tokens against a real server: when one is asked for, by whom, and what a failure means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import parse_qs

import pytest

from streamer.destinations.ims import Ims, ImsError
from streamer.destinations.transport import Transport
from tests.support.http_destination import (
    Behaviour,
    ScriptedServer,
    calling,
    closed_port,
    hang,
    reply,
    scripted_server,
)
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio

DAY = 86_399
SECRET = "canary-secret"


class Desk(NamedTuple):
    """A client of an identity service that a test scripts."""

    ims: Ims
    server: ScriptedServer
    clock: ManualClock

    @property
    def requests(self) -> int:
        return len(self.server.received)


def grant(token: str, expires_in: object = DAY) -> Behaviour:
    document = {"access_token": token, "token_type": "bearer", "expires_in": expires_in}
    return reply(200, json.dumps(document).encode())


def refuse(status: int, error: str = "") -> Behaviour:
    document = {"error": error, "error_description": f"no such secret: {SECRET}"}
    return reply(status, json.dumps(document).encode())


@asynccontextmanager
async def desk(*script: Behaviour) -> AsyncIterator[Desk]:
    clock = ManualClock()
    transport = Transport(connect_seconds_max=5, total_seconds_max=5, connections_max=4)
    async with scripted_server() as server:
        server.script = list(script)
        ims = Ims(
            transport,
            url=server.url.removesuffix("/events") + "/",
            client_id="client",
            client_secret=SECRET + "\n",
            scopes="openid,AdobeID",
            clock=clock,
        )
        try:
            yield Desk(ims, server, clock)
        finally:
            await transport.aclose()


async def failure_of(ims: Ims) -> ImsError:
    with pytest.raises(ImsError) as raised:
        await ims.token()
    return raised.value


# Asking


async def test_a_token_is_asked_for_with_the_clients_credentials_in_the_body_alone() -> None:
    async with desk(grant("t0ken")) as here:
        assert await here.ims.token() == "t0ken"
    (request,) = here.server.received
    assert (request.method, request.path) == ("POST", "/ims/token/v3")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["client"],
        "client_secret": [SECRET],
        "scope": ["openid,AdobeID"],
    }


# How long a token is kept


@pytest.mark.parametrize(
    ("expires_in", "kept_seconds"),
    [
        (DAY, 77_758),
        (86_399_000, 77_758),
        (3_600, 3_239),
        (3_600_000, 3_239),
        (1_000, 699),
        (60, 29),
        (1, 0),
        (7 * 86_400, 77_759),
        (10**400, 77_759),
        (None, 149),
        ("soon", 149),
        (True, 149),
        (0, 149),
        (-5, 149),
    ],
)
async def test_a_token_is_kept_until_some_time_before_it_ends(
    expires_in: object, kept_seconds: int
) -> None:
    """Both units are understood, nothing is believed beyond a day, and nonsense is five minutes."""
    async with desk(grant("one", expires_in), grant("two")) as here:
        await here.ims.token()
        here.clock.move(kept_seconds)
        assert await here.ims.token() == "one"
        here.clock.move(2)
        assert await here.ims.token() == "two"
        assert here.requests == 2


async def test_a_token_grows_old_from_when_it_was_asked_for() -> None:
    async with desk(grant("one", 60), grant("two")) as here:
        here.server.script[0] = calling(lambda: here.clock.move(29), here.server.script[0])
        assert await here.ims.token() == "one"
        here.clock.move(2)
        assert await here.ims.token() == "two"


async def test_a_wall_clock_that_is_set_changes_nothing() -> None:
    async with desk(grant("one"), grant("two")) as here:
        await here.ims.token()
        here.clock.leap(10 * DAY)
        assert await here.ims.token() == "one"


# Many callers


def gated(behaviour: Behaviour) -> tuple[Behaviour, asyncio.Event, asyncio.Event]:
    """Answer once the second event is set; the first tells that the request is there."""
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await gate.wait()
        await behaviour(writer)

    return wait, arrived, gate


async def test_callers_at_the_same_time_share_one_request() -> None:
    behaviour, arrived, gate = gated(grant("one"))
    async with desk(behaviour, grant("two")) as here:
        callers = [asyncio.create_task(here.ims.token()) for _ in range(20)]
        await arrived.wait()
        gate.set()
        assert set(await asyncio.gather(*callers)) == {"one"}
        assert here.requests == 1


async def test_callers_at_the_same_time_share_a_failure() -> None:
    behaviour, arrived, gate = gated(reply(503))
    async with desk(behaviour, grant("two")) as here:
        callers = [asyncio.create_task(here.ims.token()) for _ in range(20)]
        await arrived.wait()
        gate.set()
        said = await asyncio.gather(*callers, return_exceptions=True)
        assert [type(one) for one in said] == [ImsError] * 20
        assert here.requests == 1


async def test_a_caller_that_is_cancelled_leaves_the_asking_to_the_next() -> None:
    behaviour, arrived, _ = gated(grant("lost"))
    async with desk(behaviour, grant("one")) as here:
        first, second, third = (asyncio.create_task(here.ims.token()) for _ in range(3))
        await arrived.wait()
        first.cancel()
        assert set(await asyncio.gather(second, third)) == {"one"}
        with pytest.raises(asyncio.CancelledError):
            await first
        assert here.requests == 2


async def test_while_a_token_is_renewed_early_others_go_on_with_the_old_one() -> None:
    behaviour, arrived, gate = gated(grant("two"))
    async with desk(grant("one", 1_000), behaviour) as here:
        await here.ims.token()
        here.clock.move(701)
        renewing = asyncio.create_task(here.ims.token())
        await arrived.wait()
        assert await here.ims.token() == "one"
        gate.set()
        assert await renewing == "two"
        assert await here.ims.token() == "two"


# A token that was refused


async def test_a_refused_token_is_renewed_once_however_many_were_refused_it() -> None:
    async with desk(grant("one"), grant("two"), grant("three")) as here:
        await here.ims.token()
        for _ in range(3):
            here.ims.reject("one")
        assert await here.ims.token() == "two"
        here.ims.reject("one")
        assert await here.ims.token() == "two"
        assert here.requests == 2


# Failures


@pytest.mark.parametrize(
    ("behaviour", "holds", "reason"),
    [
        (refuse(400, "invalid_client"), True, "credentials"),
        (refuse(400, "invalid_scope"), True, "credentials"),
        (refuse(401, "invalid_client"), True, "credentials"),
        (reply(403), True, "credentials"),
        (reply(404, b"<html>"), True, "credentials"),
        (reply(302, Location="https://example.com"), True, "credentials"),
        (reply(408), False, "token_http_408"),
        (reply(429), False, "token_http_429"),
        (reply(500), False, "token_http_500"),
        (refuse(503, "invalid_client"), False, "token_http_503"),
        (reply(200, b"<html>sign in</html>"), False, "token_unreadable"),
        (reply(200, b"[]"), False, "token_unreadable"),
        (reply(200, b"{}"), False, "token_unreadable"),
        (reply(200, b'{"access_token":"a\\nb"}'), False, "token_unreadable"),
        (reply(200, b'{"access_token":""}'), False, "token_unreadable"),
        (reply(200, b'{"access_token":7}'), False, "token_unreadable"),
        (reply(200, b"\xff\xfe"), False, "token_unreadable"),
    ],
)
async def test_what_somebody_has_to_mend_holds_and_all_else_may_pass(
    behaviour: Behaviour, holds: bool, reason: str
) -> None:
    async with desk(behaviour) as here:
        error = await failure_of(here.ims)
    assert (error.holds, error.reason) == (holds, reason)


async def test_an_error_code_of_the_standard_is_told_with_what_to_do() -> None:
    async with desk(refuse(400, "invalid_scope")) as here:
        error = await failure_of(here.ims)
    assert str(error) == "IMS answered 400 (invalid_scope)"
    assert "scopes" in error.hint


async def test_a_server_that_cannot_be_reached_may_come_back() -> None:
    transport = Transport(connect_seconds_max=5, total_seconds_max=5, connections_max=1)
    ims = Ims(
        transport,
        url=f"http://127.0.0.1:{closed_port()}",
        client_id="client",
        client_secret=SECRET,
        scopes="openid",
        clock=ManualClock(),
    )
    error = await failure_of(ims)
    await transport.aclose()
    assert (error.holds, error.reason) == (False, "token_connect")


@pytest.mark.parametrize(
    "behaviour",
    [refuse(400, SECRET), refuse(401, "invalid_client"), reply(500, SECRET.encode())],
)
async def test_no_word_of_the_answer_and_no_secret_is_in_an_error(behaviour: Behaviour) -> None:
    async with desk(behaviour) as here:
        error = await failure_of(here.ims)
        assert "canary" not in f"{error!r} {error} {error.hint} {error.reason} {here.ims!r}"


async def test_a_failure_is_repeated_without_asking_for_a_growing_while() -> None:
    async with desk(reply(500)) as here:
        silences = []
        for _ in range(8):
            await failure_of(here.ims)
            asked, waited = here.requests, 0.0
            while here.requests == asked:
                here.clock.move(0.5)
                waited += 0.5
                await failure_of(here.ims)
            silences.append(waited)
    assert silences == [1, 2, 4, 8, 16, 30, 30, 30]


async def test_a_token_after_a_failure_forgets_it() -> None:
    async with desk(reply(500), reply(500), grant("one"), reply(500), grant("two")) as here:
        for seconds in (1, 2):
            await failure_of(here.ims)
            here.clock.move(seconds)
        assert await here.ims.token() == "one"
        here.ims.reject("one")
        await failure_of(here.ims)
        here.clock.move(1)
        assert await here.ims.token() == "two"


async def test_the_wait_that_was_asked_for_is_kept_and_told_as_what_is_left_of_it() -> None:
    async with desk(reply(429, Retry_After="120"), grant("one")) as here:
        assert (await failure_of(here.ims)).retry_after_seconds == 120
        here.clock.move(70)
        assert (await failure_of(here.ims)).retry_after_seconds == 50
        assert here.requests == 1
        here.clock.move(50)
        assert await here.ims.token() == "one"


async def test_nobody_waits_longer_than_an_hour_because_a_header_says_so() -> None:
    async with desk(reply(503, Retry_After="99999999"), grant("one")) as here:
        await failure_of(here.ims)
        here.clock.move(3_600)
        assert await here.ims.token() == "one"


async def test_an_early_renewal_that_fails_costs_nothing_while_the_token_is_good() -> None:
    async with desk(grant("one", 1_000), reply(500)) as here:
        await here.ims.token()
        here.clock.move(701)
        for _ in range(5):
            assert await here.ims.token() == "one"
        assert here.requests == 2, "one renewal, and silence after it"
        here.clock.move(300)
        await failure_of(here.ims)


async def test_a_request_that_is_cancelled_is_no_failure() -> None:
    behaviour, arrived, _ = gated(hang)
    async with desk(behaviour, grant("one")) as here:
        caller = asyncio.create_task(here.ims.token())
        await arrived.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await here.ims.token() == "one"

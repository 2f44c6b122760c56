"""What the HTTP destination sends, and what it says when there is no answer."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import standardwebhooks

from streamer.core.errors import ConfigurationError
from streamer.core.outcome import Verdict
from streamer.destinations.common_options import Privacy
from streamer.destinations.http import HttpDestination
from streamer.destinations.options import HttpOptions
from tests.destinations.examples import NOON_MS, Alarms, StandingClock, stored_event, stored_events
from tests.destinations.http_cases import KEY, http_destination, outcome_of
from tests.support.http_destination import (
    Behaviour,
    closed_port,
    hang,
    reply,
    scripted_server,
    then_close,
    then_reset,
    trickle,
)

pytestmark = pytest.mark.anyio


# What is sent


async def test_a_batch_is_one_request_with_an_array_of_cloudevents() -> None:
    async with scripted_server() as server, http_destination(server.url) as destination:
        await destination.send(stored_events(1, 2, 3))
    (request,) = server.received
    assert (request.method, request.path) == ("POST", "/events")
    assert request.headers["content-type"] == "application/cloudevents-batch+json"
    assert [event["id"] for event in request.events] == ["01E00001", "01E00002", "01E00003"]


async def test_a_single_event_is_a_request_of_its_own_in_order_over_one_connection() -> None:
    async with (
        scripted_server() as server,
        http_destination(server.url, mode="single") as destination,
    ):
        outcomes = await destination.send(stored_events(1, 2, 3))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}
    assert [json.loads(request.body)["id"] for request in server.received] == [
        "01E00001",
        "01E00002",
        "01E00003",
    ]
    assert {request.headers["content-type"] for request in server.received} == {
        "application/cloudevents+json"
    }
    assert server.connections == 1


@pytest.mark.parametrize("mode", ["batch", "single"])
async def test_a_signature_stands_up_to_the_reference_library(mode: str) -> None:
    async with (
        scripted_server() as server,
        http_destination(server.url, key=KEY, mode=mode) as destination,
    ):
        await destination.send(stored_events(1, 2))
    for request in server.received:
        reference = standardwebhooks.Webhook(KEY).sign(
            request.headers["webhook-id"],
            datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC),
            request.body.decode(),
        )
        assert request.headers["webhook-signature"] == reference
        assert int(request.headers["webhook-timestamp"]) == NOON_MS // 1000


async def test_a_batch_that_is_cut_differently_is_another_message_and_the_same_one_is_not() -> None:
    one, two = stored_events(1, 2)
    two_elsewhere = stored_event(2, source="eu")
    batches = [[one, two], [one], [two], [two, one], [one, two_elsewhere], [one, two]]
    async with scripted_server() as server, http_destination(server.url) as destination:
        for batch in batches:
            await destination.send(batch)
    ids = [request.headers["webhook-id"] for request in server.received]
    assert ids[0] == ids[5]
    assert len(set(ids)) == 5


async def test_without_a_key_there_is_an_id_to_tell_repeats_by_but_no_signature() -> None:
    async with scripted_server() as server, http_destination(server.url) as destination:
        await destination.send(stored_events(1))
    assert "webhook-id" in server.received[0].headers
    assert "webhook-signature" not in server.received[0].headers


async def test_the_token_and_further_headers_are_sent() -> None:
    async with (
        scripted_server() as server,
        http_destination(
            server.url, bearer_token="t0ken\n", headers={"X-Team": "crm"}
        ) as destination,
    ):
        await destination.send(stored_events(1))
    headers = server.received[0].headers
    assert headers["authorization"] == "Bearer t0ken"
    assert headers["x-team"] == "crm"


async def test_a_batch_of_megabytes_is_sent_like_any_other() -> None:
    large = [stored_event(position, data={"content": "x" * 400_000}) for position in range(1, 7)]
    async with scripted_server() as server, http_destination(server.url) as destination:
        await destination.send(large)
    assert len(server.events) == 6


async def test_neither_cookies_nor_a_proxy_from_the_environment_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    async with scripted_server() as server, http_destination(server.url) as destination:
        server.script = [reply(200, Set_Cookie="session=1")]
        await destination.send(stored_events(1))
        await destination.send(stored_events(2))
    assert len(server.received) == 2
    assert "cookie" not in server.received[1].headers


# When there is no answer

QUICK: dict[str, Any] = {"timeout_seconds": 0.3, "connect_timeout_seconds": 0.3}
OK = b"HTTP/1.1 200 OK\r\n"

FAULTS: dict[str, tuple[Behaviour, str]] = {
    "no answer": (hang, "timeout"),
    "a byte at a time": (trickle, "timeout"),
    "reset before the answer": (then_reset(b""), "reset"),
    "closed before the answer": (then_close(b""), "reset"),
    "reset in the head": (then_reset(OK + b"Content-Le"), "reset"),
    "closed in the head": (then_close(OK + b"Content-Le"), "reset"),
    "closed in the body": (then_close(OK + b"Content-Length: 10\r\n\r\nhalf"), "reset"),
    "closed in a chunk": (then_close(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"), "reset"),
    "a header of a mebibyte": (then_close(OK + b"X: " + b"x" * 2**20 + b"\r\n\r\n"), "protocol"),
    "a mebibyte of headers": (then_close(OK + b"X: y\r\n" * 2**18 + b"\r\n"), "protocol"),
    "no HTTP": (then_close(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol"),
}


@pytest.mark.parametrize(("behaviour", "reason"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("mode", ["batch", "single"])
async def test_a_fault_defers_and_the_next_send_goes_through(
    mode: str, behaviour: Behaviour, reason: str
) -> None:
    async with (
        scripted_server() as server,
        http_destination(server.url, mode=mode, **QUICK) as destination,
    ):
        server.script = [behaviour, reply(200)]
        first = (await destination.send(stored_events(1)))[0]
        assert (first.verdict, first.reason) == (Verdict.DEFERRED, reason)
        assert len(server.received) == 1, "one send is one attempt"
        (again,) = await destination.send(stored_events(1))
        assert again.verdict is Verdict.ACCEPTED


async def test_a_server_that_resets_every_connection_defers() -> None:
    async with scripted_server() as server, http_destination(server.url) as destination:
        server.reset_on_connect = True
        (outcome,) = await destination.send(stored_events(1))
    assert (outcome.verdict, outcome.reason) == (Verdict.DEFERRED, "reset")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"http://127.0.0.1:{closed_port()}/", "connect"),
        ("http://nobody.invalid/", "dns"),
    ],
    ids=["closed", "unknown"],
)
async def test_a_server_that_cannot_be_found_or_refuses_defers(url: str, reason: str) -> None:
    async with http_destination(url) as destination:
        (outcome,) = await destination.send(stored_events(1))
    assert (outcome.verdict, outcome.reason) == (Verdict.DEFERRED, reason)


# What must not get out


@pytest.mark.parametrize(
    "behaviour",
    [reply(400, b"canary jo@example.com"), reply(500, b"canary"), reply(302, Location="canary")],
)
async def test_no_secret_and_no_word_of_the_answer_or_the_event_is_in_an_outcome_or_a_log(
    behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    outcome = await outcome_of(behaviour, key="canary-key", bearer_token="canary-token")
    seen = outcome.reason + outcome.detail + caplog.text
    assert "canary" not in seen
    assert "xample" not in seen


@pytest.mark.parametrize("token", ["two words", "", "line\nbreak", "umläut"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        make(bearer_token=token)
    assert token == "" or token not in f"{refusal.value} {refusal.value.hint}"


@pytest.mark.parametrize("content", [None, b"no certificates in here"])
def test_a_file_of_authorities_that_cannot_be_used_is_refused(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="ca\\.pem"):
        make(ca_file=str(path))


def make(*, bearer_token: str | None = None, **options: object) -> HttpDestination:
    return HttpDestination(
        "hook",
        msgspec.structs.replace(HttpOptions(url="https://example.com/"), **options),
        clock=StandingClock(),
        key=None,
        bearer_token=bearer_token,
        raise_alarm=Alarms(),
    )


async def test_an_event_that_cannot_be_redacted_is_rejected_and_the_others_are_sent() -> None:
    events = [stored_event(1), stored_event(2, body=b"{broken"), stored_event(3)]
    async with (
        scripted_server() as server,
        http_destination(server.url, privacy=Privacy(drop=["content"])) as destination,
    ):
        outcomes = await destination.send(events)
        alone = await destination.send([events[1]])
    assert [outcome.reason for outcome in outcomes] == ["", "unredactable", ""]
    assert [outcome.reason for outcome in alone] == ["unredactable"]
    assert [event["id"] for event in server.events] == ["01E00001", "01E00003"]

"""What the HTTP destination makes of an answer."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.outcome import NOT_ATTEMPTED, Verdict
from streamer.destinations.http_answer import Content, judge_accepting_body, unpack
from tests.destinations.examples import NOON_MS, Alarms, stored_events
from tests.destinations.http_cases import http_destination, outcome_of, outcomes_of
from tests.support.http_destination import (
    raw,
    reply,
    reply_json,
    scripted_server,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ((200, 201, 202, 204, 207), Verdict.ACCEPTED),
        ((400, 413, 422), Verdict.REJECTED),
        ((301, 302, 303, 304, 307, 308), Verdict.HELD),
        ((401, 402, 403, 404, 405, 406, 410, 411, 415, 431, 451), Verdict.HELD),
        ((408, 409, 423, 425, 429), Verdict.DEFERRED),
        ((500, 501, 502, 503, 504, 521, 599), Verdict.DEFERRED),
    ],
)
async def test_each_status_has_its_verdict(statuses: tuple[int, ...], verdict: Verdict) -> None:
    async with scripted_server() as server, http_destination(server.url) as destination:
        server.script = [
            # No body may follow these two, not even an empty one.
            raw(b"HTTP/1.1 %d x\r\n\r\n" % status) if status in {204, 304} else reply(status)
            for status in statuses
        ]
        for status in statuses:
            outcomes = await destination.send(stored_events(1, 2))
            assert [outcome.verdict for outcome in outcomes] == [verdict] * 2, status
            if verdict is not Verdict.ACCEPTED and status != 413:
                assert outcomes[0].reason == f"http_{status}"
        assert len(server.received) == len(statuses)


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_rejection_is_of_the_batch_unless_each_event_has_its_own_request(
    status: int,
) -> None:
    assert (await outcome_of(reply(status))).whole
    rejected, *others = await outcomes_of(reply(status), mode="single")
    assert not rejected.whole
    assert list(others) == [NOT_ATTEMPTED] * 2


async def test_too_large_says_so() -> None:
    assert (await outcome_of(reply(413))).reason == "too_large"


async def test_a_redirect_is_not_followed() -> None:
    async with scripted_server() as other, scripted_server() as server:
        server.script = [reply(302, Location=other.url)]
        async with http_destination(server.url) as destination:
            (outcome,) = await destination.send(stored_events(1))
    assert outcome.verdict is Verdict.HELD
    assert other.received == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (formatdate(NOON_MS / 1000 + 90, usegmt=True), 90.0),
        ("-5", None),
        ("soon", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_the_wait_that_is_asked_for_is_handed_on(
    status: int, value: str, seconds: float | None
) -> None:
    outcome = await outcome_of(reply(status, Retry_After=value))
    assert outcome.retry_after_seconds == seconds


async def test_in_single_mode_nothing_is_sent_after_an_event_that_is_not_accepted() -> None:
    async with (
        scripted_server() as server,
        http_destination(server.url, mode="single") as destination,
    ):
        server.script = [reply(200), reply(503, Retry_After="3"), reply(200)]
        outcomes = await destination.send(stored_events(1, 2, 3, 4))
    assert [outcome.verdict for outcome in outcomes] == [
        Verdict.ACCEPTED,
        Verdict.DEFERRED,
        Verdict.DEFERRED,
        Verdict.DEFERRED,
    ]
    assert [outcome.reason for outcome in outcomes] == ["", "http_503", *["not_attempted"] * 2]
    assert outcomes[1].retry_after_seconds == 3
    assert len(server.received) == 2


def rejection(event_id: str, source: str = "/customerio/main", **more: object) -> dict[str, object]:
    return {"source": source, "id": event_id, "reason": "no such person", **more}


@pytest.mark.parametrize("source", ["/customerio/main", "main"])
async def test_an_accepting_answer_may_name_events_that_are_refused(source: str) -> None:
    alarms = Alarms()
    answer = reply_json({"rejected": [rejection("01E00002", source)]})
    first, second, third = await outcomes_of(answer, alarms=alarms)
    assert (first.verdict, third.verdict) == (Verdict.ACCEPTED, Verdict.ACCEPTED)
    assert (second.verdict, second.reason) == (Verdict.REJECTED, "refused")
    assert second.detail == "no such person"
    assert not second.whole
    assert alarms.codes == []


async def test_a_single_event_may_be_refused_by_name_too() -> None:
    answer = reply_json({"rejected": [rejection("01E00001")]})
    first, *others = await outcomes_of(answer, mode="single")
    assert first.verdict is Verdict.REJECTED
    assert list(others) == [NOT_ATTEMPTED] * 2


async def test_a_list_of_as_many_rejections_as_there_were_events_is_read_to_its_end() -> None:
    events = stored_events(*range(1, 1001))
    answer = {"rejected": [rejection(event.event_id, reason="x" * 200) for event in events]}
    async with scripted_server() as server, http_destination(server.url) as destination:
        server.script = [reply_json(answer)]
        outcomes = await destination.send(events)
    assert {outcome.verdict for outcome in outcomes} == {Verdict.REJECTED}


async def test_the_reason_of_a_rejection_brings_no_address_and_no_control_character() -> None:
    reason = "no\r\n\x1b[31m jo@example.com\x00 <Jo@Example.com>" + "y" * 1000
    answer = reply_json({"rejected": [rejection("01E00001", reason=reason)]})
    outcome = (await outcomes_of(answer))[0]
    assert "@" not in outcome.detail
    assert outcome.detail.isprintable()
    assert len(outcome.detail) <= 500


ODD_BODIES = {
    "an event that was not sent": {"rejected": [rejection("other")]},
    "another source": {"rejected": [rejection("01E00001", "/customerio/eu")]},
    "a number": {"rejected": 1},
    "ids without sources": {"rejected": ["01E00001"]},
    "numbers for ids": {"rejected": [{"source": "main", "id": 1}]},
    "no id": {"rejected": [{"source": "main"}]},
    "further down": {"result": {"rejected": [rejection("01E00001")]}},
    "an array": [{"rejected": []}],
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES.keys())
async def test_rejections_that_make_no_sense_are_no_partial_success_and_raise_an_alarm(
    body: object,
) -> None:
    alarms = Alarms()
    outcome = await outcome_of(reply_json(body), alarms=alarms)
    assert outcome.verdict is Verdict.ACCEPTED
    assert alarms.codes == ["STR-306"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"rejected":[{"source":"main","id":"01E0',
        b'{"rejected":"\xff"}',
        b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b',"rejected":[]}',
        b'<script>{"rejected":[]}</script>',
        b'{"padding":"' + b" " * 2**21 + b'","rejected":[]}',
        b'{"rejected":[' + b" " * 2**21 + b"]}",
    ],
    ids=["half JSON", "not UTF-8", "deep", "HTML", "beyond the end", "too long"],
)
async def test_rejections_that_cannot_be_read_raise_an_alarm(body: bytes) -> None:
    alarms = Alarms()
    outcome = await outcome_of(reply(200, body), alarms=alarms)
    assert outcome.verdict is Verdict.ACCEPTED
    assert alarms.codes == ["STR-306"]


def named(body: bytes) -> list[str]:
    """Return the details of the rejections that a body of a 2xx names, of three events."""
    outcomes = judge_accepting_body(body, stored_events(1, 2, 3)).outcomes
    return [f"{one.verdict.value} {one.detail}".strip() for one in outcomes]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [(7, "7"), (None, ""), (["a", 1], '["a", 1]'), ({"code": 4}, '{"code": 4}'), (True, "true")],
)
def test_a_reason_may_be_of_any_type(reason: object, shown: str) -> None:
    body = json.dumps({"rejected": [rejection("01E00001", reason=reason)]}).encode()
    assert named(body) == [f"rejected {shown}".strip(), "accepted", "accepted"]
    assert judge_accepting_body(body, stored_events(1)).oddity == ""


async def test_a_reason_of_many_thousand_characters_is_read_and_cut() -> None:
    """It must also not take long: nothing else goes on meanwhile."""
    alarms = Alarms()
    answer = reply_json({"rejected": [rejection("01E00001", reason="x" * 900_000)]})
    first, *_ = await outcomes_of(answer, alarms=alarms)
    assert first.verdict is Verdict.REJECTED
    assert alarms.codes == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_list_may_be_in_any_encoding_of_unicode(encoding: str) -> None:
    body = json.dumps({"rejected": [rejection("01E00002")]}).encode(encoding)
    assert named(body) == ["accepted", "rejected no such person", "accepted"]


def test_a_reason_that_is_no_unicode_takes_nothing_from_its_rejection() -> None:
    body = json.dumps({"rejected": [rejection("01E00002", reason="Größe")]}, ensure_ascii=False)
    assert (
        named(body.encode("latin-1"))[1]
        == "rejected Gr\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}e"
    )


ODD_ENTRIES: tuple[object, ...] = (
    7,
    "01E00003",
    None,
    [],
    {"id": "01E00003"},
    {"source": 1, "id": "01E00003"},
)


@pytest.mark.parametrize("odd", ODD_ENTRIES, ids=repr)
@pytest.mark.parametrize("odd_first", [True, False])
def test_an_entry_that_makes_no_sense_takes_nothing_from_the_others(
    odd: object, odd_first: bool
) -> None:
    entries = [odd, rejection("01E00002")] if odd_first else [rejection("01E00002"), odd]
    judgement = judge_accepting_body(json.dumps({"rejected": entries}).encode(), stored_events(2))
    assert judgement.outcomes[0].verdict is Verdict.REJECTED
    assert judgement.oddity


@given(st.integers(0, 400))
def test_of_a_list_that_ends_anywhere_whatever_came_whole_is_heeded(length: int) -> None:
    entries = [rejection(f"01E0000{number}") for number in (1, 2, 3)]
    body = json.dumps({"rejected": entries}, indent=1).encode()[:length]
    whole = body.count(b"}") - body.endswith(b"]\n}")
    assert [said.startswith("rejected") for said in named(body)] == [
        number <= whole for number in (1, 2, 3)
    ]


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_no_body_makes_the_judgement_fail(before: bytes, after: bytes) -> None:
    judge_accepting_body(before + b'"rejected":[' + after, stored_events(1))
    for encoding in ("gzip", "deflate", "br", "nonsense\xff"):
        assert len(unpack(before + after, encoding, 1000).body) <= 1000


@pytest.mark.parametrize(
    "encoding", ["gzip", "x-gzip", "deflate", "br", "zstd", "GZIP", "gzip, br"]
)
async def test_an_answer_that_is_not_packed_as_it_says_accepts_all_the_same(encoding: str) -> None:
    alarms = Alarms()
    outcome = await outcome_of(reply(200, b"ok", Content_Encoding=encoding), alarms=alarms)
    assert outcome.verdict is Verdict.ACCEPTED
    assert alarms.codes == ["STR-306"]


@pytest.mark.parametrize("encoding", ["", "identity", "br"])
async def test_an_answer_without_a_body_may_say_what_it_wants_of_its_packing(encoding: str) -> None:
    alarms = Alarms()
    outcome = await outcome_of(reply(200, b"", Content_Encoding=encoding), alarms=alarms)
    assert outcome.verdict is Verdict.ACCEPTED
    assert alarms.codes == []


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_rejections_in_a_packed_answer_are_read(
    encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    alarms = Alarms()
    body = pack(json.dumps({"rejected": [rejection("01E00002")]}).encode())
    _, second, _ = await outcomes_of(reply(200, body, Content_Encoding=encoding), alarms=alarms)
    assert second.verdict is Verdict.REJECTED
    assert alarms.codes == []


def test_a_packed_answer_unfolds_to_no_more_than_is_read_of_any_other() -> None:
    content = unpack(gzip.compress(b"{" + b" " * 10**6), "gzip", 1000)
    assert (len(content.body), content.is_cut) == (1000, True)
    assert unpack(gzip.compress(b"{}"), "gzip", 1000) == Content(b"{}")


async def test_a_rejection_that_was_understood_counts_beside_one_that_was_not() -> None:
    alarms = Alarms()
    answer = reply_json({"rejected": [rejection("01E00002"), rejection("other")]})
    outcomes = await outcomes_of(answer, alarms=alarms)
    assert [outcome.verdict for outcome in outcomes] == [
        Verdict.ACCEPTED,
        Verdict.REJECTED,
        Verdict.ACCEPTED,
    ]
    assert alarms.codes == ["STR-306"]


@pytest.mark.parametrize(
    "body",
    [b"", b"OK", b"<html>welcome</html>", b'{"status":"ok"}', b'{"rejected":[]}', b"x" * 2**21],
    ids=["empty", "text", "HTML", "JSON", "nothing rejected", "long"],
)
async def test_any_other_body_of_an_accepting_answer_is_of_no_interest(body: bytes) -> None:
    alarms = Alarms()
    outcome = await outcome_of(reply(200, body), alarms=alarms)
    assert outcome.verdict is Verdict.ACCEPTED
    assert alarms.codes == []

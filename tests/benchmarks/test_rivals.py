"""The comparison with others holds what it says: same calls, fair ratios, nothing left out."""

from __future__ import annotations

import hmac
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from benchmarks.harness.load import HEAD_END, KEY, PATH, signed_requests
from benchmarks.harness.report import Figure
from benchmarks.rivals import comparison, receiver, rounds, running, table
from benchmarks.rivals.comparison import Found
from benchmarks.rivals.contestants import CONTESTANTS, Contestant, for_hookspool
from benchmarks.rivals.figures import HYPERCORN, UVICORN, figures
from benchmarks.rivals.rounds import CONNECTIONS, Round, Speed


def found(
    name: str = "rival", *, rates: float = 1_000, p99_ms: float = 10, syncs: float | None = 1.0
) -> Found:
    """Make up what was found of a contestant, the second of its two rounds twice as slow."""
    known = {one.name: one for one in CONTESTANTS}.get(name)
    contestant = known or Contestant(
        name=name, title=name.title(), about="made up", start=_never, stored=_nothing, listed=True,
        gives_up="everything",
    )  # fmt: skip
    made = [_round(rates, p99_ms), _round(rates / 2, p99_ms * 2)]
    return Found(contestant, made, {1: syncs, 16: 0.5}, answered=300, lost=0)


def _round(rate: float, p99_ms: float) -> Round:
    speeds = [
        Speed(
            connections=count, per_second=rate, p50_ms=1, p99_ms=p99_ms, cpu_microseconds=500,
            not_answered=0,
        )
        for count in CONNECTIONS
    ]  # fmt: skip
    return Round(speeds=speeds, resident_mib=50)


def _never(_: Path) -> AbstractContextManager[running.Running]:
    raise running.NotMeasured("there is none on this machine")


def _nothing(_: Path) -> set[str]:
    return set()


def header(request: bytes, name: str) -> str | None:
    """Return the value of a header of a request."""
    for line in request.partition(HEAD_END)[0].decode().split("\r\n"):
        if line.lower().startswith(f"{name.lower()}: "):
            return line.partition(": ")[2]
    return None


def verify(request: bytes, *, body: bytes | None = None) -> receiver.Received:
    """Let the receivers' common part look at a request, perhaps with another body."""
    sent = request.partition(HEAD_END)[2] if body is None else body
    return receiver.receive(
        header(request, receiver.TIMESTAMP), header(request, receiver.SIGNATURE), sent
    )


def test_a_receiver_takes_what_the_load_sends() -> None:
    (request,) = signed_requests(1)
    assert verify(request).event_id == rounds.event_id(request)


@pytest.mark.parametrize("body", [b"{}", b'{"event_id": "another"}'])
def test_a_receiver_refuses_what_was_not_signed(body: bytes) -> None:
    with pytest.raises(receiver.Refused) as refused:
        verify(signed_requests(1)[0], body=body)
    assert refused.value.status == 401


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no JSON", b"\xff"])
def test_a_receiver_refuses_what_is_no_event(body: bytes) -> None:
    signature = hmac.digest(KEY, b"v0:1:" + body, "sha256").hex()
    with pytest.raises(receiver.Refused) as refused:
        receiver.receive("1", signature, body)
    assert refused.value.status == 400


def test_hookspool_gets_the_same_event_with_a_signature_that_it_can_check() -> None:
    (request,) = signed_requests(1)
    adapted = for_hookspool(request)
    body = adapted.partition(HEAD_END)[2]
    assert adapted.startswith(b"POST /hooks/customerio HTTP/1.1\r\n")
    assert PATH.encode() not in adapted
    assert rounds.event_id(adapted) == rounds.event_id(request)
    assert header(adapted, running.BODY_SIGNATURE) == hmac.digest(KEY, body, "sha256").hex()
    assert header(adapted, "Content-Length") == str(len(body))


def test_requests_that_were_not_sent_in_time_are_left_for_the_next_load() -> None:
    requests = iter([b"1", b"2", b"3"])
    assert list(rounds.until(requests, -1)) == []
    assert list(rounds.until(requests, 60)) == [b"1", b"2", b"3"]


def test_connections_share_one_supply_of_requests() -> None:
    requests = iter([b"1", b"2", b"3"])
    one, other = iter(rounds.Shared(requests)), iter(rounds.Shared(requests))
    assert [next(one), next(other), next(one)] == [b"1", b"2", b"3"]


def test_syncs_are_added_up_from_the_tracer_s_summary() -> None:
    report = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 98.00    0.123456         410       301           fdatasync
  2.00    0.002000         500         4         1 fsync
------ ----------- ----------- --------- --------- ----------------
100.00    0.125456         411       305         1 total
"""
    assert rounds.syncs_in(report) == 305
    assert rounds.syncs_in("") == 0


def test_a_reason_is_one_line_that_tells_what_happened() -> None:
    traceback = "the server is not up:\nTraceback (most recent call last):\n  x\nKeyError: 'y'\n"
    assert running.reason(traceback) == "KeyError: 'y'"
    assert running.reason("\x1b[31mno such setting\x1b[0m\n  known: a\n") == (
        "no such setting known: a"
    )
    assert running.reason("") == "it said nothing"


def test_ratios_are_taken_within_a_round() -> None:
    fast, slow = found(rates=3_000, p99_ms=5), found(rates=1_000, p99_ms=10)
    assert comparison.ahead(fast, slow, comparison.per_second, 16) == 3
    assert comparison.ahead(fast, slow, comparison.promptness, 16) == 2


def test_the_hardest_rival_decides() -> None:
    ours = found(HYPERCORN, rates=2_000, p99_ms=20)
    rivals = [found("a", rates=1_000, p99_ms=60), found("b", rates=1_600, p99_ms=100)]
    by_name = {one.name: one for one in figures([ours, *rivals])}
    told = by_name["streamer on Hypercorn, 64 conn.: throughput over the best rival"]
    assert (told.value, told.note, told.verdict) == (1.25, "B", "met")
    told = by_name["streamer on Hypercorn, 64 conn.: p99 over the best rival"]
    assert (told.value, told.note, told.verdict) == (3, "A", "met")


def test_what_is_asked_for_has_a_bound_and_stands_first() -> None:
    told = figures([found(HYPERCORN), found(UVICORN), found("a", rates=2_000)])
    bounded = [one for one in told if one.bound]
    assert told[: len(bounded)] == bounded
    assert {_about(one) for one in bounded} == {
        ("streamer on Hypercorn, 16 conn.", "throughput over the best rival"),
        ("streamer on Hypercorn, 64 conn.", "throughput over the best rival"),
        ("streamer on Hypercorn, 16 conn.", "p99 over the best rival"),
        ("streamer on Hypercorn, 64 conn.", "p99 over the best rival"),
        ("streamer on Hypercorn", "answered and lost by kill -9"),
        ("streamer on uvicorn, 1 conn.", "throughput over the best rival"),
        ("streamer on uvicorn, 1 conn.", "p99 over the best rival"),
        ("streamer on uvicorn", "answered and lost by kill -9"),
    }
    assert next(one for one in told if "throughput" in one.name).verdict == "MISSED"


def _about(figure: Figure) -> tuple[str, str]:
    who, _, what = figure.name.partition(": ")
    return who, what


def test_a_rival_whose_answers_no_sync_precedes_is_not_called_durable() -> None:
    assert found(syncs=1.0).durable
    assert found(syncs=None).durable
    assert not found(syncs=0.02).durable
    lax = found("lax", rates=9_000, syncs=0.02)
    told = figures([found(HYPERCORN), lax])
    assert [one.value for one in told if "over the best rival" in one.name] == [None] * 6


def test_who_cannot_be_started_is_told_with_the_reason(tmp_path: Path) -> None:
    rival = found().contestant
    size = comparison.Size(rounds=2, load_seconds=0, kills=1, answers_before_kill=1)
    (one,) = comparison.compare([rival], tmp_path, size)
    details = comparison.details([one], None, "")
    assert one.not_measured == "there is none on this machine"
    assert "Not measured: there is none on this machine" in table.markdown(details)


def test_a_server_is_measured_killed_and_looked_into(tmp_path: Path) -> None:
    """The one rival whose packages development has, through everything, for a moment."""
    (rival,) = (one for one in CONTESTANTS if one.name == "quart-sqlite")
    size = comparison.Size(rounds=1, load_seconds=0.1, kills=1, answers_before_kill=50)
    (one,) = comparison.compare([rival], tmp_path, size)
    assert one.not_measured == ""
    assert [speed.connections for speed in one.rounds[0].speeds] == list(CONNECTIONS)
    assert all(speed.per_second > 0 for speed in one.rounds[0].speeds)
    assert one.rounds[0].resident_mib > 10
    assert one.answered is not None
    assert 50 <= one.answered < 50 + 2 * CONNECTIONS[1]  # and then it was dead
    assert one.lost == 0
    assert one.durable


def test_streamer_that_cannot_be_started_is_not_called_ahead() -> None:
    ours = Found(found(HYPERCORN).contestant, not_measured="it is refused")
    told = figures([ours, found("a")])
    assert {one.verdict for one in told} == {"not measured"}
    assert {one.note for one in told} == {"it is refused"}


def test_the_table_tells_speed_worth_and_price() -> None:
    ours, rival = found(HYPERCORN), found("a", rates=4_000, p99_ms=9)
    rival.lost = 7
    lines = table.markdown(comparison.details([ours, rival], ours, "Elsewhere.")).splitlines()
    row = next(line for line in lines if line.startswith("| A |"))
    assert row == (
        "| A | yes | 3,000 (1.0, 13.5) | 3,000 (1.0, 13.5) | 3,000 (1.0, 13.5)"
        " | 500 | 1.00, 0.50 | 50 | 7 of 300 |"
    )
    words = next(line for line in lines if line.startswith("- **A**"))
    assert "Ahead of streamer on Hypercorn in throughput over 1 conn. 4.0 x" in words
    assert "Gives up everything." in words
    assert lines[-1] == "Elsewhere."


def test_every_contestant_beside_streamer_says_what_it_gives_up() -> None:
    silent = {one.name for one in CONTESTANTS if not one.gives_up}
    assert silent == {HYPERCORN, UVICORN}
    assert len({one.name for one in CONTESTANTS}) == len(CONTESTANTS)

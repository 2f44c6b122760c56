"""The receiver of the benchmarks counts what it is sent, however it arrives."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.receiver import Intake, Seen, _Connection

HEAD = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


class Transport:
    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def sent(intake: Intake, data: bytes, *, piece_bytes: int) -> bytes:
    """Let a connection receive some bytes in pieces; return what it answers."""
    transport, connection = Transport(), _Connection(intake)
    connection.connection_made(transport)  # type: ignore[arg-type]  # all that it uses of one
    for at in range(0, len(data), piece_bytes):
        connection.data_received(data[at : at + piece_bytes])
    return transport.written


def request(body: bytes) -> bytes:
    return HEAD % len(body) + body


def events(*said: tuple[str, int]) -> bytes:
    return msgspec.json.encode(
        [{"specversion": "1.0", "subject": person, "sequence": f"{at:020d}"} for person, at in said]
    )


@pytest.mark.parametrize("piece_bytes", [1, 7, 64, 10_000])
def test_a_request_is_counted_once_however_it_is_split(piece_bytes: int) -> None:
    intake = Intake("empty", 0)
    body = events(("a", 1), ("b", 2))
    answer = sent(intake, request(body), piece_bytes=piece_bytes)
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert intake.seen == Seen(requests=1, events=2, body_bytes=len(body))


def test_an_inlet_answers_for_each_message() -> None:
    intake = Intake("inlet", 0)
    body = b'{"messages":[{"header":{},"body":{}},{"header":{},"body":{}}]}'
    answer = sent(intake, request(body), piece_bytes=1_000)
    told = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])
    assert len({entry["xactionId"] for entry in told["responses"]}) == 2


def test_an_event_behind_a_later_one_of_its_person_is_noticed() -> None:
    intake = Intake("order", 0)
    for body in (events(("a", 1), ("b", 5)), events(("a", 2), ("b", 4))):
        sent(intake, request(body), piece_bytes=1_000)
    assert intake.seen.out_of_order == 1


def test_what_was_seen_can_be_asked_for_and_counts_for_nothing() -> None:
    intake = Intake("empty", 0)
    answer = sent(intake, b"GET /seen HTTP/1.1\r\n\r\n", piece_bytes=1_000)
    assert msgspec.json.decode(answer.partition(b"\r\n\r\n")[2], type=Seen) == Seen()

"""Reading a body: however it is cut, it is the same body, and memory is counted to the byte."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.limits import TRUNCATED_COPY_BYTES
from streamer.ingest.request import (
    Body,
    BodyReader,
    Budget,
    Disconnected,
    Overloaded,
    read_headers,
)

Message = dict[str, Any]


class Fed:
    """Receives what it was given, then the sender is gone."""

    def __init__(self, pieces: list[bytes], *, complete: bool = True) -> None:
        last = len(pieces) - 1
        self._messages: list[Message] = [
            {"type": "http.request", "body": piece, "more_body": not complete or number < last}
            for number, piece in enumerate(pieces)
        ]

    async def __call__(self) -> Message:
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}


def read(pieces: list[bytes], budget: Budget, *, bytes_max: int, complete: bool = True) -> Body:
    """Read a whole body, and return the digest that the signature would see in ``kept``'s place."""
    running = hashlib.sha256()
    reader = BodyReader(Fed(pieces, complete=complete), budget, running, bytes_max=bytes_max)
    try:
        body = asyncio.run(reader.read())
    finally:
        reader.close()
        assert budget._bytes == 0
    assert running.digest() == hashlib.sha256(b"".join(pieces)).digest()
    return body


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=12), st.integers(1, 300))
def test_however_a_body_is_cut_it_is_the_same(pieces: list[bytes], bytes_max: int) -> None:
    whole = b"".join(pieces)
    body = read(pieces, Budget(1_000), bytes_max=bytes_max)
    assert body.length == len(whole)
    if len(whole) <= bytes_max:
        assert (body.kept, body.sha256) == (whole, None)
    else:
        assert whole.startswith(body.kept)
        assert len(body.kept) > bytes_max
        assert body.sha256 == hashlib.sha256(whole).digest()


def test_of_a_large_body_only_the_beginning_is_held() -> None:
    pieces = [b"x" * 40_000] * 5
    budget = Budget(1_000_000)
    reader = BodyReader(Fed(pieces), budget, None, bytes_max=100_000)
    body = asyncio.run(reader.read())
    assert budget._bytes == len(body.kept) == TRUNCATED_COPY_BYTES
    reader.close()
    assert budget._bytes == 0


def test_a_sender_that_goes_is_noticed() -> None:
    with pytest.raises(Disconnected):
        read([b"half"], Budget(100), bytes_max=100, complete=False)


def test_memory_can_be_taken_to_the_last_byte() -> None:
    budget = Budget(10)
    budget.take(8)
    budget.take(2)
    with pytest.raises(Overloaded):
        budget.take(1)


def test_memory_that_is_not_there_is_not_taken() -> None:
    budget = Budget(10)
    budget.take(8)
    reader = BodyReader(Fed([b"xxx"]), budget, None, bytes_max=100)
    with pytest.raises(Overloaded):
        asyncio.run(reader.read())
    reader.close()
    assert budget._bytes == 8


@pytest.mark.parametrize(
    ("version", "headers", "status"),
    [
        ("1.1", [], None),
        ("1.0", [], None),
        ("2", [], 400),
        ("2.0", [], 400),
        ("1.1", [(b"content-length", b"1"), (b"content-length", b"1")], 400),
        ("1.1", [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")], 400),
        ("1.1", [(b"expect", b"100-continue")], 417),
        ("1.1", [(b"x", b"y" * 16_380)], 431),
        ("1.1", [(b"x", b"y" * 16_379)], None),
    ],
)
def test_a_head_that_is_refused(
    version: str, headers: list[tuple[bytes, bytes]], status: int | None
) -> None:
    refusal = read_headers(headers, version).refusal
    assert (None if refusal is None else refusal.status) == status


def test_memory_that_is_not_there_for_a_beginning_is_not_given_back_either() -> None:
    """A giant that comes when memory is short must not leave more of it than there was."""
    budget = Budget(200_000)
    budget.take(190_000)
    reader = BodyReader(Fed([b"x" * 70_000]), budget, None, bytes_max=65_000)
    with pytest.raises(Overloaded):
        asyncio.run(reader.read())
    reader.close()
    assert budget._bytes == 190_000

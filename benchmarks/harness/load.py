"""The load: signed requests as Customer.io writes them, and a client that sends them cheaply.

The requests are made beforehand, so that nothing but the network is measured. The client is a
closed loop: each connection sends its next request when the last was answered, which is what a
serial sender does, many times over. It reads no more of an answer than it has to: status, length,
and whether the connection goes on. An answer that is not HTTP/1.1 is an error of the benchmark; a
status other than 200 is counted, and whoever measures has to ask (`Load.must_be`).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn, Self, cast

import msgspec
import uvloop

from streamer.core.samples import sample_event
from streamer.core.signature import sign

KEY = b"a-signing-key-of-the-benchmarks"
PATH = "/webhooks/customerio"
SAMPLE = "email.delivered"

HEAD_END = b"\r\n\r\n"
_PREFIX = b"HTTP/1.1 "
_LENGTH = b"content-length:"
_NO_BODY = {204, 304}


def signed_requests(
    count: int,
    *,
    first: int = 0,
    body_bytes: int | None = None,
    path: str = PATH,
    key: bytes = KEY,
) -> list[bytes]:
    """Make whole requests of ``count`` events with the numbers from ``first`` on.

    An event id is made of its number and the second: what is sent to one database needs ranges of
    numbers that do not overlap. ``body_bytes`` pads each body to that size; without it a body has
    about 490 bytes.

    Raises:
        ValueError: a body is longer than ``body_bytes`` already.
    """
    at_seconds = int(time.time())
    numbers = range(first, first + count)
    bodies = (make_body(number, at_seconds, body_bytes) for number in numbers)
    return [signed_request(body, at_seconds, path=path, key=key) for body in bodies]


def make_body(number: int, at_seconds: int, body_bytes: int | None = None) -> bytes:
    """Make the body of one event, padded in its subject if a size is asked for."""
    event = sample_event(SAMPLE, number=number, at_seconds=at_seconds)
    body = msgspec.json.encode(event)
    if body_bytes is None:
        return body
    missing = body_bytes - len(body)
    if missing < 0:
        raise ValueError(
            f"a body has {len(body)} bytes without padding, which is over {body_bytes}"
        )
    data = event["data"]
    assert isinstance(data, dict)
    data["subject"] += "." * missing
    return msgspec.json.encode(event)


def signed_request(body: bytes, at_seconds: int, *, path: str = PATH, key: bytes = KEY) -> bytes:
    """Make one request, its signature included."""
    at = str(at_seconds)
    lines = (
        f"POST {path} HTTP/1.1", "Host: localhost", "Accept-Encoding: gzip",
        "User-Agent: Customer.io Web Hooks 1.0", "Content-Type: application/json",
        f"X-CIO-Timestamp: {at}", f"X-CIO-Signature: {sign(key, at, body)}",
        f"Content-Length: {len(body)}",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + HEAD_END + body


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that ``share`` percent of all do not exceed."""
    if not values:
        raise ValueError("there is no percentile of nothing")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)]


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What became of some requests."""

    seconds: float
    """From the first request to the last answer."""
    latencies_ms: list[float]
    """Of each answered request, in the order of the answers."""
    statuses: dict[int, int]
    """How many answers had which status; 0: the connection ended without an answer."""

    @property
    def per_second(self) -> float:
        """Requests that were answered with 200, per second."""
        return self.statuses.get(200, 0) / self.seconds

    def percentile(self, share: float) -> float:
        """Return a percentile of the latencies, in ms."""
        return percentile(self.latencies_ms, share)

    def must_be(self, status: int = 200) -> Self:
        """Return the load itself if every answer had this status.

        Raises:
            RuntimeError: some had not; what was measured means nothing then.
        """
        if set(self.statuses) != {status}:
            raise RuntimeError(f"expected nothing but {status}, got {self.statuses}")
        return self


class Answer:
    """Cuts what arrives on a connection into answers, however it is split."""

    __slots__ = ("_buffer", "closes", "status")

    def __init__(self) -> None:
        self._buffer = b""
        self.status = 0
        self.closes = False
        """Whether the server ends the connection behind this answer."""

    def take(self, data: bytes) -> bool:
        """Add what arrived; say whether the answer is whole.

        Raises:
            RuntimeError: it is no answer that a closed loop can get.
        """
        if self._buffer:
            data = self._buffer + data
        end = data.find(HEAD_END)
        if end < 0:
            self._buffer = data
            return False
        head = data[:end].lower()
        missing = end + len(HEAD_END) + self._read(data, head) - len(data)
        if missing > 0:
            self._buffer = data
            return False
        if missing < 0:
            _fail("more than one answer to one request", data)
        self._buffer = b""
        return True

    def _read(self, data: bytes, head: bytes) -> int:
        """Read the head; return the number of bytes behind it."""
        status = head[len(_PREFIX) : len(_PREFIX) + 3]
        if not data.startswith(_PREFIX) or not status.isdigit():
            _fail("not HTTP/1.1", data)
        self.status = int(status)
        self.closes = b"\r\nconnection: close" in head
        if self.status in _NO_BODY:
            return 0
        at = head.find(_LENGTH)
        if at < 0:
            _fail("an answer without its length", data)
        return int(head[at + len(_LENGTH) :].partition(b"\r")[0])


def _fail(what: str, data: bytes) -> NoReturn:
    raise RuntimeError(f"{what}: {data[:200]!r}")


class _Run:
    """All connections' share in one load."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self.requests: Iterator[bytes] = iter(requests)
        self.latencies_ms: list[float] = []
        self.statuses: dict[int, int] = {}

    def count(self, status: int) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1


class _Connection(asyncio.Protocol):
    """One connection: sends, waits for the answer, sends the next."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._answer = Answer()
        self._sent_at: float | None = None
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Set when this connection sends no more: whether another one should go on, or an error."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def send_next(self) -> None:
        """Send another request, or end if there is none."""
        assert self._transport is not None
        request = next(self._run.requests, None)
        if request is None:
            self._end(go_on=False)
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        try:
            if self._sent_at is None:
                _fail("an answer to no request", data)
            if not self._answer.take(data):
                return
        except RuntimeError as error:
            if not self.done.done():
                self.done.set_exception(error)
            return
        self._run.latencies_ms.append((time.perf_counter() - self._sent_at) * 1000)
        self._run.count(self._answer.status)
        self._sent_at = None
        if self._answer.closes:
            self._end(go_on=True)
        else:
            self.send_next()

    def connection_lost(self, _: Exception | None) -> None:
        if self._sent_at is not None:
            self._run.count(0)
        self._end(go_on=True)

    def _end(self, *, go_on: bool) -> None:
        if not self.done.done():
            self.done.set_result(go_on)
        self.close()

    def close(self) -> None:
        """Close it; this may be done twice."""
        if self._transport is not None:
            self._transport.close()


async def send_async(port: int, requests: Sequence[bytes], *, connections: int) -> Load:
    """Send every request once over so many connections to a port of this machine.

    A connection that the server ends is opened anew for the requests that are left.

    Raises:
        OSError: nobody listens there, or nobody does any more.
        RuntimeError: an answer cannot be read.
    """
    loop = asyncio.get_running_loop()
    run = _Run(requests)

    async def connect() -> _Connection:
        _, made = await loop.create_connection(lambda: _Connection(run), "127.0.0.1", port)
        return made

    async def keep_sending(connection: _Connection) -> None:
        try:
            connection.send_next()
            while await connection.done:
                connection = await connect()
                connection.send_next()
        finally:
            connection.close()

    opened = await asyncio.gather(*(connect() for _ in range(connections)))
    begun = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as sending:
            for connection in opened:
                sending.create_task(keep_sending(connection))
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    seconds = time.perf_counter() - begun
    return Load(seconds=seconds, latencies_ms=run.latencies_ms, statuses=run.statuses)


def send(port: int, requests: Sequence[bytes], *, connections: int) -> Load:
    """Do the same on an event loop of its own; see `send_async`."""
    return uvloop.run(send_async(port, requests, connections=connections))

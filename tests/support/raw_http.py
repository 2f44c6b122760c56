"""A sender that writes whatever bytes it is told to, and tells exactly what came back.

HTTP libraries refuse to send what an attacker sends, and hide what a sender
cares about: whether a connection was answered, closed or reset.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from streamer.core.signature import sign

KEY = "a-signing-key-of-the-tests"
SECONDS_MAX = 20.0
"""Nothing that a test waits for takes anywhere near this long."""

Header = tuple[str | bytes, str | bytes]
Address = tuple[str, int] | Path


class Answer(NamedTuple):
    """One answer as it came; the headers' names are in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for given, value in self.headers if given == name]

    def one(self, name: str) -> str | None:
        """Return the value of a header that may come once."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def closes(self) -> bool:
        """Tell whether the sender is asked to use another connection."""
        return self.one("connection") == "close"


def signature(
    body: bytes, *, key: str = KEY, timestamp: str | None = None
) -> list[tuple[str | bytes, str | bytes]]:
    """Make the two headers of a genuine call."""
    at = str(int(time.time())) if timestamp is None else timestamp
    return [("X-CIO-Timestamp", at), ("X-CIO-Signature", sign(key.encode(), at, body))]


def call(
    body: bytes,
    *,
    method: str = "POST",
    path: str = "/webhooks/customerio",
    headers: Iterable[Header] | None = None,
    further: Iterable[Header] = (),
) -> bytes:
    """Write a request with a length; signed unless ``headers`` are given."""
    chosen = signature(body) if headers is None else list(headers)
    return head([*chosen, *further, ("Content-Length", str(len(body)))], method, path) + body


def chunked_head(headers: Iterable[Header], path: str = "/webhooks/customerio") -> bytes:
    """Write the head of a request whose body comes in chunks."""
    return head([*headers, ("Transfer-Encoding", "chunked")], "POST", path)


def chunk(data: bytes) -> bytes:
    """Write one chunk; an empty one ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def head(
    headers: Iterable[Header], method: str = "POST", path: str = "/webhooks/customerio"
) -> bytes:
    """Write a request line and headers, with a Host."""
    lines = [b"%b %b HTTP/1.1" % (method.encode(), path.encode("latin-1")), b"Host: localhost"]
    lines += [_bytes(name) + b": " + _bytes(value) for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


class Sender:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def socket(self) -> socket.socket:
        """The connection itself."""
        found: socket.socket = self._writer.get_extra_info("socket")
        return found

    @property
    def transport(self) -> asyncio.WriteTransport:
        """What writes to it."""
        return self._writer.transport

    async def send(self, data: bytes) -> None:
        """Write, and wait until the kernel has taken it."""
        self._writer.write(data)
        async with asyncio.timeout(SECONDS_MAX):
            await self._writer.drain()

    async def answer(self, *, to_head: bool = False) -> Answer | None:
        """Read one final answer; None if the connection was closed instead. A reset raises."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                start = await self._reader.readline()
                if not start:
                    return None
                version, status, *_ = start.decode("latin-1").split(" ")
                assert version == "HTTP/1.1", start
                headers = [line async for line in self._header_lines()]
                if int(status) >= 200:
                    body = b"" if to_head else await self._body(headers)
                    return Answer(int(status), headers, body)

    async def ask(self, request: bytes) -> Answer:
        """Send a request and read its answer, of which there must be one."""
        await self.send(request)
        answer = await self.answer()
        assert answer is not None, "the connection was closed without an answer"
        return answer

    async def until(self, end: bytes) -> bytes:
        """Read up to these bytes."""
        async with asyncio.timeout(SECONDS_MAX):
            return await self._reader.readuntil(end)

    async def rest(self) -> bytes:
        """Read until the other side closes."""
        async with asyncio.timeout(SECONDS_MAX):
            return await self._reader.read()

    async def finish(self) -> None:
        """Say that nothing more will be written, and go on reading."""
        self._writer.write_eof()
        await self._writer.drain()

    def abort(self) -> None:
        """Vanish, with a reset."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _header_lines(self) -> AsyncIterator[tuple[str, str]]:
        while (line := await self._reader.readline()) != b"\r\n":
            assert line, "the answer broke off"
            name, _, value = line.decode("latin-1").partition(":")
            yield name.lower(), value.strip()

    async def _body(self, headers: Sequence[tuple[str, str]]) -> bytes:
        found = dict(headers)
        if found.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self._reader.readline(), 16):
                body += (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readline()
            return body
        return await self._reader.readexactly(int(found["content-length"]))


@asynccontextmanager
async def connect(address: Address) -> AsyncIterator[Sender]:
    """Open a connection to ``(host, port)`` or to the path of a Unix socket."""
    if isinstance(address, Path):
        reader, writer = await asyncio.open_unix_connection(address)
    else:
        reader, writer = await asyncio.open_connection(*address)
    sender = Sender(reader, writer)
    try:
        yield sender
    finally:
        await sender.close()


async def exchange(address: Address, request: bytes) -> Answer:
    """Ask once, on a connection of its own."""
    async with connect(address) as sender:
        return await sender.ask(request)

"""A real HTTP server on loopback that answers as it is told, well or badly.

The script is a list of behaviours, one per request; the last one stays. What
arrived is in `received`. It speaks just enough HTTP/1.1 by hand to be able to
break it in every place.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

SECONDS_BETWEEN_BYTES = 0.02
"""Of `trickle`: far less than any time limit that a test sets."""


class Received(NamedTuple):
    """One request as it arrived; the headers' names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        """The CloudEvents of the request, whether it carried one or an array."""
        document = json.loads(self.body)
        return document if isinstance(document, list) else [document]


Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


class ScriptedServer:
    """Answers each request by the next behaviour of its script."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.script: list[Behaviour] = [reply(200)]
        self.reset_on_connect = False
        self.connections = 0
        self.url = ""
        self._handlers: set[asyncio.Task[None]] = set()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every CloudEvent that arrived, in order, repeats included."""
        return [event for request in self.received for event in request.events]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; broken ones are what this server is for."""
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.connections += 1
        try:
            if self.reset_on_connect:
                reset(writer)
            while not writer.is_closing():
                self.received.append(await _read_request(reader))
                behaviour = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                await behaviour(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError, ssl.SSLError):
            pass
        finally:
            self._handlers.discard(task)
            writer.transport.abort()

    async def stop_handlers(self) -> None:
        """End connections that are still being served, such as those that hang."""
        handlers = list(self._handlers)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


@contextlib.asynccontextmanager
async def scripted_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """Run a server for the length of the block; its URL says localhost."""
    scripted = ScriptedServer()
    server = await asyncio.start_server(scripted.handle, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    scripted.url = f"{'https' if tls else 'http'}://localhost:{port}/events"
    try:
        yield scripted
    finally:
        server.close()
        await scripted.stop_handlers()
        await server.wait_closed()


def reply(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer properly. Underscores in a header's name stand for hyphens."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw(_head(status, *lines, f"Content-Length: {len(body)}") + body)


def reply_json(document: object) -> Behaviour:
    """Answer 200 with a JSON body."""
    return reply(200, json.dumps(document).encode(), Content_Type="application/json")


def raw(answer: bytes) -> Behaviour:
    """Write these bytes and keep the connection."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return write


def then_close(answer: bytes) -> Behaviour:
    """Write these bytes and close the connection."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    return write


def then_reset(answer: bytes) -> Behaviour:
    """Write these bytes and reset the connection."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        reset(writer)

    return write


async def hang(writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def trickle(writer: asyncio.StreamWriter) -> None:
    """Answer without end, a byte at a time and often enough that no wait for a byte is long."""
    writer.write(_head(200, "Content-Length: 1000000"))
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(SECONDS_BETWEEN_BYTES)


def calling(function: Callable[[], object], behaviour: Behaviour) -> Behaviour:
    """Call a function when the request has arrived, then go on with another behaviour."""

    async def call(writer: asyncio.StreamWriter) -> None:
        function()
        await behaviour(writer)

    return call


def reset(writer: asyncio.StreamWriter) -> None:
    """Close the connection with a reset, and not with a farewell."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def closed_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def _head(status: int, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Scripted", *lines, "", ""]).encode()


async def _read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    fields = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, path, headers, body)

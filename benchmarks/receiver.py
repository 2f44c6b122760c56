"""A receiver that costs next to nothing: what it takes is counted, and little else is done.

Run as a process of its own by `receiver`, so that its processor time is not that of what sends. It
speaks the HTTP/1.1 that our client writes (a length in the header, no chunks), and answers in one
of three ways: ``empty`` with 204; ``inlet`` as Adobe's batch endpoint does, with an entry for each
message; ``order`` with 204 after a look at each event, whether its person's last one was earlier.
``GET /seen`` tells what has come.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import msgspec
import uvloop

from benchmarks.harness.server import MODULE_PATH, Server, free_port, start

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_MESSAGE = b'{"header":'
_EVENT = b'"specversion":'
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Seen(msgspec.Struct):
    """What a receiver has got so far."""

    requests: int = 0
    events: int = 0
    body_bytes: int = 0
    out_of_order: int = 0
    """Events that came after a later one of the same person."""


class _Event(msgspec.Struct):
    sequence: str
    subject: str = ""


class Intake:
    """What all connections of a receiver have in common."""

    def __init__(self, answers: str, delay_seconds: float) -> None:
        self.seen = Seen()
        self.delay_seconds = delay_seconds
        self._answers = answers
        self._latest: dict[str, str] = {}
        self._decode = msgspec.json.Decoder(list[_Event]).decode

    def take(self, head: bytes, body: bytes) -> bytes:
        """Count a request; return the whole answer to it."""
        if head.startswith(b"GET /seen"):
            return _with_body(b"200 OK", msgspec.json.encode(self.seen))
        self.seen.requests += 1
        self.seen.body_bytes += len(body)
        events = body.count(_MESSAGE if self._answers == "inlet" else _EVENT)
        self.seen.events += events
        if self._answers == "inlet":
            return _with_body(b"207 Multi-Status", self._entries(events))
        if self._answers == "order":
            self._look_at_order(body)
        return _NO_CONTENT

    def _entries(self, messages: int) -> bytes:
        number = self.seen.requests
        ids = (f'{{"xactionId":"1795488816754:{number}:153-{at}"}}' for at in range(messages))
        return f'{{"batchId":"{number}","responses":[{",".join(ids)}]}}'.encode()

    def _look_at_order(self, body: bytes) -> None:
        for event in self._decode(body):
            if not event.subject:
                continue  # nobody's event has no order
            if event.sequence <= self._latest.get(event.subject, ""):
                self.seen.out_of_order += 1
            self._latest[event.subject] = event.sequence


def _with_body(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


class _Connection(asyncio.Protocol):
    """One connection: requests come one after the other, each in as many pieces as it likes."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._pieces: list[bytes] = []
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return
        whole = b"".join(self._pieces)
        self._pieces = [whole]
        head, found, body = whole.partition(_HEAD_END)
        if not found:
            self._missing = 0
            return
        length = _length_in(head.lower())
        self._missing = length - len(body)
        if self._missing <= 0:
            self._pieces, self._missing = [], 0
            self._answer(self._intake.take(head, body))

    def _answer(self, answer: bytes) -> None:
        write = self._transport.write  # type: ignore[attr-defined]  # uvloop's is no subclass
        if self._intake.delay_seconds:
            asyncio.get_running_loop().call_later(self._intake.delay_seconds, write, answer)
        else:
            write(answer)


def _length_in(head: bytes) -> int:
    at = head.find(_LENGTH)
    return 0 if at < 0 else int(head[at + len(_LENGTH) :].partition(b"\r")[0])


@contextmanager
def receiver(
    directory: Path, answers: str, *, delay_ms: int = 0, core: int | None = None
) -> Iterator[Server]:
    """Run a receiver for as long as the block lasts."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.receiver", "--port", str(port)]
    command += ["--answers", answers, "--delay-ms", str(delay_ms)]
    with start(command, cwd=directory, env=MODULE_PATH, core=core, wait_for_port=port) as server:
        yield server


def seen_by(server: Server) -> Seen:
    """Ask a receiver what it has got."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", "/seen")
        return msgspec.json.decode(connection.getresponse().read(), type=Seen)
    finally:
        connection.close()


async def serve(port: int, intake: Intake) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(intake), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Listen on a port of this machine and serve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answers", choices=["empty", "inlet", "order"], default="empty")
    parser.add_argument("--delay-ms", type=int, default=0)
    options = parser.parse_args()
    uvloop.run(serve(options.port, Intake(options.answers, options.delay_ms / 1000)))


if __name__ == "__main__":
    main()

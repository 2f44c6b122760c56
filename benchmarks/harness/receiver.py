"""A receiver of deliveries that does next to nothing: it reads each request and answers 200.

Run as a process of its own by `receiver`, so that what it costs is neither the service's nor the
load's. It keeps nothing: what was delivered is known from the service's own status.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.harness.load import HEAD_END
from benchmarks.harness.server import MODULE_PATH, Server, free_port, start

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
LENGTH = b"content-length:"


class _Connection(asyncio.Protocol):
    """One connection; every request says how long its body is."""

    def __init__(self) -> None:
        self._head = b""
        self._missing = 0
        """Bytes of the body that are still to come; none: a head is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        while data:
            if self._missing:
                taken = min(self._missing, len(data))
                self._missing, data = self._missing - taken, data[taken:]
            else:
                head, found, data = (self._head + data).partition(HEAD_END)
                if not found:
                    self._head = head
                    return
                self._head, self._missing = b"", body_bytes(head)
            if not self._missing:
                self._transport.write(ANSWER)


def body_bytes(head: bytes) -> int:
    """Return the length of the body that a request's head announces."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(LENGTH):
            return int(line.removeprefix(LENGTH))
    return 0


async def serve(port: int) -> None:
    """Receive until the process is ended."""
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port)
    await server.serve_forever()


@contextmanager
def receiver(core: int | None = None) -> Iterator[Server]:
    """Run the receiver in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.harness.receiver", "--port", str(port)]
    with (
        tempfile.TemporaryDirectory() as directory,
        start(
            command, cwd=Path(directory), env=MODULE_PATH, core=core, wait_for_port=port
        ) as running,
    ):
        yield running


def main() -> None:
    """Receive on a port of this machine."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()

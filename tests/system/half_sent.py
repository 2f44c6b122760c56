"""A call that is sent by halves, with whatever happens to the service in between."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.processes import KEY, Installation
from tests.support.raw_http import call, signature

REST_BYTES = 20
"""What is held back of the body."""


@contextmanager
def half_sent(installation: Installation, body: bytes) -> Iterator[Callable[[], None]]:
    """Send a genuine call but for its end; what is yielded sends that and expects the answer."""
    request = call(body, headers=signature(body, key=KEY.decode()))
    with socket.create_connection(("127.0.0.1", installation.port), 10) as connection:
        connection.sendall(request[:-REST_BYTES])

        def finish() -> None:
            connection.sendall(request[-REST_BYTES:])
            answer = connection.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            assert b"connection: close" in answer.lower()
            assert connection.recv(1000) == b"", "it is closed in order"

        yield finish

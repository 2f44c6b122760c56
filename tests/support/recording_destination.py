"""A real HTTP server that writes down every batch of CloudEvents in the order of arrival.

What it wrote down stays in the memory of the test, which no kill reaches. Its answers can be
scripted by the number of the request.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self


class Delivery(NamedTuple):
    """One request as it arrived, and how it was answered."""

    status: int
    events: list[dict[str, Any]]
    headers: dict[str, str]


Answer = tuple[int, bytes]


def always(status: int, body: bytes = b"") -> Callable[[int, bytes], Answer]:
    """Answer every request alike."""
    return lambda number, request: (status, body)


class RecordingDestination:
    """Listens on loopback for the length of a ``with`` block."""

    def __init__(self, answer: Callable[[int, bytes], Answer] | None = None) -> None:
        """Let ``answer`` say status and body from the request's number, from 0, and its body."""
        self.answer = answer or always(200)
        self.deliveries: list[Delivery] = []
        self._lock = threading.Lock()
        handler = type("_Bound", (_Handler,), {"recorder": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/events"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def record(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Write a request down and say how to answer it."""
        document = json.loads(body)
        events = document if isinstance(document, list) else [document]
        with self._lock:
            status, answer = self.answer(len(self.deliveries), body)
            self.deliveries.append(Delivery(status, events, headers))
        return status, answer

    def positions(self, *, accepted_only: bool) -> list[int]:
        """Return the positions of events in the order of arrival, repeats included."""
        return [
            int(event["sequence"])
            for delivery in list(self.deliveries)
            if not accepted_only or 200 <= delivery.status < 300
            for event in delivery.events
        ]

    def first_positions(self, *, accepted_only: bool) -> list[int]:
        """Return each event's position once, in the order in which it first arrived."""
        return list(dict.fromkeys(self.positions(accepted_only=accepted_only)))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a killed process leaves broken connections behind."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    recorder: ClassVar[RecordingDestination]

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            return  # the process died while it was sending: nothing arrived
        status, answer = self.recorder.record(body, dict(self.headers))
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

"""A sender that keeps Customer.io's documented rules: one call at a time, failures have a price.

The rules are those of `sender_rules`, and errors of the connection (refused, reset, ended
without an answer) earn an hour of waiting too. Later calls wait until the one that fails has
succeeded. The waits are scaled down: an hour is counted, with its reason, and not waited for.

What is acknowledged is written down with its moment, so that a test can say what had been
promised when a process died. By hand: ``python -m tests.support.serial_sender --help``.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from streamer.core.signature import sign
from tests.support.sender_rules import TIMEOUT_SECONDS, earns_hour, succeeded
from tests.support.traffic import Call, plan

HOUR_SECONDS_SCALED = 0.02
BACKOFF_SECONDS_SCALED = (0.02, 0.04, 0.08, 0.16)
"""Waits after the first, second, … ordinary failure of a call in a row."""

STAGES = ("before", "half sent", "sent", "answered")
"""The moments of a call at which `SerialSender.on_stage` is called."""


class Acknowledged(NamedTuple):
    """A call that was answered 2xx."""

    number: int
    at: float
    """Monotonic seconds."""
    tries: int


class Failure(NamedTuple):
    """A try that was not answered 2xx."""

    number: int
    reason: str
    earns_hour: bool
    connected_at: float
    """When the connection was made that failed; like ``at`` in monotonic seconds."""
    at: float


class SerialSender:
    """Makes one call after the other to one webhook URL."""

    def __init__(
        self, url: str, key: bytes, *, on_stage: Callable[[str, int], None] | None = None
    ) -> None:
        """Sign with ``key``; tell ``on_stage`` how far the try of a call's number has come."""
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), parts.port or 80
        self._path = parts.path
        self._key = key
        self._on_stage = on_stage or (lambda stage, number: None)
        self.acknowledged: list[Acknowledged] = []
        self.failures: list[Failure] = []
        self._connection: socket.socket | None = None
        self._connected_at = 0.0

    @property
    def hours_earned(self) -> list[Failure]:
        """The failures that would have cost an hour each."""
        return [failure for failure in self.failures if failure.earns_hour]

    def send(self, number: int, body: bytes) -> None:
        """Repeat a call until it is acknowledged; everything behind it waits meanwhile."""
        tries = 0
        while True:
            reason, costs_hour = self._try(number, body)
            tries += 1
            at = time.monotonic()
            if reason is None:
                self.acknowledged.append(Acknowledged(number, at, tries))
                return
            self.failures.append(Failure(number, reason, costs_hour, self._connected_at, at))
            last = len(BACKOFF_SECONDS_SCALED) - 1
            backoff = BACKOFF_SECONDS_SCALED[min(tries - 1, last)]
            time.sleep(HOUR_SECONDS_SCALED if costs_hour else backoff)

    def once(self, body: bytes, *, key: bytes | None = None) -> str | None:
        """Make one call beside the order and repeat nothing; None when it was acknowledged.

        ``key`` is for calls that are signed wrongly on purpose.
        """
        reason, _ = self._try(-1, body, key)
        return reason

    def connect(self) -> None:
        """Connect without a call, which then finds the connection there."""
        self._connect(time.monotonic() + TIMEOUT_SECONDS)

    def close(self) -> None:
        """Close the kept connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try(self, number: int, body: bytes, key: bytes | None = None) -> tuple[str | None, bool]:
        """Make one call; return why it failed, and whether that earns an hour."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        try:
            self._on_stage("before", number)
            status = self._call(number, self._request(body, key or self._key), deadline)
        except TimeoutError:
            self.close()
            return "timeout", False
        except OSError as error:
            self.close()
            return f"{type(error).__name__}: {error.strerror or error}", True
        self._on_stage("answered", number)
        if succeeded(status):
            return None, False
        return f"status {status}", earns_hour(status)

    def _request(self, body: bytes, key: bytes) -> bytes:
        timestamp = str(int(time.time()))
        lines = [
            f"POST {self._path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "User-Agent: Customer.io Web Hooks 1.0",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"X-CIO-Timestamp: {timestamp}",
            f"X-CIO-Signature: {sign(key, timestamp, body)}",
            "Accept-Encoding: gzip",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def _call(self, number: int, request: bytes, deadline: float) -> int:
        connection = self._connect(deadline)
        half = len(request) // 2
        self._write(connection, request[:half], deadline)
        self._on_stage("half sent", number)
        self._write(connection, request[half:], deadline)
        self._on_stage("sent", number)
        return self._read_answer(connection, deadline)

    def _connect(self, deadline: float) -> socket.socket:
        """Return the kept connection unless the other side has ended it; else a new one."""
        if self._connection is not None and select.select([self._connection], [], [], 0)[0]:
            self.close()
        if self._connection is None:
            self._connected_at = time.monotonic()
            address = (self.host, self.port)
            self._connection = socket.create_connection(address, _left(deadline))
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._connection

    def _write(self, connection: socket.socket, piece: bytes, deadline: float) -> None:
        connection.settimeout(_left(deadline))
        connection.sendall(piece)

    def _read_answer(self, connection: socket.socket, deadline: float) -> int:
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._read(connection, deadline)
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in map(_parted, fields)}
        length = int(headers.get("content-length", "0"))
        while len(body) < length:
            body += self._read(connection, deadline)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(first.split(" ")[1])

    def _read(self, connection: socket.socket, deadline: float) -> bytes:
        connection.settimeout(_left(deadline))
        piece = connection.recv(65_536)
        if not piece:
            raise ConnectionError("EOF")
        return piece


def _parted(field: str) -> tuple[str, str, str]:
    return field.partition(":")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _send_all(sender: SerialSender, calls: list[Call]) -> None:
    try:
        for call in calls:
            sender.send(call.number, call.body)
    finally:
        sender.close()


def main() -> None:
    """Send made-up events from the command line and print what became of them."""
    parser = argparse.ArgumentParser(description="Send like Customer.io, one call at a time.")
    parser.add_argument("--url", default="http://127.0.0.1:8080/webhooks/customerio")
    parser.add_argument("--key-file", type=Path, default=Path("streamer-data/signing-key"))
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    sender = SerialSender(chosen.url, chosen.key_file.read_bytes().strip())
    began = time.monotonic()
    _send_all(sender, plan(chosen.events, seed=chosen.seed))
    seconds = time.monotonic() - began
    result = {
        "acknowledged": len(sender.acknowledged),
        "failures": len(sender.failures),
        "hours_earned": [failure.reason for failure in sender.hours_earned],
        "seconds": round(seconds, 3),
        "calls_per_second": round(len(sender.acknowledged) / seconds, 1),
    }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

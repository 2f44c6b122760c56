"""What every home-made receiver here has in common: the signature, the JSON, the command line.

The servers that we compare ourselves with are written as somebody who knows the library would
write them in an afternoon. They share this module so that none of them is slower or laxer than
another for a reason that has nothing to do with the way it stores. It must not import streamer:
their memory and their start are measured too.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple

PATH = "/webhooks/customerio"
TIMESTAMP = "X-CIO-Timestamp"
SIGNATURE = "X-CIO-Signature"
KEY = os.environ.get("SIGNING_KEY", "a-signing-key-of-the-benchmarks").encode()


class Refused(Exception):
    """The call is not one that Customer.io signed, or carries no event."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered {status}")
        self.status = status


class Received(NamedTuple):
    """A genuine event, and the bytes that it came in."""

    event_id: str
    body: bytes


Keep = Callable[[Received], Awaitable[None]]
"""Stores an event, and returns when the call may be answered."""


def receive(timestamp: str | None, signature: str | None, body: bytes) -> Received:
    """Verify a call and decode its event.

    Raises:
        Refused: with 401 if the signature does not fit, with 400 if the body is no event.
    """
    signed = b"v0:%b:%b" % ((timestamp or "").encode(), body)
    expected = hmac.new(KEY, signed, "sha256").hexdigest()
    if not hmac.compare_digest(expected, signature or ""):
        raise Refused(401)
    try:
        event_id = json.loads(body)["event_id"]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(400) from error
    return Received(event_id, body)


def arguments(description: str) -> argparse.ArgumentParser:
    """Begin the command line of a server: where it listens, and where it stores."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    parser.add_argument("--database", required=True, help="a file, or the address of a server")
    return parser

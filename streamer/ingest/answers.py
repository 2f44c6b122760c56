"""The answers that a sender can get, and what each costs a genuine one.

Customer.io waits an hour, with everything behind the failed call held back,
after 400 401 402 403 404 405 410 429 500 502 521. A 503 costs an ordinary
backoff. So whatever may hit the genuine sender is a 503; the others are for
callers that are not Customer.io, or for a URL that was never right.

Every answer is empty, so that it leaves in one TCP segment; the reason stands
in a header, for whoever tries the URL by hand.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streamer.core.limits import RETRY_AFTER_SECONDS

INSTANCE_HEADER = "streamer-instance"
"""The header in which the health routes show which database answers."""
REASON_HEADER = "streamer-reason"
"""The header in which a call's answer says why it is no 200."""

Headers = list[tuple[bytes, bytes]]


class Answer(msgspec.Struct, frozen=True):
    """A status, its reason, and the two forms of its ASGI message."""

    status: int
    reason: str
    start: dict[str, Any]
    start_and_close: dict[str, Any]


def _answer(
    status: int, reason: str, *further: tuple[bytes, bytes], may_go_on: bool = True
) -> Answer:
    headers: Headers = [(b"content-length", b"0"), *further]
    if reason:
        headers.append((REASON_HEADER.encode(), reason.encode()))
    closing = [*headers, (b"connection", b"close")]
    return Answer(
        status,
        reason,
        _start(status, headers if may_go_on else closing),
        _start(status, closing),
    )


def _start(status: int, headers: Headers) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _come_back(reason: str) -> Answer:
    return _answer(503, reason, (b"retry-after", b"%d" % RETRY_AFTER_SECONDS))


KEPT = _answer(200, "")

TOO_LATE = _come_back("not stored in time")
OVERLOADED = _come_back("overloaded")
DISK_FULL = _come_back("disk full")
STORE_FAILING = _come_back("store failing")
BAD_SIGNATURE = _come_back("signature wrong")
TOO_OLD = _come_back("signed too long ago")
INTERNAL = _come_back("internal error")
STOPPING = _come_back("stopping")

SIGNATURE_MISSING = _answer(401, "signature missing or malformed")
SIGNATURE_REFUSED = _answer(401, "signature wrong")
NO_SUCH_SOURCE = _answer(404, "no such source")
POST_ONLY = _answer(405, "POST only", (b"allow", b"POST"))

# Whoever sends these may mean another end of the request than we do, so the connection ends too.
BAD_FRAMING = _answer(400, "conflicting framing", may_go_on=False)
HTTP_1_ONLY = _answer(400, "HTTP/1.1 only", may_go_on=False)
NO_EXPECTATIONS = _answer(417, "Expect is not supported", may_go_on=False)
HEADERS_TOO_LARGE = _answer(431, "headers too large", may_go_on=False)

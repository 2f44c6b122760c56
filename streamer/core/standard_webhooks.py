"""The signature on what we send: Standard Webhooks 1.0, symmetric.

A signed message has an id, the time of its sending and a body; the signature
is an HMAC-SHA256 over the three, joined by full stops, and travels in three
headers. The receiver drops a message whose id it has seen, so an id must stand
for exactly one list of events in one order: the same batch sent again has the
same id, and a batch that was cut differently is another message.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

from streamer.core.errors import ConfigurationError

_KEY_PREFIX = "whsec_"

# 160 bits: two different batches never meet, and the id still fits on a line of a log.
_ID_CHARACTERS = 40


def signing_key(text: str) -> bytes:
    """Read a key as people are given it: ``whsec_`` and base64, or else the text itself.

    Raises:
        ConfigurationError: the key is empty, or what follows ``whsec_`` is not base64.
    """
    encoded = text.removeprefix(_KEY_PREFIX)
    key = text.encode() if encoded == text else _decoded(encoded)
    if not key:
        raise ConfigurationError(
            "the signing key is empty", hint="put the key that the receiver checks with there"
        )
    return key


def message_id(events: Iterable[tuple[str, str]]) -> str:
    """Name the message that carries exactly these (source, event id) pairs in this order."""
    parts = (part.encode("utf-8", "surrogatepass") for pair in events for part in pair)
    # With its length before it, no part can be taken for the end of another.
    named = b"".join([b"%d:%b" % (len(part), part) for part in parts])
    return "msg_" + hashlib.sha256(named).hexdigest()[:_ID_CHARACTERS]


def signed_headers(
    key: bytes, *, message: str, sent_at_seconds: int, body: bytes
) -> dict[str, str]:
    """Return the three headers that go with a body.

    ``message`` is its id, as `message_id` gives it, and ``sent_at_seconds`` the Unix time of this
    attempt: receivers refuse a message that was signed long ago, so every attempt is signed anew.
    """
    content = b"%b.%d.%b" % (message.encode(), sent_at_seconds, body)
    signature = base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    return {
        "webhook-id": message,
        "webhook-timestamp": str(sent_at_seconds),
        "webhook-signature": f"v1,{signature}",
    }


def _decoded(text: str) -> bytes:
    """Decode base64, padded or not; unlike the standard library, skip nothing that is not."""
    digits = text.rstrip("=")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        # Without its cause: the message of some versions quotes what it could not decode.
        raise ConfigurationError(
            "the signing key begins with whsec_, but no base64 follows",
            hint="copy the whole key again, or leave whsec_ out if the key is plain text",
        ) from None

"""Customer.io's signature on a webhook call: making one, and checking one.

The scheme is an HMAC-SHA256 over ``v0:``, the timestamp header as received,
``:`` and the raw body, sent as 64 hexadecimal digits. The key is text: one
that looks like hexadecimal is used as its characters and is not decoded.

A body is checked while it is still being read, so that a call is never held in
memory for the sake of its signature. Every key is always computed and compared
in constant time: how long a check takes says neither which key matched nor how
much of the digest did. Whether a timestamp is too old is not judged here.
"""

from __future__ import annotations

import binascii
import hmac
import re
from collections.abc import Sequence

from streamer.core.errors import ConfigurationError

_VERSION = b"v0:"
_PREFIX = b"v0="
_DIGEST_CHARACTERS = 64

# Unix seconds have ten digits. The limit leaves room for another format of theirs, and keeps
# what is signed free of line breaks and of bytes that no sender of theirs would use.
_TIMESTAMP = re.compile(rb"[ -~]{1,32}")


def sign(key: bytes, timestamp: str, body: bytes) -> str:
    """Return the signature header that Customer.io would send, in lower-case hexadecimal."""
    return hmac.digest(key, b"%b%b:%b" % (_VERSION, timestamp.encode(), body), "sha256").hex()


class Running:
    """One call's check under way: feed it the body as it arrives, then ask."""

    __slots__ = ("_claimed", "_states")

    def __init__(self, states: list[hmac.HMAC], claimed: bytes) -> None:
        self._states = states
        self._claimed = claimed

    def update(self, chunk: bytes) -> None:
        """Add the next bytes of the body; how it is cut makes no difference."""
        for state in self._states:
            state.update(chunk)

    def matches(self) -> bool:
        """Say whether the body so far was signed with one of the keys."""
        matched = False
        for state in self._states:
            matched |= hmac.compare_digest(state.digest(), self._claimed)
        return matched


class Verifier:
    """Checks calls against the signing keys of one source, in any number for their rotation."""

    __slots__ = ("_fresh",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Prepare the keys.

        Raises:
            ConfigurationError: there is no key, or an empty one, which anybody could sign with.
        """
        if not keys or not all(keys):
            raise ConfigurationError(
                "a source needs at least one signing key, and none may be empty",
                hint="copy the signing key from the webhook's page in Customer.io",
            )
        # Hashing the key is a quarter of the work on a small body: do it once and copy the state.
        self._fresh = [hmac.new(key, _VERSION, "sha256") for key in keys]

    def start(self, timestamp: bytes, signature: bytes) -> Running | None:
        """Begin the check of one call from its two header values.

        Returns:
            None if a header is malformed, which no genuine call is: a timestamp that is not
            1 to 32 printable ASCII characters, or a signature that is not 64 hexadecimal
            digits, with or without ``v0=`` before them.
        """
        claimed = _digest_in(signature)
        if claimed is None or _TIMESTAMP.fullmatch(timestamp) is None:
            return None
        states = [fresh.copy() for fresh in self._fresh]
        for state in states:
            state.update(timestamp + b":")
        return Running(states, claimed)


def _digest_in(signature: bytes) -> bytes | None:
    """Return the 32 bytes that a signature header claims, or None if it is malformed."""
    digits = signature.removeprefix(_PREFIX)
    if len(digits) != _DIGEST_CHARACTERS:
        return None
    try:
        return binascii.unhexlify(digits)
    except ValueError:
        return None

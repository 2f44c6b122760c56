"""One source as the running service knows it: its keys, and what to do with odd calls."""

from __future__ import annotations

import msgspec

from streamer.core.signature import Verifier


class Source(msgspec.Struct, frozen=True):
    """A configured source."""

    name: str
    verifier: Verifier
    refuse_bad_signature: bool = False
    """Answer a wrong signature with 401, an hour for a sender whose key was just rotated."""
    body_bytes_max: int = 0
    age_warn_seconds: float = 0
    age_limit_seconds: float | None = None


def signed_age_seconds(timestamp: bytes, now: int) -> float | None:
    """Return how long ago a call was signed, by its own header; None if that is no number."""
    if not timestamp.isdigit() or len(timestamp) > 12:
        return None
    return now / 1000 - int(timestamp)

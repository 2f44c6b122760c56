"""The terms on which calls are taken: what every process that takes them has to know of a reload.

They hold keys. Processes of one service hand them to each other through a
socket that nobody else has, and nothing writes them anywhere.
"""

from __future__ import annotations

import msgspec

from streamer.core.signature import Verifier
from streamer.ingest.source import Source


class SourceTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How one source's calls are judged."""

    signing_keys: tuple[str, ...]
    refuse_bad_signature: bool
    age_warn_seconds: float
    age_limit_seconds: float | None

    def __repr__(self) -> str:
        return f"<SourceTerms: {len(self.signing_keys)} keys, not shown>"


class Terms(msgspec.Struct, frozen=True, kw_only=True, tag="terms"):
    """Everything about taking calls that a reload may change."""

    sources: dict[str, SourceTerms]
    quarantine_bytes_max: int
    log_level: str


def make_sources(terms: Terms, *, body_bytes_max: int) -> dict[str, Source]:
    """Prepare every source for verifying calls."""
    return {
        name: Source(
            name=name,
            verifier=Verifier([key.encode() for key in one.signing_keys]),
            refuse_bad_signature=one.refuse_bad_signature,
            body_bytes_max=body_bytes_max,
            age_warn_seconds=one.age_warn_seconds,
            age_limit_seconds=one.age_limit_seconds,
        )
        for name, one in terms.sources.items()
    }

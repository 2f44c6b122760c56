"""Times as people and other programs read them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import overload

from streamer.core.limits import WRITTEN_SECONDS_MAX


@overload
def rfc3339(milliseconds: int) -> str: ...
@overload
def rfc3339(milliseconds: None) -> None: ...
def rfc3339(milliseconds: int | None) -> str | None:
    """Write a moment in ms since 1970 as ``2026-11-23T08:15:30.123Z``; None stays None."""
    if milliseconds is None:
        return None
    seconds, rest = divmod(milliseconds, 1000)
    return f"{rfc3339_seconds(seconds)[:-1]}.{rest:03d}Z"


@lru_cache(WRITTEN_SECONDS_MAX)
def rfc3339_seconds(seconds: int) -> str:
    """Write a moment in whole seconds since 1970 as ``2026-11-23T08:15:30Z``."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}Z"


def parse_time(text: str) -> int:
    """Read a moment as RFC 3339 (a bare date is midnight UTC); return ms since 1970.

    Raises ValueError when it is none.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)

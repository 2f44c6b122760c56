"""Where a destination begins that is added later."""

from __future__ import annotations

import datetime
from typing import Literal

Start = Literal["earliest", "now"] | int
"""The oldest event kept, the next one, or the first received at this time (ms since 1970)."""


def parse_start(text: str) -> Start:
    """Read a destination's ``start``; raise ValueError unless it is a word we know or a full time.

    A time must carry its offset: the machine's own zone is no part of a configuration.
    """
    if text == "earliest":
        return "earliest"
    if text == "now":
        return "now"
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            "must be `earliest`, `now` or a time such as `2026-11-01T00:00:00Z`"
        ) from None
    if moment.tzinfo is None:
        raise ValueError("a time needs its offset: end it with `Z` or, say, `+02:00`")
    return max(0, round(moment.timestamp() * 1000))

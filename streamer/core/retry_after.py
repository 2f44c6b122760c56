"""Reading the ``Retry-After`` header of a destination's answer.

The header is somebody else's text: it may be seconds, a date in one of three
forms, or nonsense. What comes out is a wait that can be calculated with; how
much of it is granted is for the policy to say.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

SECONDS_MAX = 366 * 86_400.0
"""Nobody means more than a year, and a number of 400 digits would be infinite."""

# Fractions are not in the standard, but some services send them.
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)


def parse_retry_after(value: str, now_ms: int) -> float | None:
    """Return the wait in seconds that a ``Retry-After`` header asks for.

    ``now_ms`` is the wall time in milliseconds, for the form that is a date; a
    date that has passed asks for no wait. None: nothing sensible is asked for.
    """
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), SECONDS_MAX)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = moment.timestamp() - now_ms / 1000
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(seconds, 0.0), SECONDS_MAX)

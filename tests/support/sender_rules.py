"""What Customer.io documents of its calls: how long each may take, and what a failure costs.

`SerialSender` and the stand-in for Customer.io both keep these rules, each with a client and a
clock of its own.
"""

from __future__ import annotations

TIMEOUT_SECONDS = 4.0
"""For a whole call. Running out of it earns an ordinary backoff."""

HOUR_STATUSES = frozenset({400, 401, 402, 403, 404, 405, 410, 429, 500, 502, 521})
"""Answers after which the call is repeated after an hour, and all later calls wait."""

HOUR_SECONDS = 3600.0

BACKOFF_SECONDS_FIRST = 1.0
"""Not documented, as the other steps of the backoff are not: they double, up to an hour."""

GIVE_UP_SECONDS = 7 * 24 * HOUR_SECONDS
"""After the first try of a call; it is then given up, and the next one is made."""


def succeeded(status: int) -> bool:
    """Tell whether an answer acknowledges the call."""
    return 200 <= status < 300


def earns_hour(status: int) -> bool:
    """Tell whether an answer costs an hour of waiting."""
    return status in HOUR_STATUSES


def wait_seconds(failures: int, *, earns_hour: bool) -> float:
    """Return how long a call waits after its ``failures``-th failure in a row, from 1."""
    if earns_hour:
        return HOUR_SECONDS
    return min(BACKOFF_SECONDS_FIRST * 2.0 ** min(failures - 1, 32), HOUR_SECONDS)

"""When the next attempt may start.

Waits grow exponentially and are drawn from the whole range below the bound
("full jitter"), so that destinations which fail together are not retried
together. Time and chance come in as arguments.
"""

from __future__ import annotations

import msgspec

from streamer.core.limits import (
    HELD_PROBE_SECONDS_MAX,
    HELD_PROBE_SECONDS_MIN,
    ISOLATE_ATTEMPTS_MIN,
    ISOLATE_SECONDS_MIN,
    RETRY_AFTER_SECONDS_MAX,
)


class RetryPolicy(msgspec.Struct, frozen=True):
    """How patient a drain is with one destination."""

    base_seconds: float = 1.0
    """Bound of the first wait; each further one doubles it."""
    max_seconds: float = 300.0
    """Bound that the doubling never exceeds."""
    exhausted_attempts: int = ISOLATE_ATTEMPTS_MIN
    exhausted_seconds: float = ISOLATE_SECONDS_MIN
    """An event deferred this often and for this long is suspected of being the culprit itself."""


def next_attempt_at(
    policy: RetryPolicy,
    attempts: int,
    now: int,
    jitter: float,
    retry_after_seconds: float | None = None,
) -> int:
    """Return the wall time in ms at which attempt number ``attempts`` + 1 may start.

    ``attempts`` counts those already made, from 1; ``jitter`` is in [0, 1).
    A wait that the destination asked for is honoured up to an hour, and our
    own wait still applies when it is the longer one.
    """
    if attempts < 1:
        raise ValueError("there is no wait before the first attempt")
    bound = min(policy.max_seconds, policy.base_seconds * 2.0 ** min(attempts - 1, 60))
    wait = bound * jitter
    if retry_after_seconds is not None:
        wait = max(wait, min(retry_after_seconds, RETRY_AFTER_SECONDS_MAX))
    return now + round(wait * 1000)


def next_probe_at(probes: int, now: int, jitter: float) -> int:
    """Return the wall time in ms of the next probe of a held destination.

    ``probes`` counts those already refused. The jitter brings a probe forward
    by a tenth at most, because the operator is told the interval, and never
    below the least one.
    """
    bound = min(HELD_PROBE_SECONDS_MAX, HELD_PROBE_SECONDS_MIN * 2.0 ** min(probes, 10))
    wait = max(HELD_PROBE_SECONDS_MIN, bound * (1.0 - jitter / 10.0))
    return now + round(wait * 1000)


def remaining_seconds(policy: RetryPolicy, stored_at: int | None, now: int) -> float:
    """Return how long to wait for a stored moment, in seconds on the monotonic clock.

    The wall clock may have jumped since the moment was stored, so the wait is
    never longer than the policy itself could have asked for.
    """
    if stored_at is None:
        return 0.0
    longest = max(policy.max_seconds, RETRY_AFTER_SECONDS_MAX)
    return min(max(0.0, (stored_at - now) / 1000), longest)


def is_exhausted(
    policy: RetryPolicy, attempts: int, first_deferred_at: int | None, now: int
) -> bool:
    """Tell whether an event was deferred so often and so long that it is suspected itself."""
    return (
        first_deferred_at is not None
        and attempts >= policy.exhausted_attempts
        and now - first_deferred_at >= policy.exhausted_seconds * 1000
    )

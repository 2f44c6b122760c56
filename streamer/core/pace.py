"""A limit on how many events a second a destination is offered.

Decides, and does not wait: it says how long the caller has to.
"""

from __future__ import annotations


class Pace:
    """Lets a batch go when those before it have been paid for at the allowed rate.

    Time in which nothing was sent is not saved up: over any stretch of time
    the rate is exceeded by one batch at most.
    """

    def __init__(self, events_per_second: float) -> None:
        """Allow ``events_per_second``; 0 is no limit."""
        self._rate = events_per_second
        self._free_at = 0.0

    def wait_seconds(self, events: int, now: float) -> float:
        """Claim room for some events; return how long to wait before sending them.

        ``now`` is monotonic, in seconds. A batch is let go at once when the
        ones before it have been paid for, so a batch larger than the rate is
        followed by a longer pause and never stuck.
        """
        if self._rate <= 0:
            return 0.0
        start = max(self._free_at, now)
        self._free_at = start + events / self._rate
        return max(0.0, start - now)

    def give_back(self, events: int) -> None:
        """Take back part of the last claim: so many events were not sent after all."""
        if self._rate > 0:
            self._free_at -= events / self._rate

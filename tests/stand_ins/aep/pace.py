"""How much comes in a second or a minute, and the refusal of what is too much.

Periods are those of the clock: the thousandth request of a second passes, the next one is
refused until the second is over. What is refused is not counted.
"""

from __future__ import annotations

from tests.stand_ins.aep.problems import inlet_problem
from tests.stand_ins.aep.rules import Clock, Rules


class Pace:
    """Counts by kind and period."""

    def __init__(self, clock: Clock, rules: Rules) -> None:
        self._clock = clock
        self._rules = rules
        self._counts: dict[str, tuple[int, int]] = {}
        """Of each kind, the period and what has come in it."""

    def count(self, what: str, count: int, limit: int, *, period_ms: int) -> None:
        """Count what has come.

        Raises:
            Refusal: 429, if it is more than the limit.
        """
        period = self._clock.now() // period_ms
        counted_period, counted = self._counts.get(what, (period, 0))
        total = count + (counted if counted_period == period else 0)
        if total > limit:
            after = self._rules.throttled_retry_after_seconds
            headers = {} if after is None else {"Retry-After": str(after)}
            reason = f"more than {limit} {what} in {period_ms // 1000} s"
            raise inlet_problem(429, "Too many requests", reason, headers=headers)
        self._counts[what] = (period, total)

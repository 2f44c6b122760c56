"""How often Adobe has failed over the same event: when that is the event's fault.

Adobe answers 500 when it is in trouble, and also to a message whose payload it
cannot process. So a 500 is waited out some times. When the same event has stood
first in that many requests that failed, or was named in that many answers, then
the batch is to be taken apart, or the event refused if it is alone: whether it
really is at fault is proven by the drain, which tries another one in between.

Kept in memory alone: a restart begins to count anew.
"""

from __future__ import annotations

from collections import OrderedDict

from streamer.core.limits import FAILED_EVENTS_MAX, FAILURES_MAX


class Patience:
    """Failures by the position of the event that they were over."""

    def __init__(self) -> None:
        self._failures: OrderedDict[int, int] = OrderedDict()

    def fail(self, position: int) -> bool:
        """Count a failure; tell whether that is one too many."""
        self._note(position, self._failures.pop(position, 0) + 1)
        return self._failures[position] > FAILURES_MAX

    def lose(self, position: int) -> None:
        """Wait out no more failures over this event: it is among those under suspicion."""
        self._failures.pop(position, None)
        self._note(position, FAILURES_MAX)

    def forget(self, position: int) -> None:
        """Forget an event that was taken."""
        self._failures.pop(position, None)

    def _note(self, position: int, failures: int) -> None:
        self._failures[position] = failures
        if len(self._failures) > FAILED_EVENTS_MAX:
            self._failures.popitem(last=False)

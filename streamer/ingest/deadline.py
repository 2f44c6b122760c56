"""The time that a call may take, kept for all calls by one timer.

`asyncio.timeout` sets a timer for each call and takes it down again, which
costs more than verifying the signature. Here every call has the same time, so
the one that began first is over first: it is enough to look at that one.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadlines:
    """Calls under way, each of which has the same time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._under_way: dict[Deadline, float] = {}
        """When each is over, in loop time: the first is the next."""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, deadline: Deadline) -> None:
        """Count the time of a call from now on."""
        loop = asyncio.get_running_loop()
        self._under_way[deadline] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look)

    def end(self, deadline: Deadline) -> None:
        """Count no longer; the timer stays for whoever is next."""
        self._under_way.pop(deadline, None)

    def _look(self) -> None:
        """End those whose time is over, and look again when the next one's is."""
        loop = asyncio.get_running_loop()
        self._timer = None
        now = loop.time()
        while self._under_way:
            deadline, at = next(iter(self._under_way.items()))
            if at > now:
                self._timer = loop.call_at(at, self._look)
                return
            del self._under_way[deadline]
            deadline.expire()


class Deadline:
    """A block of one task that raises `TimeoutError` when its time is over.

    What ends it is a cancellation, as with `asyncio.timeout`; one that comes
    from elsewhere passes through.
    """

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines.begin(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._deadlines.end(self)
        if not self._expired or self._task.uncancel() > self._cancelling:
            return
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def expire(self) -> None:
        """Interrupt the block where it waits."""
        self._expired = True
        self._task.cancel()

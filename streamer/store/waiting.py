"""Those who wait for a commit, in the order of their coming.

Knows nothing of the database. A waiter is a job and a future; one whose
future is done has given up, and its job is dropped unless it has been taken
already. Bytes are counted from the moment somebody comes until the commit is
over, because that is how long they are held in memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

Job = TypeVar("Job")


class Waiter(NamedTuple, Generic[Job]):
    """A job, the future of whoever waits for it, and the bytes that it holds."""

    job: Job
    future: asyncio.Future[Any]
    held_bytes: int


class WaitingLine(Generic[Job]):
    """First come, first committed."""

    def __init__(self) -> None:
        self.held_bytes = 0
        """Of those who wait and of those who were taken and are not released yet."""
        self._line: deque[Waiter[Job]] = deque()
        self._late: dict[asyncio.Future[Any], Exception] = {}
        """Whose time was over while their job was taken, and what they hear if it is put back."""

    def __len__(self) -> int:
        return len(self._line)

    def join(self, job: Job, *, held_bytes: int = 0) -> asyncio.Future[Any]:
        """Stand at the end; the future resolves when the job's commit is over."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._line.append(Waiter(job, future, held_bytes))
        self.held_bytes += held_bytes
        return future

    def withdraw(self, future: asyncio.Future[Any], error: Exception) -> None:
        """Send a waiter away with an error, unless its job has been taken and is done after all.

        Who hears the error can be sure that the job was not done and will not be.
        """
        if future.done():
            return
        if any(waiter.future is future for waiter in self._line):
            fail(future, error)
        else:
            self._late[future] = error

    def take(self, *, waiters_max: int, bytes_max: int) -> list[Waiter[Job]]:
        """Take from the front, at least one if there is any; those who gave up are dropped."""
        taken: list[Waiter[Job]] = []
        taken_bytes = 0
        while self._line and len(taken) < waiters_max:
            waiter = self._line[0]
            if not waiter.future.done():
                if taken and taken_bytes + waiter.held_bytes > bytes_max:
                    break
                taken_bytes += waiter.held_bytes
                taken.append(waiter)
            else:
                self.held_bytes -= waiter.held_bytes
            self._line.popleft()
        return taken

    def put_back(self, taken: Sequence[Waiter[Job]]) -> None:
        """Return those who were taken to the front, without any who have given up by now."""
        self._line.extendleft(reversed(taken))
        for waiter in taken:
            error = self._late.pop(waiter.future, None)
            if error is not None and not waiter.future.done():
                fail(waiter.future, error)
        gone = [waiter for waiter in self._line if waiter.future.done()]
        if gone:
            self.held_bytes -= sum(waiter.held_bytes for waiter in gone)
            self._line = deque(waiter for waiter in self._line if not waiter.future.done())

    def release(self, taken: Sequence[Waiter[Job]], results: Sequence[object]) -> None:
        """Hand each who was taken its result; an exception is raised where it is awaited."""
        for waiter, result in zip(taken, results, strict=True):
            self.held_bytes -= waiter.held_bytes
            self._late.pop(waiter.future, None)
            if waiter.future.done():
                continue
            if isinstance(result, Exception):
                fail(waiter.future, result)
            else:
                waiter.future.set_result(result)

    def fail_all(self, error: Exception) -> None:
        """Send everybody who waits away with an error."""
        everybody = list(self._line)
        self._line.clear()
        self.release(everybody, [error] * len(everybody))


def fail(future: asyncio.Future[Any], error: Exception) -> None:
    """Fail a future; a waiter that has gone away meanwhile is no reason for a warning."""
    future.set_exception(error)
    future.exception()

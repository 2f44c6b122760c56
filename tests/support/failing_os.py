"""Makes the k-th call that changes files the last one, or fail once: a crash at every step.

The functions of `os` that our code changes files with are replaced by ones
that count. A crash is a BaseException out of one of them, after which all of
them raise it: nothing that cleans up behind a crash can touch the disk any
more, which is just what a killed process looks like to the next one.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

CHANGING = ("mkdir", "open", "pwrite", "ftruncate", "fdatasync", "fsync", "rename", "unlink")


T = TypeVar("T")


class Killed(BaseException):
    """The process is dead from here on."""


class FailingOs:
    """Counts calls, and does what was asked for at the k-th."""

    def __init__(self, at: int, mode: str) -> None:
        """Choose the call, from 1, and the mode.

        ``before`` and ``after`` crash, ``half`` crashes with half of a write done, ``error`` fails
        with half of a write done, once.
        """
        self.calls: list[str] = []
        self.dead = False
        self._at = at
        self._mode = mode

    @property
    def reached(self) -> bool:
        """Say whether there was a k-th call."""
        return len(self.calls) >= self._at

    def step(self, name: str, call: Callable[[], T], half: Callable[[], object] | None = None) -> T:
        """Make one call, or not."""
        if self.dead:
            raise Killed
        self.calls.append(name)
        if len(self.calls) != self._at:
            return call()
        if self._mode in {"half", "error"} and half is not None:
            half()
        if self._mode == "error":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._mode == "after":
            call()
        self.dead = True
        raise Killed


@contextlib.contextmanager
def failing_os(at: int, mode: str) -> Iterator[FailingOs]:
    """Let the k-th call fail within the block, and end the block where the process died."""
    failing = FailingOs(at, mode)
    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGING:
            patch.setattr(os, name, _counted(failing, name))
        with contextlib.suppress(Killed):
            yield failing


def _counted(failing: FailingOs, name: str) -> Callable[..., object]:
    original = getattr(os, name)

    def counted(*args: object, **kwargs: object) -> object:
        return failing.step(name, lambda: original(*args, **kwargs))

    def counted_write(file: int, data: memoryview, at: int) -> object:
        def half() -> None:
            original(file, data[: len(data) // 2], at)

        return failing.step(name, lambda: original(file, data, at), half)

    return counted_write if name == "pwrite" else counted

"""Which event loop the processes of the service run on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work`` on uvloop where there is one, else on Python's own loop."""
    return anyio.run(work, backend_options={"use_uvloop": _has_uvloop()})


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401, PLC0415 - there is none for every platform
    except ImportError:
        return False
    return True

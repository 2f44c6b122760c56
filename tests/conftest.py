"""What every test shares: the event loop they run on, and how Hypothesis behaves."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A slow machine is not a failing test; a hanging one is stopped by the suite's own limit.
settings.register_profile("streamer", deadline=None)
settings.load_profile("streamer")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run `anyio` tests on asyncio, the only loop that all our libraries know."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Let Ctrl-C reach what the tests start, also when a script started them with ``&``.

    Such a script leaves SIGINT ignored, and every process inherits that.
    """
    inherited = signal.getsignal(signal.SIGINT)
    if inherited is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)

"""What every test shares: the event loop they run on, and how Hypothesis behaves."""

from __future__ import annotations

import pytest
from hypothesis import settings

# A slow machine is not a failing test; a hanging one is stopped by the suite's own limit.
settings.register_profile("streamer", deadline=None)
settings.load_profile("streamer")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run `anyio` tests on asyncio, the only loop that all our libraries know."""
    return "asyncio"

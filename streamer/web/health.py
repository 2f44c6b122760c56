"""Health: is the process alive, and would a call be stored right now?

Liveness says that the loops tick; readiness makes a real write. A wrong
signature never makes the service unready: it is no fault of this machine.
Each answer says by a random number which installation gave it, so that
``streamer doctor`` can prove that a public URL leads to this one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from quart import Blueprint, Response

from streamer.clock import Clock
from streamer.core.intervals import READY_PROBE_SECONDS, READY_PROBE_TIMEOUT_SECONDS
from streamer.ingest.answers import INSTANCE_HEADER


class Health:
    """Answers both questions, and remembers the costly one for a second."""

    def __init__(
        self,
        clock: Clock,
        *,
        is_alive: Callable[[], bool],
        refuses: Callable[[], str | None],
        write_probe: Callable[[], Awaitable[None]],
    ) -> None:
        """Ask ``refuses`` why calls are refused, if they are; prove storing by ``write_probe``."""
        self._clock = clock
        self.is_alive = is_alive
        self._refuses = refuses
        self._write_probe = write_probe
        self._asked_at = float("-inf")
        self._answer: str | None = None
        self.instance = ""
        """Which database answers (`streamer.store.facts.INSTANCE`); set when the service starts."""
        self._lock = anyio.Lock()

    async def unready_reason(self) -> str | None:
        """Return None when a call would be stored now, else why not."""
        reason = self._refuses()
        if reason is not None:
            return reason
        async with self._lock:
            if self._clock.monotonic() - self._asked_at >= READY_PROBE_SECONDS:
                self._answer = await self._probe()
                self._asked_at = self._clock.monotonic()
        return self._answer

    async def _probe(self) -> str | None:
        try:
            with anyio.fail_after(READY_PROBE_TIMEOUT_SECONDS):
                await self._write_probe()
        except TimeoutError:
            return "a write takes too long"
        except Exception as error:
            return f"a write failed ({type(error).__name__})"
        return None


def health_routes(health: Health) -> Blueprint:
    """Make the two routes; the same on both listeners."""
    routes = Blueprint("health", __name__)

    def answer(text: str, status: int) -> Response:
        plain = Response(text + "\n", status, content_type="text/plain; charset=utf-8")
        plain.headers[INSTANCE_HEADER] = health.instance
        return plain

    @routes.get("/livez")
    async def livez() -> Response:
        alive = health.is_alive()
        return answer("alive" if alive else "a loop has stopped", 200 if alive else 503)

    @routes.get("/readyz")
    async def readyz() -> Response:
        reason = await health.unready_reason()
        return answer(reason or "ready", 503 if reason else 200)

    return routes

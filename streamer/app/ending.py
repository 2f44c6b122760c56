"""Why the service ends: a signal or a failure, which go the same way.

A loop that dies must not leave behind a server that looks alive, and must not
take with it the calls that are being answered. So every loop that runs as long
as the service runs under `Ending.guard`: what it raises is told once, and asks
for the same stop that a signal asks for. The process then ends with a code
other than 0, so that the service manager starts it anew.

It must not know what stopping consists of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import structlog

from streamer.clock import Clock
from streamer.core.errors import StreamerError
from streamer.observe.log import culprit, where

WHAT_NEXT = (
    "Nothing that was answered 200 is lost. The process ends with code 1, for the service manager "
    "to start it anew; if it fails again, run `streamer doctor` and `streamer db check`, and "
    "report this line."
)

_log = structlog.get_logger("streamer.service")


class Ending:
    """Whether the service is to end, why, and since when."""

    def __init__(self, clock: Clock) -> None:
        self.reason = ""
        """The signal's name, or the part that failed; the first one counts."""
        self.failed = False
        self.asked_at = 0.0
        """Monotonic seconds."""
        self._clock = clock
        self._asked = anyio.Event()

    @property
    def is_asked(self) -> bool:
        """Tell whether the service is stopping."""
        return self._asked.is_set()

    def ask(self, reason: str) -> None:
        """Ask for a stop; asking again changes nothing."""
        if not self.is_asked:
            self.reason = reason
            self.asked_at = self._clock.monotonic()
            self._asked.set()

    def fail(self, reason: str) -> None:
        """Ask for a stop because of a failure that was told already."""
        self.failed = True
        self.ask(reason)

    async def wait(self) -> None:
        """Wait until somebody asks."""
        await self._asked.wait()

    async def guard(self, part: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do long-running ``work``; if it fails, tell so and ask for a stop."""
        try:
            await work()
        except Exception as error:  # whatever it is, those being answered must not feel it
            tell_failure(part, error, first=not self.failed)
            self.fail(f"{part} failed")


def tell_failure(part: str, error: BaseException, *, first: bool = True) -> None:
    """Log what ends the process, without the text of a foreign exception: it may quote a body."""
    cause = culprit(error)
    ours = isinstance(cause, StreamerError)
    said = {
        "part": part,
        "exception": type(cause).__name__,
        "raised": where(cause),
        **({"error": str(cause)} if ours else {}),
        "hint": (cause.hint if isinstance(cause, StreamerError) else "") or WHAT_NEXT,
    }
    if first:
        _log.critical("service.failed", **said)
    else:
        _log.error("service.failed_too", **said)

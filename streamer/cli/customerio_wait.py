"""Waiting for a test event, by the counters that the service keeps for each source.

A test event has the same id each time, so from the second one on it is a
repeat: both count. It makes no difference who receives; the database tells.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from streamer.clock import Clock
from streamer.core.errors import StreamerError
from streamer.store.sqlite import Connection

POLL_SECONDS = 0.5
"""As often as the service itself looks at the database."""


class Seen(msgspec.Struct, frozen=True):
    """What a source has counted so far."""

    received: int = 0
    duplicates: int = 0
    quarantined: int = 0
    bad_signatures: int = 0

    @property
    def arrived(self) -> int:
        """Calls whose signature was right and that were events."""
        return self.received + self.duplicates


class Missing(StreamerError):
    """No test event came in time."""


def look(db: Connection, source: str) -> Seen:
    """Read the counters of a source."""
    row = db.execute(
        "SELECT received, duplicates, quarantined, bad_signatures FROM sources WHERE name = ?",
        (source,),
    ).fetchone()
    return Seen() if row is None else Seen(*row)


async def wait_for_test(
    before: Seen,
    look_again: Callable[[], Awaitable[Seen]],
    *,
    clock: Clock,
    timeout_seconds: float,
    tell: Callable[[Sequence[str]], None],
) -> Seen:
    """Wait until a call has come that was not there ``before``; return what is counted then.

    ``tell`` hears of calls that came and were no good.

    Raises:
        Missing: none came in time.
    """
    deadline = clock.monotonic() + timeout_seconds
    last = before
    while True:
        seen = await look_again()
        if seen.arrived > before.arrived:
            return seen
        if trouble := _trouble(last, seen):
            tell(trouble)
        last = seen
        if clock.monotonic() >= deadline:
            raise _missing(before, seen, timeout_seconds)
        await clock.sleep(POLL_SECONDS)


def _trouble(last: Seen, seen: Seen) -> list[str]:
    said = []
    if seen.bad_signatures > last.bad_signatures:
        said.append(
            "A call came, and its signature is WRONG (STR-101). The signing key here is not the "
            "webhook's, or a proxy alters the body. Copy the key again from the webhook's page, "
            "run this command again with --signing-key-file, and reload the service if one runs."
        )
    if seen.quarantined > last.quarantined:
        said.append(
            "A call came whose signature is right and that is no event: see "
            "`streamer quarantine list`."
        )
    return said


def _missing(before: Seen, seen: Seen, timeout_seconds: float) -> Missing:
    minutes = f"{timeout_seconds / 60:.0f} minutes" if timeout_seconds >= 120 else "time"
    if seen.bad_signatures > before.bad_signatures:
        return Missing(
            f"no call with a right signature came within {minutes}",
            hint="Copy the signing key again from the webhook's page in Customer.io, and run the "
            "command again with --signing-key-file FILE. The webhook stays disabled.",
        )
    return Missing(
        f"no test event came within {minutes}",
        hint="Does the name resolve to this machine, does the proxy pass /webhooks/ on, and does "
        "the firewall let the world in? `streamer doctor --url URL` goes the way that Customer.io "
        "goes; `streamer customerio addresses` shows where it comes from. The webhook stays "
        "disabled; run the command again and it goes on from here.",
    )

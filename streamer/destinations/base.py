"""What every destination is: one function from a batch to its outcomes.

The drain calls `send` for one batch at a time per lane, and for one of a
replay beside them, and settles what comes back. `mark` is for destinations
whose own progress must be committed together with the cursor (the file
destination's segment and length): the drain reads it after each `send` and
stores it in the same transaction as the settlement, and hands it back to
`open` at the next start. When a settlement is refused (an operator moved the
cursor meanwhile), the drain calls `open` again with the mark that is stored,
and the destination undoes what the mark does not cover.

A kind derives from `Destination` and leaves out what it has no use for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from streamer.core.event import StoredEvent
from streamer.core.outcome import Outcome


class Finding(msgspec.Struct, frozen=True):
    """One line of a destination's self-test."""

    ok: bool
    what: str
    """What was found, said as it is: ``the directory is writable``, or that it is not."""
    detail: str = ""
    hint: str = ""
    """What to do about it when it is not ok."""


class Destination(Protocol):
    """A configured place that events are sent to."""

    name: str
    kind: str
    exclusive: bool = False
    """True when `send` must not overlap with another `send` or settlement (a file)."""
    send_seconds_max: float
    """The longest that one `send` can take, all its waits and repeats together. A drain whose
    `send` takes longer counts as dead, and the process is started anew."""

    async def open(self, mark: str | None) -> None:
        """Get ready to send, from the last committed ``mark``; may be called again later."""
        return

    async def send(self, events: Sequence[StoredEvent]) -> list[Outcome]:
        """Offer one batch, never empty; return one outcome per event, in the batch's order.

        At least one event is attempted. A `send` that takes events one by one ends early enough
        that what was accepted can be settled, and says `NOT_ATTEMPTED` of the rest.
        """
        ...

    def hurry(self) -> None:
        """Let every `send` end after what it has under way: the drain is about to be stopped."""
        return

    def mark(self) -> str | None:
        """Return the progress to be committed with the outcomes of the last `send`, or None."""
        return None

    async def rotate(self) -> None:
        """End what is due by time, only in memory and in `mark`.

        Called now and then while no `send` is under way and all are settled or undone, if
        `exclusive`. The mark is committed before the next `tidy`, and before the next `send`.
        """
        return

    async def tidy(self) -> None:
        """Do what takes long and can wait (pack what is closed); runs beside `send`.

        Raises:
            OSError: something is left to be done by the next call.
        """
        return

    async def probe(self) -> list[Finding]:
        """Test the destination for ``streamer destination test``; send no real event."""
        ...

    async def aclose(self) -> None:
        """Let go of connections and files."""
        ...

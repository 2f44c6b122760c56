"""What every destination is: one function from a batch to its outcomes.

The drain calls `send` for one batch at a time per lane and settles what comes
back. `mark` is for destinations whose own progress must be committed together
with the cursor (the file destination's segment and length): the drain reads it
after each `send` and stores it in the same transaction as the settlement, and
hands it back to `open` at the next start. When a settlement is refused (an
operator moved the cursor meanwhile), the drain calls `open` again with the
mark that is stored, and the destination undoes what the mark does not cover.
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
    """What was looked at, such as ``directory is writable``."""
    detail: str = ""
    hint: str = ""
    """What to do about it when it is not ok."""


class Destination(Protocol):
    """A configured place that events are sent to."""

    name: str
    kind: str
    exclusive: bool
    """True when `send` must not overlap with another `send` or settlement (a file)."""

    async def open(self, mark: str | None) -> None:
        """Get ready to send, from the last committed ``mark``; may be called again later."""
        ...

    async def send(self, events: Sequence[StoredEvent]) -> list[Outcome]:
        """Offer one batch, never empty; return one outcome per event, in the batch's order."""
        ...

    def mark(self) -> str | None:
        """Return the progress to be committed with the outcomes of the last `send`, or None."""
        ...

    async def tidy(self) -> None:
        """Do what is due when idle (rotate by age, compress closed segments)."""
        ...

    async def probe(self) -> list[Finding]:
        """Test the destination for ``streamer destination test``; send no real event."""
        ...

    async def aclose(self) -> None:
        """Let go of connections and files."""
        ...

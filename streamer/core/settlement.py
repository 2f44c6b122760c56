"""How a cursor moves: the one place where a position becomes settled.

A drain holds a *window*: the events behind its cursor that are still to be
settled, in order, and the position up to which the outbox was read to find
them. Events that a filter leaves out, or that belong to another lane, are not
in the window; the cursor passes them together with their neighbours.

The cursor stands just before the first unsettled event. What was settled
beyond it, because a destination took a batch apart, is *ahead*: it is stored
beside the cursor and not sent again. Nothing outside the window is ever
ahead, so it stays as small as a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

import msgspec

from streamer.core.event import StoredEvent


class Window(msgspec.Struct, frozen=True):
    """Unsettled events behind a cursor, and how far the outbox was read for them."""

    events: tuple[StoredEvent, ...]
    through: int
    """Every event up to this position is settled, left out, or in ``events``."""


class Progress(msgspec.Struct, frozen=True):
    """Where a cursor stands."""

    position: int
    ahead: frozenset[int] = frozenset()
    """Settled positions beyond the cursor."""


def settle(window: Window, progress: Progress, settled: Set[int]) -> tuple[Window, Progress]:
    """Settle some of a window's events; return what is left of it and where the cursor stands.

    The cursor never moves back and never passes an event of the window that
    is not in ``settled``.
    """
    remaining = tuple(event for event in window.events if event.position not in settled)
    position = remaining[0].position - 1 if remaining else window.through
    position = max(position, progress.position)
    ahead = frozenset(at for at in progress.ahead | settled if at > position)
    return Window(remaining, window.through), Progress(position, ahead)


def runs(positions: Iterable[int], window: Window, ahead: Set[int]) -> list[list[int]]:
    """Group settled positions into runs that nothing else of the cursor's interrupts.

    The ledger describes a run by its ends, so a run must not span an event
    that is unsettled, nor one that was settled before, which is ``ahead`` and
    no longer in the window.
    """
    wanted = set(positions)
    known = sorted({event.position for event in window.events} | ahead)
    found: list[list[int]] = []
    broken = True
    for position in known:
        if position not in wanted:
            broken = True
        elif broken:
            found.append([position])
            broken = False
        else:
            found[-1].append(position)
    return found

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

from bisect import bisect_right
from collections.abc import Iterable, Sequence, Set
from operator import attrgetter

import msgspec

from streamer.core.event import StoredEvent
from streamer.core.limits import RECEIPTS_CHARACTERS_MAX

_position_of = attrgetter("position")


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
    remaining = _without(window.events, settled)
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
    near = up_to(window.events, max(wanted, default=0))
    known = sorted({event.position for event in near} | ahead)
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


def up_to(events: Sequence[StoredEvent], position: int) -> Sequence[StoredEvent]:
    """Return those events, which are in order, that are not beyond a position."""
    return events[: bisect_right(events, position, key=_position_of)]


def _without(events: tuple[StoredEvent, ...], settled: Set[int]) -> tuple[StoredEvent, ...]:
    """Take out what is settled: nearly always the first events, and nothing behind them."""
    first = next((at for at, one in enumerate(events) if one.position not in settled), len(events))
    rest = events[first:]
    if first == len(settled):
        return rest
    return tuple(event for event in rest if event.position not in settled)


def join_receipts(receipts: Iterable[str]) -> str | None:
    """Write the receipts of one run into one text, each once, in order; None when there is none.

    Beyond a limit the rest is only counted: its neighbours tell where to look.
    """
    distinct = list(dict.fromkeys(receipts))
    text = " ".join(distinct)
    if len(text) <= RECEIPTS_CHARACTERS_MAX:
        return text or None
    kept, length = 0, 0
    for receipt in distinct:
        length += len(receipt) + 1
        if length > RECEIPTS_CHARACTERS_MAX:
            break
        kept += 1
    first = distinct[:kept] or [distinct[0][:RECEIPTS_CHARACTERS_MAX] + "…"]
    return " ".join([*first, f"… and {len(distinct) - len(first)} more"])

"""Draws the drain's phases from the table that runs it, so that the docs cannot drift from it."""

from __future__ import annotations

from streamer.core.drain import TRANSITIONS, Phase


def transitions_diagram() -> str:
    """Return the table as a Mermaid state diagram, ending in a line break."""
    arrows = [
        f"    {before.value} --> {after.value}: {trigger.value}"
        for before, moves in TRANSITIONS.items()
        for trigger, after in moves.items()
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {Phase.READY.value}", *arrows, ""])

"""What of somebody else's words may be kept: they come back in logs, tables and on screens."""

from __future__ import annotations


def fit_to_show(text: str) -> str:
    """Take out what must not reach a log: addresses, and control characters."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return " ".join("(address)" if "@" in word else word for word in line.split())

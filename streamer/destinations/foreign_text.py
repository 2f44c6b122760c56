"""What of somebody else's words may be kept: they come back in logs, tables and on screens."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"@|%40")
"""In links, the sign of an address is written otherwise."""


def fit_to_show(text: str) -> str:
    """Take out what must not reach a log: addresses, and control characters."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return " ".join("(address)" if _ADDRESS.search(word) else word for word in line.split())

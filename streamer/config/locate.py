"""The line of a TOML file on which a key stands.

``tomllib`` tells no lines, so the headers and keys are looked for once more,
only when there is something to complain of. A best effort: a key that is not
found is answered with the nearest table above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from streamer.config.problems import KeyPath

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"^\s*\[\[?\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(rf"^\s*({_DOTTED})\s*=")
_PART = re.compile(_KEY)
_LONG_QUOTES = ('"""', "'''")


class Lines:
    """Where each key of one TOML text stands."""

    def __init__(self, text: str) -> None:
        self._lines = dict(_keys(text))

    def line_of(self, path: KeyPath) -> int | None:
        """Return the line, from 1, of a key or of the nearest table that should have held it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None


def _keys(text: str) -> Iterator[tuple[KeyPath, int]]:
    table: tuple[str, ...] = ()
    for number, line in _code(text):
        if header := _HEADER.match(line):
            table = _parts(header[1])
            yield table, number
        elif assignment := _ASSIGNMENT.match(line):
            yield table + _parts(assignment[1]), number


def _code(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that do not begin inside a text of several lines."""
    closing = None
    for number, line in enumerate(text.splitlines(), start=1):
        if closing is None:
            yield number, line
            closing = next((quotes for quotes in _LONG_QUOTES if line.count(quotes) % 2), None)
        elif closing in line:
            closing = None


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))

"""The lines of a mapping file on which its rules and keys stand.

``tomllib`` tells no lines, so the file is looked through once more. A best
effort: where rules are written as one inline list, they all stand in its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Place = tuple[str | int, ...]
"""A key such as ``("rules", 0, "source")``."""

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_TABLE = re.compile(rf"^\s*\[\s*({_KEY})\s*\]\s*(?:#.*)?$")
_ELEMENT = re.compile(rf"^\s*\[\[\s*({_KEY})\s*\]\]\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(rf"^\s*({_KEY})\s*(?:=|\.)")
_LONG_QUOTES = ('"""', "'''")


class MappingLines:
    """Where each key of one mapping file stands."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Place, int] = {}
        for place, line in _places(text):
            self._lines.setdefault(place, line)

    def line_of(self, place: Place) -> int:
        """Return the line, from 1, of a key, or of the nearest table that should have held it."""
        for length in range(len(place), 0, -1):
            if place[:length] in self._lines:
                return self._lines[place[:length]]
        return 1


def _places(text: str) -> Iterator[tuple[Place, int]]:
    table: Place = ()
    counts: dict[str, int] = {}
    for number, line in _code(text):
        if found := _ELEMENT.match(line):
            name = _bare(found[1])
            table = (name, counts.get(name, 0))
            counts[name] = counts.get(name, 0) + 1
            yield (name,), number
            yield table, number
        elif found := _TABLE.match(line):
            table = (_bare(found[1]),)
            yield table, number
        elif found := _ASSIGNMENT.match(line):
            yield (*table, _bare(found[1])), number


def _code(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that do not begin inside a text of several lines."""
    closing = None
    for number, line in enumerate(text.split("\n"), start=1):
        if closing is None:
            yield number, line
            closing = next((quotes for quotes in _LONG_QUOTES if line.count(quotes) % 2), None)
        elif closing in line:
            closing = None


def _bare(key: str) -> str:
    return key[1:-1] if key[0] in "\"'" else key

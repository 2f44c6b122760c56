"""How text for people fits the terminal: nothing is cut, and no word is broken in two.

A row of a table that is wider than the terminal goes on below, indented,
column for column; a long line goes on below, indented too, so that an id or a
path can still be copied whole. Into a pipe one line stays one line, for
``grep`` and its like. It knows only the standard library, as errors need it.
"""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TextIO

_GAP = "  "
_INDENT = "    "
_WIDTH_MIN = 40
"""Below this nothing is gained by folding."""
_LABEL = re.compile(r" *\S+(?: \S+)? {2,}(?=\S)")
_BOLD, _RED, _YELLOW, _PLAIN = "\x1b[1m", "\x1b[1;31m", "\x1b[33m", "\x1b[0m"
_LOUD = frozenset({"FAILED", "critical", "held"})


class Paper(NamedTuple):
    """What text is written on."""

    width: int | None
    """In columns; None: lines may be of any length."""
    bold: bool
    """Whether it shows bold and colours, and nobody asked for it not to."""


def paper(stream: TextIO) -> Paper:
    """Look at what a stream leads to."""
    if not stream.isatty():
        return Paper(width=None, bold=False)
    plain = (os.environ.get("TERM") or "dumb") == "dumb" or bool(os.environ.get("NO_COLOR"))
    return Paper(width=max(_WIDTH_MIN, shutil.get_terminal_size().columns), bold=not plain)


def fold(line: str, width: int | None) -> list[str]:
    """Write one line as several, when it is longer than the terminal is wide.

    What follows a label, as in ``Reason    http_400``, goes on below itself.
    """
    if width is None or _width(line) <= width:
        return [line]
    label = _LABEL.match(line)
    indent = label.end() if label else len(line) - len(line.lstrip()) + len(_INDENT)
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def emphasise(line: str, striking: re.Pattern[str]) -> str:
    """Colour the group that is found at the beginning of a line, if any is."""
    found = striking.match(line)
    if found is None or found.lastindex is None:
        return line
    begin, end = found.span(found.lastindex)
    colour = _RED if line[begin:end] in _LOUD else _YELLOW
    return f"{line[:begin]}{colour}{line[begin:end]}{_PLAIN}{line[end:]}"


def lay_out(headings: Sequence[str], rows: Sequence[Sequence[str]], paper: Paper) -> Iterator[str]:
    """Write the headings and each row as one or more lines."""
    table = [headings, *rows]
    widths = [max(_width(row[column]) for row in table) for column in range(len(headings))]
    numbers = [all(row[column].isdecimal() for row in rows) for column in range(len(headings))]
    folds = _share(widths, paper.width)
    for number, row in enumerate(table):
        cells = [_pad(text, widths[at], right=numbers[at]) for at, text in enumerate(row)]
        for line in _lines(cells, folds, paper.width):
            yield f"{_BOLD}{line}{_PLAIN}" if paper.bold and not number else line


def _share(widths: Sequence[int], width: int | None) -> list[list[int]]:
    """Share the columns out among as few lines as they fit on."""
    folds: list[list[int]] = [[]]
    taken = 0
    for column, wanted in enumerate(widths):
        if width is not None and folds[-1] and taken + wanted > width:
            folds.append([])
            taken = len(_INDENT)
        folds[-1].append(column)
        taken += wanted + len(_GAP)
    return folds


def _lines(cells: Sequence[str], folds: Sequence[Sequence[int]], width: int | None) -> list[str]:
    """Write one row; what is empty below its first line is left out."""
    lines = []
    for number, columns in enumerate(folds):
        indent = _INDENT if number else ""
        line = (indent + _GAP.join(cells[column] for column in columns)).rstrip()
        if line or not number:
            lines += fold(line, width)
    return lines


def _pad(text: str, width: int, *, right: bool) -> str:
    padding = " " * (width - _width(text))
    return padding + text if right else text + padding


def _width(text: str) -> int:
    """Count the terminal's columns that a text takes; some characters take two or none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - hardly ever needed

    return cell_len(text)

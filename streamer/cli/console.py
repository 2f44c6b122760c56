"""What commands write and ask: results on standard output, talk and questions on standard error.

Much of what is shown was written by strangers, so nothing reaches a terminal
that could steer it. A reader that has gone away, such as ``head``, is no error
of the command: `BrokenPipeError` passes through to `streamer.cli.commands.main`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from streamer.cli import layout, streams
from streamer.core.errors import UsageError

T = TypeVar("T")


def print_json(value: object) -> None:
    """Print one JSON object, or an array, and nothing else."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    _write(text.decode() + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """Print plain lines."""
    _write("".join(f"{printable(line)}\n" for line in lines))


def print_text(lines: Iterable[str], *, striking: re.Pattern[str] | None = None) -> None:
    """Print sentences, which go on below where the terminal is too narrow for them.

    The group that ``striking`` finds at the beginning of a line stands out, where that can be.
    """
    paper = layout.paper(sys.stdout)
    parts = [part for line in lines for part in layout.fold(printable(line), paper.width)]
    if striking is not None and paper.bold:
        parts = [layout.emphasise(part, striking) for part in parts]
    _write("".join(f"{part}\n" for part in parts))


def print_bytes(pieces: Iterable[bytes]) -> None:
    """Print bytes as they are: for files and programs, not for terminals."""
    for piece in pieces:
        streams.write(sys.stdout.buffer.write, piece)
    flush()


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print a table, or what it means that there is nothing in it."""
    texts = [["" if value is None else printable(str(value)) for value in row] for row in rows]
    if texts:
        paper = layout.paper(sys.stdout)
        _write("".join(f"{line}\n" for line in layout.lay_out(headings, texts, paper)))
    else:
        print_text([empty])


def print_found(
    found: Sequence[T],
    *,
    json: bool,
    as_json: Callable[[T], object],
    headings: Sequence[str],
    row: Callable[[T], Sequence[object]],
    empty: str,
) -> None:
    """Print what a list command found: an array for programs, a table for people."""
    if json:
        print_json([as_json(one) for one in found])
    else:
        print_table(headings, [row(one) for one in found], empty)


def say(notes: Iterable[str], *, mark: str = "note: ") -> None:
    """Tell a person something beside the result; each begins with the mark."""
    width = layout.paper(sys.stderr).width
    lines = [part for note in notes for part in layout.fold(f"{mark}{printable(note)}", width)]
    sys.stderr.write("".join(f"{line}\n" for line in lines))


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on a terminal that something is waited for, and for how long already."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - costs a tenth of a second
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - the same

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        shown.add_task(what, total=None)
        yield


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone; raises `UsageError` when it is not wanted."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("this wants a confirmation", hint="Say --yes to do it without asking.")
    flush()
    lines = layout.fold(f"{printable(question)} [y/N]", layout.paper(sys.stderr).width)
    sys.stderr.write("\n".join(lines) + " ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        sys.stderr.write("\n")  # the end of the input leaves the cursor behind the question
    if answer.strip().lower() not in {"y", "yes"}:
        raise UsageError("nothing was done")


def printable(text: str) -> str:
    """Write control characters as escapes: much of what is shown was written by strangers."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def flush() -> None:
    """Hand on what was printed."""
    streams.write(sys.stdout.flush)


def _write(text: str) -> None:
    streams.write(sys.stdout.write, text)

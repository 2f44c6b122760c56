"""What commands write and ask: results on standard output, talk and questions on standard error.

Much of what is shown was written by strangers, so nothing reaches a terminal
that could steer it. A reader that has gone away, such as ``head``, is no error
of the command: `BrokenPipeError` passes through to `streamer.cli.main`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from streamer.core.errors import StreamerError, UsageError

T = TypeVar("T")


def print_json(value: object) -> None:
    """Print one JSON object, or an array, and nothing else."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    _write(text.decode() + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """Print plain lines."""
    _write("".join(f"{printable(line)}\n" for line in lines))


def print_bytes(pieces: Iterable[bytes]) -> None:
    """Print bytes as they are: for files and programs, not for terminals."""
    for piece in pieces:
        _guarded(sys.stdout.buffer.write, piece)
    flush()


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print a table, or what it means that there is nothing in it."""
    from streamer.cli import table  # noqa: PLC0415 - most commands print none

    texts = [["" if value is None else printable(str(value)) for value in row] for row in rows]
    if texts:
        _write("".join(f"{line}\n" for line in table.lay_out(headings, texts, table.paper())))
    else:
        print_lines([empty])


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


def say(notes: Iterable[str]) -> None:
    """Tell a person something beside the result."""
    sys.stderr.write("".join(f"note: {printable(note)}\n" for note in notes))


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone; raises `UsageError` when it is not wanted."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("this wants a confirmation", hint="Say --yes to do it without asking.")
    flush()
    sys.stderr.write(f"{printable(question)} [y/N] ")
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
    _guarded(sys.stdout.flush)


def _write(text: str) -> None:
    _guarded(sys.stdout.write, text)


def _guarded(write: Callable[..., object], *values: object) -> None:
    try:
        write(*values)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StreamerError(
            f"standard output cannot be written ({error.strerror})",
            hint="Free space there, or send it elsewhere; what the command changed is changed.",
        ) from error

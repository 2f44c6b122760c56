"""Standard input, output and error: there, and never the cause of a traceback.

A cron job may start a command with one of them closed, and ``head`` goes away
before the end. It knows only the standard library, so that help stays quick.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from streamer.core.errors import StreamerError

READER_GONE = 141
"""The exit code of a command whose reader has gone away, as SIGPIPE would have ended it."""

_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def make_whole() -> None:
    """Open what is closed, so that no file takes its number, and escape what cannot be encoded."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))
            assert descriptor == number
        elif hasattr(stream, "reconfigure") and mode == "w":
            stream.reconfigure(errors="backslashreplace")


def write(out: Callable[..., object], *values: object) -> None:
    """Write to standard output by a method of it.

    Raises:
        BrokenPipeError: nobody reads it any more.
        StreamerError: it cannot be written for another reason, such as a full disk.
    """
    try:
        out(*values)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise not_written(error) from error


def is_of_output(error: OSError) -> bool:
    """Tell whether an error is of writing to a stream: one of a file has the file's name."""
    return error.filename is None and error.errno in _OF_WRITING


def not_written(error: OSError) -> StreamerError:
    """Let go of what cannot be written to standard output, and say so."""
    drop()
    return StreamerError(
        f"standard output cannot be written ({error.strerror})",
        hint="Free space there, or send it elsewhere; what the command changed is changed.",
    )


def drop() -> None:
    """Let go of what was printed and not yet handed on: the end of the program would try again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
            continue
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)

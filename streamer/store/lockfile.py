"""One service for each data directory: a lock that ends with the process that holds it.

The lock is the kernel's (``flock``), so a crash leaves none behind; the file
stays, because removing it would let two processes lock two files of one name.
The number of the process is in it for people, and decides nothing.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamer.core.errors import StoreError

FILE_NAME = "streamer.lock"
_TRIES = 5
_PAUSE_SECONDS = 0.02
"""`is_held` takes the lock for an instant, which must not stop a service from starting."""


@contextmanager
def hold(data_dir: Path) -> Iterator[None]:
    """Keep a data directory to this process; raises `StoreError` when another one has it."""
    descriptor = _open(data_dir)
    try:
        if not _lock(descriptor):
            holder = _holder(descriptor)
            raise StoreError(
                f"{data_dir} is in use by {holder}",
                hint="Stop the service first, such as with `systemctl stop streamer`.",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)  # ends the lock as well


def is_held(data_dir: Path) -> bool:
    """Tell whether a process holds the directory; raises `StoreError` when it may not look."""
    try:
        (data_dir / FILE_NAME).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreachable(data_dir, error) from error
    descriptor = _open(data_dir)
    try:
        return not _take(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _open(data_dir: Path) -> int:
    try:
        return os.open(data_dir / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unreachable(data_dir, error) from error


def _unreachable(data_dir: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{data_dir / FILE_NAME} cannot be opened ({error.strerror})",
        hint="The data directory must exist; run the command as the user that owns it.",
    )


def _lock(descriptor: int) -> bool:
    for _ in range(_TRIES):
        if _take(descriptor, fcntl.LOCK_EX):
            return True
        time.sleep(_PAUSE_SECONDS)
    return False


def _take(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    number = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return f"process {number}" if number.isdigit() else "another process"

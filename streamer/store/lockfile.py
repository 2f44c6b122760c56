"""One service for each data directory: a lock that ends with the process that holds it.

The lock is the kernel's (``flock``), so a crash leaves none behind; the file
stays, because removing it would let two processes lock two files of one name.
The number of the process is in it for people, and for whoever finds that it is
gone and the directory still held: a service of several processes hands the lock
on to all of them, and whatever kills the main one, the others may live on for
some seconds, to answer the calls that they have. Nothing may take the database
away from under them, so they are waited for. The kernel tells who took a lock,
which is the one that is gone; who has inherited it is found by the files that
processes have open.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamer.core.errors import StoreError
from streamer.core.intervals import ORPHANED_SECONDS

FILE_NAME = "streamer.lock"
_TRIES = 5
_PAUSE_SECONDS = 0.02
"""`is_held` takes the lock for an instant, which must not stop a service from starting."""


@contextmanager
def hold(
    data_dir: Path,
    *,
    orphans_seconds: float = ORPHANED_SECONDS,
    on_wait: Callable[[str], None] = lambda holder: None,
) -> Iterator[int]:
    """Keep a data directory to this process; raises `StoreError` when another one has it.

    Gives the descriptor: a process that inherits it holds the directory, too. Waits
    ``orphans_seconds`` for processes of a service whose main process is gone, and says so once.
    """
    descriptor = _open(data_dir)
    try:
        if not _lock(descriptor, orphans_seconds, on_wait):
            raise _in_use(data_dir, descriptor)
        _write_number(descriptor, data_dir)
        yield descriptor
    finally:
        os.close(descriptor)  # ends the lock as well, unless another process has inherited it


def _write_number(descriptor: int, data_dir: Path) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise StoreError(
            f"{data_dir / FILE_NAME} cannot be written ({error.strerror})",
            hint="Free space on the data directory's disk, and look whether the disk is well.",
        ) from error


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


def _lock(descriptor: int, orphans_seconds: float, on_wait: Callable[[str], None]) -> bool:
    for _ in range(_TRIES):
        if _take(descriptor, fcntl.LOCK_EX):
            return True
        time.sleep(_PAUSE_SECONDS)
    until = time.monotonic() + orphans_seconds
    told = False
    while _is_orphaned(descriptor) and time.monotonic() < until:
        if _take(descriptor, fcntl.LOCK_EX):
            return True
        if not told:
            on_wait(_holder(descriptor))
            told = True
        time.sleep(_PAUSE_SECONDS)
    return False


def _in_use(data_dir: Path, descriptor: int) -> StoreError:
    hint = "Stop the service first, such as with `systemctl stop streamer`."
    if _is_orphaned(descriptor):
        hint = (
            "They should have ended by themselves, so they hang; end them with `kill -9`. "
            f"`fuser -v {data_dir / FILE_NAME}` names them, too."
        )
    return StoreError(f"{data_dir} is in use by {_holder(descriptor)}", hint=hint)


def _take(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_orphaned(descriptor: int) -> bool:
    """Tell whether the main process of those that hold the lock is gone."""
    number = _number(descriptor)
    if number is None:
        return False
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _holder(descriptor: int) -> str:
    number = _number(descriptor)
    if number is None:
        return "another process"
    if not _is_orphaned(descriptor):
        return f"process {number}"
    heirs = ", ".join(map(str, _openers(descriptor)))
    named = f" ({heirs})" if heirs else ""
    return f"processes that process {number} has started{named}; it is gone itself"


def _openers(descriptor: int) -> list[int]:
    """Return who else has the file open, of those whom this user may look at."""
    ours = os.fstat(descriptor)
    found: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is somebody else's
            for link in (process / "fd").iterdir():
                with suppress(OSError):  # closed meanwhile
                    if os.path.samestat(link.stat(), ours):
                        found.add(int(process.name))
    return sorted(found - {os.getpid()})


def _number(descriptor: int) -> int | None:
    """Return the number of the process that took the lock last; None if it is not known."""
    text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() and 0 < int(text) < 2**31 else None

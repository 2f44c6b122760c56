"""Turns for the writers of several processes: first come, first served, whoever is quicker.

SQLite has one write lock, and those who want it look again now and then. Of two
busy writers the one that has just let go is there first, again and again: the
other was seen to wait for seven seconds. A lock of the kernel's is no better by
itself, since it goes to whoever asks first once it is free, and whoever has to
be woken asks last. So a turn is a place in a line. Everybody takes a ticket,
the next number, and waits until the one with the number before is through.

Tickets are bytes of a lock file, far beyond its end. Who holds a ticket has the
lock on its byte, and to wait for somebody is to wait for theirs. The file's few
bytes hold the last number, and a byte of its own is locked while that is read
and raised. All this takes microseconds when nobody waits.

The kernel drops the locks of a process that ends, however it ends, so nobody
waits for the dead. One that dies in the middle of the line lets those behind it
come too early; then they meet SQLite's lock, which is there in any case: turns
make writing fair, and the database makes it safe.

Waiting blocks the thread, which is the connection's and never the event loop's.
It has no limit of its own: what holds a turn is one transaction, which has
SQLite's limits, and a process that hangs in one is ended by those who watch it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from streamer.core.errors import StoreError
from streamer.core.limits import BUSY_TIMEOUT_MILLISECONDS
from streamer.store.sqlite import Connection

T = TypeVar("T")

FILE_NAME = "writer.lock"

_NUMBER_BYTES = 8
_COUNTER = 0
"""The byte that is locked while a ticket is taken: the first of the number."""
_TICKETS = 2**20
"""Where the tickets begin; there are more of them than anybody can ever take."""
_TICKETS_MAX = 2**62


class Turns:
    """One process's part in taking turns, of which it may have one: the locks are the process's."""

    def __init__(self, data_dir: Path, *, writers: int) -> None:
        """Take part beside so many ``writers``, this one included.

        Raises:
            StoreError: the lock file can be neither opened nor made.
        """
        self._writers = writers
        self._descriptor = _open(data_dir / FILE_NAME, os.O_CREAT)

    def adapt(self, db: Connection) -> None:
        """Share the wait for another program's lock out among the writers of one database.

        Each of them finds it held in its turn. In the time in which one writer alone looks once,
        every writer has had its look: none stands still for longer because there are more.
        """
        db.execute(f"PRAGMA busy_timeout = {max(1, BUSY_TIMEOUT_MILLISECONDS // self._writers)}")

    def during(self, work: Callable[[Connection], T], db: Connection) -> T:
        """Do ``work(db)`` in a turn, which is waited for; raises `StoreError` if there is none."""
        with _turn(self._descriptor):
            return work(db)

    def close(self) -> None:
        """Take no further part."""
        os.close(self._descriptor)


@contextmanager
def beside_the_service(data_dir: Path) -> Iterator[None]:
    """Take a turn for a command's own transaction, where a service has ever needed turns."""
    path = data_dir / FILE_NAME
    if not path.exists():
        yield
        return
    descriptor = _open(path, 0)
    try:
        with _turn(descriptor):
            yield
    finally:
        os.close(descriptor)


@contextmanager
def _turn(descriptor: int) -> Iterator[None]:
    try:
        ticket = _take_ticket(descriptor)
        try:
            _wait_for(descriptor, ticket - 1)
        except BaseException:
            _unlock(descriptor, _TICKETS + ticket)
            raise
    except OSError as error:
        raise StoreError(
            f"there is no turn to be had for writing ({error.strerror})",
            hint=f"{FILE_NAME} in the data directory must be writable, on a disk of this machine.",
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # what was written is written, and the lock ends with us
            _unlock(descriptor, _TICKETS + ticket)


def _take_ticket(descriptor: int) -> int:
    """Stand at the end of the line; nobody else can have the same number."""
    _lock(descriptor, _COUNTER)
    try:
        last = int.from_bytes(os.pread(descriptor, _NUMBER_BYTES, 0), "little") % _TICKETS_MAX
        ticket = last + 1
        _lock(descriptor, _TICKETS + ticket)
        os.pwrite(descriptor, ticket.to_bytes(_NUMBER_BYTES, "little"), 0)
    finally:
        _unlock(descriptor, _COUNTER)
    return ticket


def _wait_for(descriptor: int, ticket: int) -> None:
    """Wait until whoever has a ticket is through, or gone."""
    _lock(descriptor, _TICKETS + ticket)
    _unlock(descriptor, _TICKETS + ticket)


def _lock(descriptor: int, at: int) -> None:
    fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, at)


def _unlock(descriptor: int, at: int) -> None:
    fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, at)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | flags, 0o600)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be opened ({error.strerror})",
            hint="Run the command as the user that owns the data directory.",
        ) from error

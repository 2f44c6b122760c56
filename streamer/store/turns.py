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

Waiting blocks the thread, which is the connection's and never the event loop's,
and it has an end: whoever has a turn may be a process that somebody has stopped.
The kernel's own way to wait for a lock knows no end, so it is asked for again
and again, after pauses that are short beside a commit and grow; the place in
the line does not depend on who asks first. Whoever has waited
``TURN_WAIT_SECONDS`` goes on without a turn, as does whoever can take no
ticket because the file or the kernel fails. That is counted and costs fairness,
nothing else. The ticket is kept meanwhile, so that those behind come in order,
and the next ticket is not behind the one that stands still.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from streamer.core.errors import StoreError
from streamer.core.intervals import TURN_WAIT_SECONDS
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
_SKIPPED_MAX = 1000
"""Tickets beyond the last number that others may have, because somebody has set the number back."""

_PAUSE_SECONDS_MIN = 0.0001
_PAUSE_SECONDS_MAX = 0.005
_PAUSE_GROWTH = 1.5
"""Looking costs a few microseconds; the wait is some tenths longer than it has to be."""


class Turns:
    """One process's part in taking turns, of which it may have one: the locks are the process's."""

    def __init__(self, data_dir: Path, *, writers: int) -> None:
        """Take part beside so many ``writers``, this one included.

        Raises:
            StoreError: the lock file can be neither opened nor made.
        """
        self.missed = 0
        """How often there was no turn to be had, and the work was done without one."""
        self.missed_because = ""
        """Why not, the last time."""
        self._writers = writers
        self._descriptor = _open(data_dir / FILE_NAME, os.O_CREAT)

    def adapt(self, db: Connection) -> None:
        """Share the wait for another program's lock out among the writers of one database.

        Each of them finds it held in its turn. In the time in which one writer alone looks once,
        every writer has had its look: none stands still for longer because there are more.
        """
        db.execute(f"PRAGMA busy_timeout = {max(1, BUSY_TIMEOUT_MILLISECONDS // self._writers)}")

    def during(self, work: Callable[[Connection], T], db: Connection) -> T:
        """Do ``work(db)`` in a turn, or without one if none is to be had in time."""
        with _turn(self._descriptor) as missed_because:
            if missed_because is not None:
                self.missed += 1
                self.missed_because = missed_because
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
def _turn(descriptor: int) -> Iterator[str | None]:
    """Have a turn for as long as the block takes; gives why there is none, if there is none."""
    until = time.monotonic() + TURN_WAIT_SECONDS
    ticket = missed_because = None
    try:
        try:
            ticket = _take_ticket(descriptor, until)
            _wait_for(descriptor, _TICKETS + ticket - 1, until)
        except TimeoutError:
            missed_because = "somebody has theirs for too long"
        except OSError as error:
            missed_because = error.strerror or type(error).__name__
        yield missed_because
    finally:
        if ticket is not None:
            _unlock(descriptor, _TICKETS + ticket)


def _take_ticket(descriptor: int, until: float) -> int:
    """Stand at the end of the line; nobody else can have the same number."""
    _lock(descriptor, _COUNTER, until)
    try:
        last = int.from_bytes(os.pread(descriptor, _NUMBER_BYTES, 0), "little") % _TICKETS_MAX
        ticket = _first_free(descriptor, last + 1)
        try:
            os.pwrite(descriptor, ticket.to_bytes(_NUMBER_BYTES, "little"), 0)
        except BaseException:
            _unlock(descriptor, _TICKETS + ticket)  # the next one takes the same number
            raise
    finally:
        _unlock(descriptor, _COUNTER)
    return ticket


def _first_free(descriptor: int, ticket: int) -> int:
    """Lock the first ticket from here on that nobody has."""
    for tried in range(ticket, ticket + _SKIPPED_MAX):
        if _try_lock(descriptor, _TICKETS + tried):
            return tried
    raise TimeoutError


def _wait_for(descriptor: int, at: int, until: float) -> None:
    """Wait until whoever has locked a byte is through, or gone."""
    _lock(descriptor, at, until)
    _unlock(descriptor, at)


def _lock(descriptor: int, at: int, until: float) -> None:
    """Lock a byte; raises `TimeoutError` when somebody else has it for too long."""
    pause_seconds = _PAUSE_SECONDS_MIN
    while not _try_lock(descriptor, at):
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(pause_seconds)
        pause_seconds = min(_PAUSE_SECONDS_MAX, pause_seconds * _PAUSE_GROWTH)


def _try_lock(descriptor: int, at: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
    except BlockingIOError:
        return False
    return True


def _unlock(descriptor: int, at: int) -> None:
    with suppress(OSError):  # it is nobody's fault here, and ends with the process at the latest
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, at)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | flags, 0o600)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be opened ({error.strerror})",
            hint="Run the command as the user that owns the data directory.",
        ) from error

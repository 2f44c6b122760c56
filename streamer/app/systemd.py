"""What systemd and its services say to each other, spoken without a library.

Owns three small protocols, all of them carried by environment variables: state
changes sent to the manager (``NOTIFY_SOCKET``), listening sockets handed over
by a socket unit (``LISTEN_*``), and the watchdog's interval (``WATCHDOG_*``);
and whether the journal reads what is written (``JOURNAL_STREAM``).

Outside systemd the variables are missing. Then nothing is sent, no socket was
inherited, no watchdog waits, and nothing here raises: the program behaves the
same, only unwatched. It knows nothing of what is served on a socket or of what
counts as being alive.
"""

from __future__ import annotations

import os
import socket
import stat
import time

# File descriptors 0 to 2 are standard input, output and error; inherited sockets follow.
FIRST_INHERITED_FD = 3

# The manager reads its socket at once unless it is in serious trouble, and our loop must not
# stand still with it. A state that was not taken in this time counts as not sent.
SEND_TIMEOUT_SECONDS = 0.2


def notify(*assignments: str) -> bool:
    r"""Send ``VARIABLE=value`` assignments to the manager in one message.

    True means that the manager's socket took it; False, that nobody asked for
    notifications or that the socket refused. Values must not contain line
    breaks: they separate assignments.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        # How an address without a file is written in an environment variable.
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(SEND_TIMEOUT_SECONDS)
            manager.connect(address)
            manager.sendall("\n".join(assignments).encode())
    except OSError:
        return False
    return True


def notify_ready(status: str) -> bool:
    """Say that start-up, or a reload, is complete, and what the service is doing."""
    return notify("READY=1", f"STATUS={_one_line(status)}")


def notify_reloading(status: str) -> bool:
    """Say that the configuration is being read again; `notify_ready` ends it.

    The time lets a manager that waits for the reload (``Type=notify-reload``)
    tell this reload's answer from an earlier one's.
    """
    return notify(
        "RELOADING=1",
        f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}",
        f"STATUS={_one_line(status)}",
    )


def notify_stopping(status: str) -> bool:
    """Say that the service has begun to stop."""
    return notify("STOPPING=1", f"STATUS={_one_line(status)}")


def notify_status(status: str) -> bool:
    """Set the line that ``systemctl status`` shows."""
    return notify(f"STATUS={_one_line(status)}")


def notify_watchdog() -> bool:
    """Say that the service is alive; due at least every `watchdog_interval_seconds`."""
    return notify("WATCHDOG=1")


def notify_extend_timeout(seconds: float) -> bool:
    """Ask for ``seconds`` from now before a slow start or stop counts as hung.

    To be repeated within each period for as long as the work goes on.
    """
    return notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")


def inherited_sockets() -> dict[str, tuple[int, ...]]:
    """Take over the listening sockets that a socket unit handed to this process.

    Returns file descriptors by the name the unit gave them (one name may have
    several: a unit listens on each of its addresses). They are not passed on to
    child processes, and a second call finds none: the variables are removed, so
    that no child takes them for its own. Sockets meant for another process,
    and descriptors that are not sockets, are left alone.
    """
    process = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if process != str(os.getpid()) or not count.isdecimal():
        return {}

    inherited: dict[str, tuple[int, ...]] = {}
    for index in range(int(count)):
        descriptor = FIRST_INHERITED_FD + index
        if not _is_socket(descriptor):
            continue
        os.set_inheritable(descriptor, False)
        # The manager's own word for a descriptor without a name.
        name = (names[index] if index < len(names) else "") or "unknown"
        inherited[name] = (*inherited.get(name, ()), descriptor)
    return inherited


def watchdog_interval_seconds() -> float | None:
    """How long the manager waits for a sign of life before it kills us; None: it does not.

    A sign should be sent several times in that span: `notify_watchdog`.
    """
    interval = os.environ.get("WATCHDOG_USEC", "")
    process = os.environ.get("WATCHDOG_PID", "") or str(os.getpid())
    if process != str(os.getpid()) or not interval.isdecimal() or int(interval) == 0:
        return None
    return int(interval) / 1_000_000


def is_journal(descriptor: int) -> bool:
    """Tell whether what is written to a file descriptor goes to the journal.

    The variable alone does not say so: whatever a service starts inherits it,
    a terminal of a desktop included.
    """
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _one_line(text: str) -> str:
    # A line break inside a value would begin another assignment.
    return " ".join(text.splitlines())


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False

"""Listening sockets: inherited from the service manager, or bound by ourselves.

They are bound before anything is served, so that a port in use is a clear
error at the start and not a server that dies later.
"""

from __future__ import annotations

import errno
import resource
import socket
import stat
from pathlib import Path

from streamer.core.errors import ConfigurationError, StreamerError
from streamer.core.limits import CONNECTIONS_DIVISOR, CONNECTIONS_MAX, LISTEN_BACKLOG

UNIX_PREFIX = "unix:"
_UNIX_MODE = 0o660


def adopt(descriptor: int) -> socket.socket:
    """Take over an inherited listening socket."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener


def bind(address: str, setting: str) -> socket.socket:
    """Listen on ``host:port``, ``[ipv6]:port`` or ``unix:/path``.

    Raises `ConfigurationError` naming the ``setting`` when that can never be, and a plain
    `StreamerError` while another program has the address.
    """
    try:
        if address.startswith(UNIX_PREFIX):
            listener = _bind_unix(Path(address.removeprefix(UNIX_PREFIX)))
        else:
            listener = _bind_tcp(address)
        listener.listen(LISTEN_BACKLOG)
    except OSError as error:
        raise _explain(address, setting, error) from error
    listener.setblocking(False)
    return listener


def _bind_tcp(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
    except BaseException:
        listener.close()
        raise
    return listener


def _bind_unix(path: Path) -> socket.socket:
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()  # left by a process that is gone: the lock says that we are alone
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(_UNIX_MODE)
    except BaseException:
        listener.close()
        raise
    return listener


def _explain(address: str, setting: str, error: OSError) -> StreamerError:
    hint = f"Change {setting}."
    if error.errno == errno.EADDRINUSE:
        # No configuration error, which nobody would try again: the other program may go.
        return StreamerError(
            f"cannot listen on {address}: {error.strerror}",
            hint=f"Another program listens there; stop it or change {setting}.",
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        hint = "Ports below 1024 belong to root: let systemd's socket unit bind it."
    return ConfigurationError(f"cannot listen on {address}: {error.strerror}", hint=hint)


def connections_max() -> int:
    """Return how many connections may be open at once, given the process's descriptors."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(1, min(CONNECTIONS_MAX, descriptors // CONNECTIONS_DIVISOR))


def describe(listener: socket.socket) -> str:
    """Write a listener's address as a URL, for people."""
    if listener.family == socket.AF_UNIX:
        return f"{UNIX_PREFIX}{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

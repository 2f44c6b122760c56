"""Addresses in the configuration: what we listen on and what we call.

Only text is looked at: no name is resolved and nothing is connected. A host is
loopback when it is ``localhost`` or a loopback address, because another name
may point anywhere by the time it is used.
"""

from __future__ import annotations

import ipaddress
import urllib.parse

import msgspec

UNIX_PREFIX = "unix:"
UNIX_PATH_BYTES_MAX = 107
"""What Linux allows in a socket's address, less the closing NUL."""

WILDCARD_HOSTS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised here, not listened on


_NOT_A_URL = "must be a whole URL, as in `https://example.com/events`"


class TcpBind(msgspec.Struct, frozen=True):
    """A host, without brackets, and a port; port 0 lets the system choose."""

    host: str
    port: int


class UnixBind(msgspec.Struct, frozen=True):
    """An absolute path of a Unix socket."""

    path: str


Bind = TcpBind | UnixBind


def parse_bind(text: str) -> Bind:
    """Read ``host:port``, ``[ipv6]:port`` or ``unix:/path``; raise ValueError with the reason."""
    if text.startswith(UNIX_PREFIX):
        return _parse_unix(text.removeprefix(UNIX_PREFIX))
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError("must be `host:port`, `[ipv6]:port` or `unix:/path`")
    if host.startswith("[") and host.endswith("]"):
        return TcpBind(_ipv6(host[1:-1]), int(port))
    if not is_host(host):
        raise ValueError("must name a host; an IPv6 address stands in brackets")
    return TcpBind(host.lower(), int(port))


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError("has no IPv6 address between its brackets") from None


def _parse_unix(path: str) -> UnixBind:
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError("the path of a Unix socket must be absolute, as in `unix:/run/x.sock`")
    if len(path.encode()) > UNIX_PATH_BYTES_MAX:
        raise ValueError(f"the path of a Unix socket has at most {UNIX_PATH_BYTES_MAX} bytes")
    return UnixBind(path)


def is_host(text: str) -> bool:
    """Tell whether a text can be a host name or an IPv4 address."""
    labels = text.split(".")
    return all(
        label.isascii() and label.replace("-", "").replace("_", "").isalnum() for label in labels
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host, written without brackets, can only be this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_local(bind: Bind) -> bool:
    """Tell whether only this machine can reach what is bound there."""
    return isinstance(bind, UnixBind) or is_loopback(bind.host)


def collide(one: Bind, other: Bind) -> bool:
    """Tell whether two listeners cannot stand at both addresses."""
    if isinstance(one, TcpBind) and isinstance(other, TcpBind):
        hosts = {one.host, other.host}
        same_host = len(hosts) == 1 or bool(hosts & WILDCARD_HOSTS)
        return one.port == other.port != 0 and same_host
    return one == other


def check_url(text: str) -> None:
    """Raise ValueError unless an outgoing URL is https, or plain http on loopback.

    Neither the URL nor a part of it is repeated in the message: it may carry a token.
    """
    if any(character <= " " or character == "\x7f" for character in text):
        raise ValueError("must not contain blanks or control characters")
    try:
        url = urllib.parse.urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:  # Its message repeats what it could not read.
        raise ValueError(_NOT_A_URL) from None
    if not host or port == 0:
        raise ValueError(_NOT_A_URL)
    if "@" in url.netloc:
        raise ValueError("must not carry a user or password: use a secret setting")
    if url.fragment:
        raise ValueError("must not carry a fragment (`#…`)")
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(host)):
        raise ValueError("must be https; plain http is for loopback only")

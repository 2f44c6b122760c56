"""Plain HTTP calls for commands: to a port, over TLS, or into a Unix socket.

The standard library's client on purpose: a command that sends one call should
not spend half a second on importing a better one. One connection is kept and
used again, as Customer.io does; one that the other side has closed meanwhile
is opened anew once. No answer is more than a status, headers and a few KiB.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.parse
from collections.abc import Mapping

import msgspec

from streamer.config.address import UNIX_PREFIX, WILDCARD_HOSTS, UnixBind, parse_bind
from streamer.core.errors import StreamerError, UsageError
from streamer.core.limits import ANSWER_BYTES_MAX
from streamer.ingest.answers import REASON_HEADER

WEBHOOKS = "/webhooks/"
_PORTS = {"http": 80, "https": 443}
_STALE = (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)


class CallFailed(StreamerError):
    """No answer came; the cause is kept."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where calls go."""

    scheme: str
    """``http``, ``https`` or ``unix``."""
    host: str
    """A name or an address without brackets; for ``unix`` the socket's path."""
    port: int = 0
    path: str = "/"

    @property
    def url(self) -> str:
        """The place as people write it."""
        if self.scheme == "unix":
            return f"{UNIX_PREFIX}{self.host} {self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    def at(self, path: str) -> Place:
        """Return another path of the same server."""
        return msgspec.structs.replace(self, path=path)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def reason(self) -> str:
        """Why the service answered so; empty when it did not say or did not answer itself."""
        return self.headers.get(REASON_HEADER, "")


def place_of_bind(bind: str) -> Place:
    """Return where a listener of the configuration is reached from this machine.

    Raises:
        UsageError: the system chose its port, so the configuration does not know it.
    """
    parsed = parse_bind(bind)
    if isinstance(parsed, UnixBind):
        return Place(scheme="unix", host=parsed.path)
    if parsed.port == 0:
        raise UsageError(
            "the configuration leaves the port to the system (port 0)",
            hint="Give the address with --url; `streamer serve` prints it when it starts.",
        )
    host = parsed.host
    if host in WILDCARD_HOSTS:
        host = "::1" if ":" in host else "127.0.0.1"
    return Place(scheme="http", host=host, port=parsed.port)


def place_of_url(text: str, *, source: str) -> Place:
    """Read a URL that a person gave; one without a path gets the path of the source's webhook.

    Raises:
        UsageError: it is no URL that can be called.
    """
    if text.startswith(UNIX_PREFIX):
        return Place(scheme="unix", host=text.removeprefix(UNIX_PREFIX), path=WEBHOOKS + source)
    try:
        parts = urllib.parse.urlsplit(text if "://" in text else f"https://{text}")
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
        parts = urllib.parse.urlsplit("")
    if scheme not in _PORTS or not host or not text.isprintable() or " " in text:
        raise UsageError(
            f"{text!r} is no URL", hint="Write it like https://hooks.example.com, or unix:/path."
        )
    path = parts.path if parts.path.strip("/") else WEBHOOKS + source
    return Place(scheme=scheme, host=host, port=port or _PORTS[scheme], path=path)


class Caller:
    """One connection to one server; a context manager."""

    def __init__(
        self, place: Place, *, timeout_seconds: float, context: ssl.SSLContext | None = None
    ) -> None:
        self.place = place
        self._connection = _connection(place, timeout_seconds, context)
        self.answered = False
        """True once an answer has come; a later call may then meet a connection that is stale."""

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def call(
        self,
        method: str,
        path: str | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Make one call to the place's path, or another of the same server.

        Raises:
            CallFailed: no answer came, or none that is HTTP.
        """
        begun = time.perf_counter()
        for last_try in (not self.answered, True):
            try:
                self._connection.request(method, path or self.place.path, body, headers or {})
                reply = self._read(begun)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if last_try or not isinstance(error, _STALE):
                    raise CallFailed(f"{self.place.url}: {explain(error)}") from error
            else:
                self.answered = True
                return reply
        raise AssertionError("the second try returns or raises")

    def _read(self, begun: float) -> Reply:
        response = self._connection.getresponse()
        content = response.read(ANSWER_BYTES_MAX)
        if not response.isclosed():
            self._connection.close()
        return Reply(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=content,
            seconds=time.perf_counter() - begun,
        )


def explain(error: Exception) -> str:
    """Say in a few words why a call failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason given'})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return f"the answer is not HTTP ({type(error).__name__})"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP through a Unix socket."""

    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(
    place: Place, timeout_seconds: float, context: ssl.SSLContext | None
) -> http.client.HTTPConnection:
    if place.scheme == "unix":
        return _UnixConnection(place.host, timeout_seconds)
    if place.scheme == "https":
        return http.client.HTTPSConnection(
            place.host, place.port, timeout=timeout_seconds, context=context
        )
    return http.client.HTTPConnection(place.host, place.port, timeout=timeout_seconds)

"""One call over HTTP: the only module that knows the HTTP client.

`request` returns an `Answer`, whatever its status, or raises a
`TransportError` of one of a few kinds. Redirects are not followed, cookies not
kept, proxies not taken from the environment, and of an answer no more is read
than was asked for: what answers is not trusted. A POST is never repeated here;
whether an event is sent again is for the drain to say. A GET or PUT that meets
a connection which is just being closed is made once more.
"""

from __future__ import annotations

import asyncio
import enum
import io
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn
from urllib.parse import urlsplit

import aiohttp
import anyio
import msgspec

from streamer.core.errors import ConfigurationError, StreamerError
from streamer.core.limits import ANSWER_LINE_BYTES_MAX

# Node closes an idle connection after 5 s and is the quickest of the common servers. Letting go
# before that keeps a request from meeting a connection that is just being closed.
_IDLE_SECONDS_MAX = 4.0

# The client warns of more that is given as bytes. As a file it is copied twice on its way, and the
# loop goes round for each 64 KiB.
_PLAIN_BYTES_MAX = 2**20

# An address that moved is found after this many seconds.
_DNS_SECONDS_MAX = 10


class Fault(enum.Enum):
    """Why there is no answer."""

    DNS = "dns"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    RESET = "reset"
    TLS = "tls"
    CERTIFICATE = "tls_certificate"
    PROTOCOL = "protocol"


class TransportError(StreamerError):
    """There is no answer, or none that was understood; whether the request arrived is unknown."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case; of a name that comes twice, the first."""
    body: bytes
    """As it came, packed or not, cut off at as many bytes as were asked for."""
    is_cut: bool = False
    """There was more of it."""


class Reached(msgspec.Struct, frozen=True):
    """What connecting, without asking for anything, has shown."""

    address: str
    certificate_expires_at: int | None
    """Milliseconds since 1970; None without TLS."""


class Streamed:
    """An answer of which nothing is kept: its body is read once, in pieces as they come."""

    def __init__(self, response: aiohttp.ClientResponse, url: str) -> None:
        self.status = response.status
        self.headers = _named(response)
        self._response = response
        self._url = url

    async def pieces(self) -> AsyncIterator[bytes]:
        """Read the body; raises `TransportError` when it ends early."""
        try:
            async for piece in self._response.content.iter_any():
                yield piece
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _raise_mapped(error, self._url)

    async def read(self, bytes_max: int) -> bytes:
        """Read the beginning of the body instead; raises `TransportError`."""
        try:
            return await _read(self._response.content, bytes_max)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _raise_mapped(error, self._url)


class Transport:
    """Connections, kept open between requests; each call ends within the limits or raises."""

    def __init__(
        self,
        *,
        connect_seconds_max: float,
        total_seconds_max: float,
        connections_max: int,
        ca_file: str | None = None,
    ) -> None:
        """Set the limits; nothing is connected yet.

        Args:
            connect_seconds_max: for the name, the connection and TLS together.
            total_seconds_max: from the beginning to the last byte of the answer.
            connections_max: open at once. A call that finds none free waits, and the wait counts as
                connecting: let it be as many as there can be calls.
            ca_file: PEM file of the authorities to trust instead of the system's.

        Raises:
            ConfigurationError: ``ca_file`` cannot be used.
        """
        self._timeout = aiohttp.ClientTimeout(total=total_seconds_max, connect=connect_seconds_max)
        self._connect_seconds_max = connect_seconds_max
        self._connections_max = connections_max
        self._tls = _tls_context(ca_file)
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        answer_bytes_max: int,
        body: bytes | None = None,
    ) -> Answer:
        """Make one call and return the answer, of its body at most ``answer_bytes_max``.

        Raises:
            TransportError: there is no answer that can be relied upon.
        """
        if self._session is None:
            self._session = self._open_session()
        try:
            async with self._session.request(
                method,
                url,
                data=_as_taken(body),
                headers=headers,
                allow_redirects=False,
            ) as response:
                read = await _read(response.content, answer_bytes_max + 1)
                return Answer(
                    response.status,
                    _named(response),
                    read[:answer_bytes_max],
                    is_cut=len(read) > answer_bytes_max,
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _raise_mapped(error, url)

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str], total_seconds_max: float
    ) -> AsyncIterator[Streamed]:
        """Make one call whose answer is read piece by piece, for as long as it takes up to a limit.

        Raises:
            TransportError: there is no answer, or, while it is read, no more of it.
        """
        if self._session is None:
            self._session = self._open_session()
        limits = aiohttp.ClientTimeout(total=total_seconds_max, connect=self._connect_seconds_max)
        async with AsyncExitStack() as stack:
            try:
                response = await stack.enter_async_context(
                    self._session.request(
                        method, url, headers=headers, allow_redirects=False, timeout=limits
                    )
                )
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                _raise_mapped(error, url)
            yield Streamed(response, url)

    async def reach(self, url: str) -> Reached:
        """Connect as `request` would, send nothing, and say what was met.

        Raises:
            TransportError: there is no connection to be had.
        """
        secure = urlsplit(url).scheme == "https"
        host, port = _host_and_port(url)
        try:
            with anyio.fail_after(self._connect_seconds_max):
                _, writer = await asyncio.open_connection(
                    host, port, ssl=self._tls if secure else None
                )
        except (OSError, TimeoutError) as error:
            _raise_mapped(error, url)
        try:
            return Reached(writer.get_extra_info("peername")[0], _expiry(writer))
        finally:
            # Without waiting for the other side's farewell, which may never come.
            writer.transport.abort()

    async def aclose(self) -> None:
        """Close the connections; `request` would open new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._connections_max,
            ssl=self._tls,
            keepalive_timeout=_IDLE_SECONDS_MAX,
            ttl_dns_cache=_DNS_SECONDS_MAX,
            # The system's own resolver, with its hosts file, in a thread.
            resolver=aiohttp.ThreadedResolver(),
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            raise_for_status=False,
            max_line_size=ANSWER_LINE_BYTES_MAX,
            max_field_size=ANSWER_LINE_BYTES_MAX,
            # The client raises on what it cannot unpack, after the server has taken the events.
            auto_decompress=False,
            # Answers are short; a packed one could unfold to anything.
            headers={"User-Agent": "streamer", "Accept-Encoding": "identity"},
        )


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        # ssl.SSLError, for a file without certificates, is one too.
        raise ConfigurationError(
            f"the certificates in {ca_file} cannot be used: {error.strerror or error}",
            hint="`ca_file` must be a PEM file that the service's user can read.",
        ) from error


def _named(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    return {name.lower(): value for name, value in reversed([*response.headers.items()])}


def _as_taken(body: bytes | None) -> bytes | io.BytesIO | None:
    """Return a body in the form in which the client takes it with the least work."""
    if body is None or len(body) <= _PLAIN_BYTES_MAX:
        return body
    return io.BytesIO(body)


async def _read(content: aiohttp.StreamReader, bytes_max: int) -> bytes:
    """Read to the end or ``bytes_max``; what is left over costs the connection, and no memory."""
    chunks = []
    room = bytes_max
    while room > 0 and (chunk := await content.read(room)):
        chunks.append(chunk)
        room -= len(chunk)
    return b"".join(chunks)


def _expiry(writer: asyncio.StreamWriter) -> int | None:
    certificate = writer.get_extra_info("peercert")
    if not certificate:
        return None
    return ssl.cert_time_to_seconds(certificate["notAfter"]) * 1000


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _raise_mapped(error: Exception, url: str) -> NoReturn:
    """Raise what an exception of the client or the system means to us."""
    host, port = _host_and_port(url)
    server = f"{host} port {port}"
    for classes, fault, message in _MEANINGS:
        if isinstance(error, classes):
            raise TransportError(fault, message.format(server=server, host=host)) from error
    raise TransportError(Fault.CONNECT, f"{server} cannot be reached") from error


# Special cases come before the general. The messages are ours, because the client's own quote the
# URL, of which all but host and port may be secret.
_MEANINGS: tuple[tuple[tuple[type[Exception], ...], Fault, str], ...] = (
    ((TimeoutError,), Fault.TIMEOUT, "{server} gave no complete answer in time"),
    (
        (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError),
        Fault.CERTIFICATE,
        "the certificate of {server} does not stand up to checking",
    ),
    (
        (aiohttp.ClientConnectorDNSError, socket.gaierror),
        Fault.DNS,
        "the name {host} does not resolve",
    ),
    (
        (aiohttp.ClientSSLError, ssl.SSLError),
        Fault.TLS,
        "TLS could not be agreed upon with {server}",
    ),
    (
        (aiohttp.ClientConnectorError, ConnectionRefusedError),
        Fault.CONNECT,
        "{server} does not take connections",
    ),
    (
        (
            aiohttp.ServerConnectionError,
            aiohttp.ClientOSError,
            aiohttp.ClientPayloadError,
            ConnectionError,
        ),
        Fault.RESET,
        "the connection to {server} broke before the answer was complete",
    ),
    ((aiohttp.ClientError,), Fault.PROTOCOL, "what {server} answered is not HTTP as we know it"),
)

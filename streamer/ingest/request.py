"""Reading a request: its headers once, its body to the end, within bounds.

The body is read to its end before anything is answered, even when the answer
is known: an answer that comes early breaks the pipe of a sender that is still
writing, and a broken pipe costs a genuine sender an hour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from streamer.core.limits import HEADER_BYTES_MAX, TRUNCATED_COPY_BYTES
from streamer.ingest import answers
from streamer.ingest.answers import Answer

Receive = Callable[[], Awaitable[dict[str, Any]]]


_NOT_ENCODED = frozenset({b"", b"identity"})


class Disconnected(Exception):
    """The sender has gone; nobody is left to answer."""


class Overloaded(Exception):
    """There is no memory to be had for this body."""


class Hash(Protocol):
    """Something that eats the body while it is read."""

    def update(self, chunk: bytes, /) -> object:
        """Take the next piece."""
        ...


class CallHeaders(msgspec.Struct):
    """The headers that matter, from one look at all of them."""

    signature: bytes | None = None
    timestamp: bytes | None = None
    content_encoding: bytes | None = None
    doubled: bool = False
    """A signature or timestamp header came twice: whose word would count?"""
    refusal: Answer | None = None
    """What makes the request unacceptable, if anything."""


def read_headers(headers: Sequence[tuple[bytes, bytes]], http_version: str) -> CallHeaders:
    """Look at the headers once; names are in lower case, as ASGI demands."""
    found = CallHeaders()
    total = lengths = encodings = 0
    for name, value in headers:
        total += len(name) + len(value) + 4  # the colon, the blank and the line's end
        if name == b"x-cio-signature":
            found.doubled = found.doubled or found.signature is not None
            found.signature = value
        elif name == b"x-cio-timestamp":
            found.doubled = found.doubled or found.timestamp is not None
            found.timestamp = value
        elif name == b"content-length":
            lengths += 1
        elif name == b"transfer-encoding":
            encodings += 1
        elif name == b"content-encoding":
            if value.lower() not in _NOT_ENCODED:
                found.content_encoding = value
        elif name == b"expect":
            found.refusal = answers.NO_EXPECTATIONS
    if lengths + encodings > 1:
        found.refusal = answers.BAD_FRAMING
    if total > HEADER_BYTES_MAX:
        found.refusal = answers.HEADERS_TOO_LARGE
    if not http_version.startswith("1"):
        found.refusal = answers.HTTP_1_ONLY
    return found


class Body(msgspec.Struct):
    """A body that was read to its end."""

    kept: bytes
    """All of it, or its first bytes when it was beyond the hard cap."""
    length: int
    sha256: bytes | None = None
    """The digest of all of it, when ``kept`` is only the beginning."""


class Budget:
    """Memory for bodies that are being read, all requests together."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0

    def take(self, size: int) -> None:
        """Claim memory; raises `Overloaded` when there is none left."""
        if self._bytes + size > self._bytes_max:
            raise Overloaded
        self._bytes += size

    def give_back(self, size: int) -> None:
        """Return what was claimed."""
        self._bytes -= size


class BodyReader:
    """Reads one body, feeding ``running_hash`` with every piece of it.

    Of a body above ``bytes_max`` only the beginning is kept.
    """

    def __init__(
        self, receive: Receive, budget: Budget, running_hash: Hash | None, *, bytes_max: int
    ) -> None:
        self.complete = False
        self._receive = receive
        self._budget = budget
        self._hash = running_hash
        self._bytes_max = bytes_max
        self._chunks: list[bytes] = []
        self._claimed = 0
        self._length = 0
        self._digest: hashlib._Hash | None = None

    async def read(self) -> Body:
        """Read to the end; raises `Disconnected` or `Overloaded`."""
        while not self.complete:
            chunk = await self._next()
            if chunk:
                self._take(chunk)
        if self._digest is not None:
            kept = b"".join(self._chunks)
            return Body(kept, self._length, self._digest.digest())
        chunks = self._chunks
        return Body(chunks[0] if len(chunks) == 1 else b"".join(chunks), self._length)

    async def discard(self) -> None:
        """Read on and keep nothing, so that the sender can finish; raises `Disconnected`."""
        while not self.complete:
            await self._next()

    def close(self) -> None:
        """Return the memory."""
        self._budget.give_back(self._claimed)
        self._claimed = 0

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        self.complete = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk

    def _take(self, chunk: bytes) -> None:
        self._length += len(chunk)
        if self._hash is not None:
            self._hash.update(chunk)
        if self._digest is not None:
            self._digest.update(chunk)
        elif self._length > self._bytes_max:
            self._begin_truncating(chunk)
        else:
            self._claim(len(chunk))
            self._chunks.append(chunk)

    def _begin_truncating(self, chunk: bytes) -> None:
        """Keep the beginning and a digest of what is too large to be kept."""
        whole = b"".join([*self._chunks, chunk])
        self._digest = hashlib.sha256(whole)
        beginning = whole[:TRUNCATED_COPY_BYTES]
        self._chunks = [beginning]
        self.close()
        self._claim(len(beginning))

    def _claim(self, size: int) -> None:
        """Claim memory for this body; what could not be claimed is not given back either."""
        self._budget.take(size)
        self._claimed += size

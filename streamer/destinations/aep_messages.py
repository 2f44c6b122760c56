"""From events to requests: what is said of each event, and what fits into one request.

A message is a content between two pieces of bytes that are the same for all
messages of a destination: in mode ``xdm`` the entity between the halves of the
envelope, which names organisation, dataset, flow and schema; in mode ``raw`` the
webhook's body alone. So a request costs one joining of bytes, and its length is
known to the byte before it is put together.

What cannot become a message is settled here, before anything is sent: as unfit,
or as accepted when the destination has nothing to say of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from streamer.core.event import StoredEvent, one_line
from streamer.core.outcome import NOTHING_TO_SEND, Outcome, unfit
from streamer.core.privacy import Redactor, UnredactableBody
from streamer.core.xdm.mapper import Mapper, Unmappable
from streamer.destinations.aep_options import AepOptions

# Numbers stay text: no float holds 1e999, which is JSON all the same.
_READER = msgspec.json.Decoder(float_hook=str)

_OPEN, _COMMA, _CLOSE = b'{"messages":[', b",", b"]}"


class Message(msgspec.Struct, frozen=True, gc=False):
    """What is sent of one event."""

    position: int
    content: bytes
    shed: tuple[str, ...] = ()
    """Parts that were left out because of the size."""


class Frame(msgspec.Struct, frozen=True):
    """What stands around each content."""

    before: bytes = b""
    after: bytes = b""

    def size(self, message: Message) -> int:
        """Return the bytes that a message takes in a request, with the comma behind it."""
        return len(self.before) + len(message.content) + len(self.after) + len(_COMMA)

    def body(self, messages: Sequence[Message]) -> bytes:
        """Return a request's body."""
        between = self.after + _COMMA + self.before
        contents = [message.content for message in messages]
        # Joined once: it is up to a megabyte.
        contents[0] = _OPEN + self.before + contents[0]
        contents[-1] += self.after + _CLOSE
        return between.join(contents)


_AROUND = len(_OPEN) + len(_CLOSE) - len(_COMMA)  # the last message has no comma behind it


def pack(messages: Iterable[Message], frame: Frame, bytes_max: int) -> Iterator[list[Message]]:
    """Cut messages, in order, into requests of at most ``bytes_max``; each of them fits alone."""
    part: list[Message] = []
    total = _AROUND
    for message in messages:
        size = frame.size(message)
        if part and total + size > bytes_max:
            yield part
            part, total = [], _AROUND
        part.append(message)
        total += size
    if part:
        yield part


class Author(Protocol):
    """Says what is sent of an event."""

    def write(self, event: StoredEvent) -> Message | Outcome:
        """Return the message, or what becomes of the event without one; never raises."""
        ...

    def frame(self, now_ms: int) -> Frame:
        """Return what stands around the contents of a request made at this wall time."""
        ...


class XdmAuthor:
    """Maps events to XDM entities."""

    def __init__(self, options: AepOptions, mapper: Mapper) -> None:
        self._mapper = mapper
        self._redactor = Redactor(drop=options.privacy.drop, hash=options.privacy.hash)
        self._bytes_max = options.request_bytes_max
        self._before, self._between = _envelope(options)
        self._any_frame = self.frame(0)

    def write(self, event: StoredEvent) -> Message | Outcome:
        """Map one event."""
        try:
            body = self._redactor.redact_body(event.body)
        except UnredactableBody as error:
            return unfit("unredactable", f"{error}: {error.hint}")
        mapped = self._mapper.map(event, body)
        if mapped is None:
            return NOTHING_TO_SEND
        if isinstance(mapped, Unmappable):
            told = (mapped.path, mapped.rule, mapped.detail)
            return unfit("unmappable", ": ".join(part for part in told if part))
        # That a time was replaced is counted where the event came in, so it is not told again.
        message = Message(event.position, mapped.entity, mapped.shed)
        return _if_it_fits(message, self._any_frame, self._bytes_max)

    def frame(self, now_ms: int) -> Frame:
        """Return the envelope's two halves, of the same length at any time."""
        return Frame(b"%s%013d%s" % (self._before, now_ms, self._between), b"}}")


class RawAuthor:
    """Sends webhooks' bodies as they were received."""

    def __init__(self, options: AepOptions) -> None:
        self._redactor = Redactor(drop=options.privacy.drop, hash=options.privacy.hash)
        self._bytes_max = options.request_bytes_max

    def write(self, event: StoredEvent) -> Message | Outcome:
        """Take one body; one that is no JSON would spoil the whole request."""
        try:
            body = one_line(self._redactor.redact_body(event.body))
            _READER.decode(body)
        except UnredactableBody as error:
            return unfit("unredactable", f"{error}: {error.hint}")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return unfit("unreadable", "the event's body is not JSON in UTF-8, or nested too deep")
        return _if_it_fits(Message(event.position, body), Frame(), self._bytes_max)

    def frame(self, now_ms: int) -> Frame:
        """Return nothing: a body stands alone."""
        return Frame()


def _if_it_fits(message: Message, frame: Frame, bytes_max: int) -> Message | Outcome:
    size = _AROUND + frame.size(message)
    if size <= bytes_max:
        return message
    return unfit("too_large", f"it takes a request of {size} bytes, and {bytes_max} are the most")


class _SchemaRef(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    content_type: str


class _Header(msgspec.Struct, frozen=True, rename="camel"):
    """The header up to the time, which is written apart."""

    schema_ref: _SchemaRef
    ims_org_id: str
    dataset_id: str
    flow_id: str


def _envelope(options: AepOptions) -> tuple[bytes, bytes]:
    """Return what stands before the time in milliseconds, and between it and the entity."""
    schema = _SchemaRef(options.schema_id or "", options.schema_content_type)
    header = _Header(schema, options.ims_org_id, options.dataset_id or "", options.flow_id)
    encoded = msgspec.json.encode(header).removesuffix(b"}")
    meta = msgspec.json.encode({"schemaRef": schema})
    return (
        b'{"header":' + encoded + b',"createdAt":"',
        b'","source":{"name":"streamer"}},"body":{"xdmMeta":' + meta + b',"xdmEntity":',
    )

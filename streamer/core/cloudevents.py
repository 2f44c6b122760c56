"""The form in which events leave for generic destinations: CloudEvents 1.0 in JSON.

The webhook body is spliced in as it was received, never decoded and encoded
anew: numbers keep their digits and keys their order. Only line breaks between
tokens become blanks, so that an encoded event is always one line (inside a
JSON string a line break is escaped, so no text is touched).

What a destination must not see is taken out first; the ``subject`` is read
from what is left, or it would give away the address that was just hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from streamer.core.event import StoredEvent, has_usable_time, one_line
from streamer.core.outcome import Outcome, unfit
from streamer.core.person import key_of
from streamer.core.privacy import Redactor, UnredactableBody
from streamer.core.times import rfc3339, rfc3339_seconds

EVENT_CONTENT_TYPE = "application/cloudevents+json"
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json"


def encode(event: StoredEvent, redactor: Redactor) -> bytes:
    """Return the event as one line of JSON, without a line break at its end.

    Raises:
        UnredactableBody: private fields are to be taken out of a body that cannot be read.
    """
    return encode_one(_envelope(event, redactor))


def envelope_each(events: Iterable[StoredEvent], redactor: Redactor) -> list[CloudEvent | Outcome]:
    """Return each event in its envelope, or its rejection if it cannot be made fit to leave."""
    return [_envelope_or_rejection(event, redactor) for event in events]


def encode_one(envelope: CloudEvent) -> bytes:
    """Return an event as one line of JSON, without a line break at its end."""
    return _ENCODER.encode(envelope)


def encode_batch(envelopes: Sequence[CloudEvent]) -> bytes:
    """Return events, in order, as one JSON array on one line."""
    return _ENCODER.encode(envelopes)


def encode_lines(envelopes: Sequence[CloudEvent]) -> bytes:
    """Return events, in order, as one line each, with a line break at the end of each."""
    return _ENCODER.encode_lines(envelopes)


def source_of(event: StoredEvent) -> str:
    """Return the CloudEvents ``source``, which together with the event id names the event."""
    return f"/customerio/{event.source}"


class CloudEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An event in its envelope; the fields are in the order in which people look for them."""

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    time: str
    subject: str | msgspec.UnsetType
    sequence: str
    """The position, padded so that the order of the text is the order of the numbers."""
    datacontenttype: str = "application/json"
    data: msgspec.Raw


class _Named(msgspec.Struct, frozen=True, gc=False):
    """The parts of ``data`` that name a person, of whatever JSON type they are."""

    identifiers: object = None
    customer_id: object = None
    recipient: object = None


class _Body(msgspec.Struct, frozen=True, gc=False):
    data: _Named


_ENCODER = msgspec.json.Encoder()
_BODY_DECODER = msgspec.json.Decoder(_Body)


def _envelope(event: StoredEvent, redactor: Redactor) -> CloudEvent:
    body = one_line(redactor.redact_body(event.body))
    return CloudEvent(
        id=event.event_id,
        source=source_of(event),
        type=f"io.customer.{event.type_name}",
        time=_time_of(event),
        subject=_subject_of(body) or msgspec.UNSET,
        sequence=f"{event.position:020d}",
        data=msgspec.Raw(body),
    )


def _envelope_or_rejection(event: StoredEvent, redactor: Redactor) -> CloudEvent | Outcome:
    try:
        return _envelope(event, redactor)
    except UnredactableBody as error:
        return unfit("unredactable", f"{error}: {error.hint}")


def _time_of(event: StoredEvent) -> str:
    if has_usable_time(event.occurred_at, event.received_at):
        return rfc3339_seconds(event.occurred_at)
    return rfc3339(event.received_at)


def _subject_of(body: bytes) -> str | None:
    try:
        named = _BODY_DECODER.decode(body).data
    except (msgspec.DecodeError, RecursionError):
        # `data` is missing or no object, or a field beside it is nested nearly too deep: nobody is
        # named, and the event is delivered all the same.
        return None
    return key_of(named.identifiers, named.customer_id, named.recipient)

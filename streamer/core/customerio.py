"""Turns a webhook's raw body into the facts that the outbox is ordered by, or says why not.

Customer.io changes its events about once a quarter and says so nowhere, so
almost nothing is demanded: a JSON object with an event id. Everything else is
taken if it has a sensible form and left out if not; the body itself is kept
and handed on as received.

Two decoders share the work. The typed one reads only the fields that are
needed and is several times faster than building the whole object. It refuses
what differs from its types, and numbers that fit no machine word, so a
tolerant one looks at what the first refused before anything goes into
quarantine.
"""

from __future__ import annotations

import json
import zlib
from typing import NoReturn

import msgspec

from streamer.core.event import Event
from streamer.core.limits import EVENT_ID_CHARACTERS_MAX, TYPE_NAME_CHARACTERS_MAX
from streamer.core.person import first_identifier, person_key

SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999; a timestamp beyond it is no time."""


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """What the outbox needs to know of an event, whose body is UTF-8 and one JSON object."""

    event_id: str
    object_type: str | None
    metric: str | None
    occurred_at: int | None
    lane_key: int

    def event(self, source: str, *, received_at: int, body: bytes) -> Event:
        """Make the event that goes into the outbox, of the body that this was read from."""
        return Event(
            source,
            self.event_id,
            self.object_type,
            self.metric,
            self.occurred_at,
            received_at,
            self.lane_key,
            body,
        )


class Undecodable(msgspec.Struct, frozen=True, gc=False):
    """Why a body is no event: a stable reason, and a sentence without any of its content."""

    reason: str
    detail: str
    event_id: str | None = None


class _Identifiers(msgspec.Struct, gc=False):
    cio_id: str | int | None = None
    id: str | int | None = None
    email: str | None = None


class _Data(msgspec.Struct, gc=False):
    identifiers: _Identifiers | None = None
    customer_id: str | int | None = None
    recipient: str | None = None


class _Envelope(msgspec.Struct, gc=False):
    event_id: str
    object_type: str | None = None
    metric: str | None = None
    timestamp: int | float | str | None = None
    data: _Data | None = None


_decode_typed = msgspec.json.Decoder(_Envelope).decode


def decode(body: bytes) -> Decoded | Undecodable:
    """Read one webhook body; never raises."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return Undecodable("not_utf8", f"byte {error.start} is not UTF-8")
    try:
        envelope = _decode_typed(body)
    except msgspec.DecodeError:  # includes ValidationError
        return _decode_tolerant(text)
    except RecursionError:
        return Undecodable("nested_too_deep", "the JSON is nested too deep to be read safely")
    data = envelope.data
    return _accept(envelope, None if data is None else _person(data))


def lane_key(person: str | None, event_id: str) -> int:
    """Hash whom an event is about into 32 bits; events about nobody spread by their own id."""
    return zlib.crc32((person if person is not None else event_id).encode("utf-8", "replace"))


def _person(data: _Data) -> str | None:
    identifiers = data.identifiers
    if identifiers is None:
        return first_identifier(None, None, None, data.customer_id, data.recipient)
    return first_identifier(
        identifiers.cio_id,
        identifiers.id,
        identifiers.email,
        data.customer_id,
        data.recipient,
    )


def _decode_tolerant(text: str) -> Decoded | Undecodable:
    """Look again at what the typed decoder refused: valid JSON of another shape is an event too."""
    try:
        document = json.loads(text, parse_int=_number, parse_constant=_refuse_constant)
    except RecursionError:
        return Undecodable("nested_too_deep", "the JSON is nested too deep to be read safely")
    except ValueError as error:
        return Undecodable("not_json", _where(error))
    if not isinstance(document, dict):
        return Undecodable("not_an_object", f"the JSON is a {type(document).__name__}")
    event_id = document.get("event_id")
    if isinstance(event_id, int) and not isinstance(event_id, bool):
        event_id = str(event_id)
    if not isinstance(event_id, str):
        return Undecodable("no_event_id", "there is no event_id that is text or a number")
    try:
        text.encode()
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Undecodable("not_unicode", "an escape stands for half a character")
    envelope = _Envelope(
        event_id,
        _short_text(document.get("object_type")),
        _short_text(document.get("metric")),
        _number_or_text(document.get("timestamp")),
    )
    return _accept(envelope, person_key(document.get("data")))


def _accept(envelope: _Envelope, person: str | None) -> Decoded | Undecodable:
    event_id = envelope.event_id
    if not 0 < len(event_id) <= EVENT_ID_CHARACTERS_MAX:
        return Undecodable("bad_event_id", f"the event_id has {len(event_id)} characters")
    return Decoded(
        event_id,
        _short_text(envelope.object_type),
        _short_text(envelope.metric),
        _seconds(envelope.timestamp),
        lane_key(person, event_id),
    )


def _short_text(value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= TYPE_NAME_CHARACTERS_MAX:
        return value
    return None


def _number_or_text(value: object) -> int | float | str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return value


def _seconds(value: float | str | None) -> int | None:
    """Read a Unix time in seconds from a number or from text; None if it is no usable time."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if value is None:
        return None
    return int(value) if 0 < value <= SECONDS_MAX else None


def _number(digits: str) -> int | float:
    """Read an integer of any length: Python refuses to convert more than 4,300 digits.

    As long as it can it stays an integer, as in the typed decoder: an id must
    not lead to another lane because something else in its event was odd.
    """
    return int(digits) if len(digits) <= 4_300 else float(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _where(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"the JSON is malformed at character {error.pos}"
    return "the JSON holds a number that is none"

"""Reads the files of a failed batch: which event was dropped, and what is held against it.

A file has one JSON object a line. Adobe documents several forms of such a
record and users report more: the message as it was sent with
``_validationErrors`` or ``_errors`` beside it, the bare entity with them, the
errors as a list or below the step that found them, with causes inside. All of
them are read; what cannot be is counted. Of a record nothing is kept but its
ids and what is held against it, without the values that Adobe quotes: they are
somebody's, and the event itself has them.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import msgspec

from streamer.core.limits import DETAIL_CHARACTERS_MAX, EVENT_ID_CHARACTERS_MAX
from streamer.core.provision_limits import ADOBE_DOCUMENT_BYTES_MAX, ADOBE_RECORD_BYTES_MAX

_OPENINGS = (b"{", b"[")
"""The first line of such a document."""

_QUOTED = (
    (re.compile(r"^\[.*?\](?= is not )", re.DOTALL), "[…]"),
    (re.compile(r"^[^[…].*?(?= is not (?:a |greater|less|higher|lower))", re.DOTALL), "…"),
    (re.compile(r"(?<=string )\[.*\](?= does not match)", re.DOTALL), "[…]"),
    (re.compile(r"\S*@\S*"), "…"),
    (re.compile(r"\+?\d[\d ()/.-]{6,}\d"), "…"),
)
"""Where values stand in what Adobe says, and what has the form of an address or a number."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record that was dropped."""

    record_id: str
    """Its ``_id``, which is the event id or stands for it."""
    event_id: str | None = None
    """As the tenant's own field group has it."""
    sequence: int | None = None
    """The event's position, as that group has it."""
    code: str
    message: str


class Unreadable(msgspec.Struct, frozen=True):
    """A line of which no event can be told."""

    code: str
    """What is held against it, if that much can be read."""


async def split(
    pieces: AsyncIterator[bytes], *, line_bytes_max: int = ADOBE_RECORD_BYTES_MAX
) -> AsyncIterator[bytes | None]:
    """Cut a stream into its lines without their ends; None stands for one that is too long."""
    held = bytearray()
    too_long = False
    async for piece in pieces:
        *ended, rest = piece.split(b"\n")
        for part in ended:
            held += part
            yield None if too_long or len(held) > line_bytes_max else bytes(held)
            held.clear()
            too_long = False
        held += rest
        if len(held) > line_bytes_max:
            held.clear()
            too_long = True
    if held or too_long:
        yield None if too_long else bytes(held)


async def read_records(lines: AsyncIterator[bytes | None]) -> AsyncIterator[Record | Unreadable]:
    """Read one object a line, a list of them in a line, or one document over all lines."""
    held = bytearray()
    is_first = True
    async for line in lines:
        if held:
            if len(held) <= ADOBE_DOCUMENT_BYTES_MAX:
                held += b"\n" + (line or b"")
            continue
        if line is not None and not line.strip():
            continue
        document = _decode(line)
        if is_first and line is not None and line.strip() in _OPENINGS:
            held += line
        else:
            for record in _read(document):
                yield record
        is_first = False
    if held:
        for record in _read(_decode(bytes(held))):
            yield record


def _read(document: object) -> Iterator[Record | Unreadable]:
    for one in document if isinstance(document, list) else [document]:
        yield read_record(one) if isinstance(one, dict) else Unreadable("")


def read_record(document: Mapping[str, Any]) -> Record | Unreadable:
    """Read one failed record, whatever its form."""
    code, message = _held_against(document)
    body = document.get("body")
    entity = body.get("xdmEntity") if isinstance(body, Mapping) else document.get("xdmEntity")
    if not isinstance(entity, Mapping):
        entity = body if isinstance(body, Mapping) else document
    own = _own_group(entity)
    event_id = _text(own.get("eventID")) or _text(entity.get("event_id"))
    record_id = _text(entity.get("_id")) or event_id
    if record_id is None:
        return Unreadable(code)
    sequence = own.get("sequence")
    return Record(
        record_id=record_id,
        event_id=event_id,
        sequence=sequence if type(sequence) is int and 0 < sequence < 2**63 else None,
        code=code,
        message=message,
    )


def _own_group(entity: Mapping[str, Any]) -> Mapping[str, Any]:
    """Find our own fields below the tenant's name, whatever that is."""
    for name, below in entity.items():
        if name.startswith("_") and isinstance(below, Mapping):
            own = below.get("customerio")
            if isinstance(own, Mapping):
                return own
    return {}


def _held_against(document: Mapping[str, Any]) -> tuple[str, str]:
    """Return the first code, and all messages in one line."""
    said = [*_errors(document.get("_validationErrors")), *_errors(document.get("_errors"))]
    code = next((_code(error) for error in said if _code(error)), "unknown")
    words = dict.fromkeys(_words(error) for error in said)
    message = "; ".join(each for each in words if each)[:DETAIL_CHARACTERS_MAX]
    return code, "".join(each if each.isprintable() else " " for each in message)


def _errors(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield what is wrong: a list of errors, or lists by the step that found them."""
    if isinstance(value, Mapping):
        if "message" in value or "code" in value:
            yield from _innermost(value)
        else:
            for below in value.values():
                yield from _errors(below)
    elif isinstance(value, list):
        for one in value:
            yield from _errors(one)


def _innermost(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the causes instead of what only sums them up, with the code of the sum."""
    causes = error.get("causingExceptions")
    inner = [one for one in causes if isinstance(one, Mapping)] if isinstance(causes, list) else []
    if not inner:
        yield error
    code = {"code": error["code"]} if _code(error) else {}
    for cause in inner:
        yield from _innermost({**code, **cause})


def _code(error: Mapping[str, Any]) -> str:
    code = error.get("code")
    return (_text(str(code).strip()) or "") if isinstance(code, str | int) else ""


def _words(error: Mapping[str, Any]) -> str:
    message, pointer = _text(error.get("message")), _text(error.get("pointerToViolation"))
    where = f" at {pointer}" if pointer and pointer != "#" else ""
    return f"{without_values(message or 'no message')}{where}"


def without_values(message: str) -> str:
    """Take out of a message what it quotes of the event."""
    for pattern, stand_in in _QUOTED:
        message = pattern.sub(stand_in, message)
    return message


def _text(value: object) -> str | None:
    """Take a text that can be stored; JSON can also write halves of characters, and noughts.

    SQLite counts a text's characters up to a nought only, and would find it empty.
    """
    if not isinstance(value, str) or not value:
        return None
    shown = value[:EVENT_ID_CHARACTERS_MAX].replace("\0", "\ufffd")
    return shown.encode("utf-8", "replace").decode()


def _decode(line: bytes | None) -> object:
    """Return what a line says; None if it is no JSON."""
    if line is None:
        return None
    try:
        return json.loads(line, parse_float=str)
    except (ValueError, RecursionError):
        return None

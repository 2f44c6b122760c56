"""Reads an event by its type, and tells what in it the catalogue does not expect.

What is not expected is *drift*: an unknown type, a field that no event of its
type had, a value of another kind than was ever seen. Drift is no error. It is
left out of the typed event and told; the event itself stays what it is.

A drift names a place, never what stands there, and of a place only what looks
like a name that a programmer gave: a sender may use addresses as names.
Nothing in here raises, whatever it is given.
"""

from __future__ import annotations

import enum
import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import inspect

from streamer.core.catalogue import tables
from streamer.core.catalogue.types import EventType, struct_of, type_of, types_of
from streamer.core.event import UNKNOWN
from streamer.core.limits import DRIFT_NAME_CHARACTERS_MAX, PAIRS_REMEMBERED_MAX

ANY_NAME = "*"
"""Stands in a path for a name that is not told, or for any of an object's names."""

_PLAIN = re.compile(r"[^\W\d][\w -]*")
_KINDS: Mapping[type, str] = {
    **{type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string"},
    **{dict: "object", list: "array"},
}
_KINDS_OF_TYPES: Mapping[type[inspect.Type], str] = {
    inspect.NoneType: "null",
    inspect.BoolType: "boolean",
    inspect.IntType: "integer",
    inspect.StrType: "string",
    inspect.LiteralType: "string",
}


class DriftKind(enum.Enum):
    """In which way something is not as the catalogue has it."""

    LEGACY = "legacy"
    """The whole event is of the form of 2012 to about 2019."""
    OBJECT_TYPE = "object_type"
    METRIC = "metric"
    FIELD = "field"
    VALUE = "value"
    """The field is known, but not with such a value."""
    UNREADABLE = "unreadable"
    """It is stored, and cannot be looked into."""


Tell = Callable[[DriftKind, str, object], None]


class Drift(msgspec.Struct, frozen=True):
    """One thing in one event that the catalogue does not expect."""

    kind: DriftKind
    type_name: str
    """Such as ``email.sent``."""
    path: str = ""
    """Such as ``data.recipients[].device_id``; empty when it is about the type itself."""
    found: str = ""
    """What JSON Schema calls the kind of value that stands there."""


class Reading(msgspec.Struct, frozen=True):
    """An event as its type has it."""

    event_type: EventType | None
    """None for one that is not known."""
    event: msgspec.Struct | None
    """Of the type's own struct, without what does not fit."""
    drift: tuple[Drift, ...]


class Shape(msgspec.Struct, frozen=True):
    """What may stand in one place, as far as a look at it goes."""

    kinds: frozenset[str]
    members: Mapping[str, Shape] | None = None
    """Of an object, by name …"""
    each: Shape | None = None
    """… or of any name; of a list, every element."""


def find_drift(body: bytes, object_type: str | None, metric: str | None) -> tuple[Drift, ...]:
    """Tell what is new in a stored event; takes a microsecond if nothing is."""
    for decode in _strict_decoders(object_type, metric):
        try:
            decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        return ()
    try:
        return _look(_document(body))[2]
    except (ValueError, RecursionError):
        name = _type_label(object_type, metric)
        return (Drift(DriftKind.UNREADABLE, name),)


def read(document: object) -> Reading:
    """Read a decoded webhook body, which may be any JSON value."""
    event_type, fitting, drift = _look(document)
    if event_type is None:
        return Reading(None, None, drift)
    names = {"object_type": event_type.object_type, "metric": event_type.metric}
    try:
        event = msgspec.convert({**fitting, **names}, struct_of(event_type))
    except msgspec.ValidationError:  # without an event id it is no event
        return Reading(event_type, None, drift)
    return Reading(event_type, event, drift)


def _type_label(object_type: object, metric: object) -> str:
    """Name a type that need not be known, such as ``line.sent``."""
    return f"{_label(object_type)}.{_label(metric)}"


def json_kind(value: object) -> str:
    """Name the kind of a decoded JSON value as JSON Schema does."""
    if isinstance(value, float) and value.is_integer():
        return "integer"
    return _KINDS[type(value)]


@functools.cache
def shape_of(event_type: EventType) -> Shape:
    """Return what events of a type look like, as its struct has it."""
    return _shape(inspect.type_info(struct_of(event_type)))


def expected_at(event_type: EventType, path: str) -> frozenset[str]:
    """Return the kinds of value that may stand at a path; none if it is not in the type."""
    shape: Shape | None = shape_of(event_type)
    for name in path.replace("[]", f".{ANY_NAME}").split("."):
        if shape is None:
            return frozenset()
        shape = shape.each if name == ANY_NAME else (shape.members or {}).get(name)
    return frozenset() if shape is None else shape.kinds


@functools.lru_cache(PAIRS_REMEMBERED_MAX)
def _strict_decoders(
    object_type: str | None, metric: str | None
) -> tuple[Callable[[bytes], object], ...]:
    """Return what reads an event of a pair if it has nothing but what its type has."""
    return tuple(_strict_decoder(event_type) for event_type in types_of(object_type, metric))


@functools.cache
def _strict_decoder(event_type: EventType) -> Callable[[bytes], object]:
    return msgspec.json.Decoder(struct_of(event_type, strict=True)).decode


def _document(body: bytes) -> object:
    """Decode what is stored; of whole numbers only their kind counts."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return json.loads(body, parse_int=lambda _: 0)


def _look(document: object) -> tuple[EventType | None, dict[str, object], tuple[Drift, ...]]:
    """Return an event's type, what of it fits the type, and what does not."""
    if not isinstance(document, dict):
        label = _type_label(None, None)
        return None, {}, (Drift(DriftKind.UNREADABLE, label, found=json_kind(document)),)
    object_type, metric = _text(document, "object_type"), _text(document, "metric")
    event_type = type_of(object_type, metric, document.get("data"))
    if event_type is None:
        return None, {}, (_unknown_type(document, object_type, metric),)
    drift: dict[Drift, None] = {}

    def tell(kind: DriftKind, path: str, value: object) -> None:
        drift[Drift(kind, event_type.name, path, json_kind(value))] = None

    fitting = _fit_object(document, shape_of(event_type), "", tell)
    return event_type, fitting, tuple(drift)


def _unknown_type(
    document: dict[str, object], object_type: str | None, metric: str | None
) -> Drift:
    legacy = document.get("event_type")
    if isinstance(legacy, str) and "object_type" not in document and "metric" not in document:
        name = legacy if legacy in tables.LEGACY_TYPES else ANY_NAME
        return Drift(DriftKind.LEGACY, f"event_type {name}")
    known = object_type in tables.OBJECT_TYPES
    kind = DriftKind.METRIC if known else DriftKind.OBJECT_TYPE
    return Drift(kind, _type_label(object_type, metric))


def _fit(value: object, shape: Shape, path: str, tell: Tell) -> object:
    """Return a value without what does not fit its shape, and tell what that was."""
    if json_kind(value) not in shape.kinds:
        tell(DriftKind.VALUE, path, value)
        return msgspec.UNSET
    if isinstance(value, dict):
        return _fit_object(value, shape, path, tell)
    if isinstance(value, list) and shape.each is not None:
        each = [_fit(element, shape.each, f"{path}[]", tell) for element in value]
        return [element for element in each if element is not msgspec.UNSET]
    return value


def _fit_object(value: dict[str, object], shape: Shape, path: str, tell: Tell) -> dict[str, object]:
    fitting: dict[str, object] = {}
    for name, inner in value.items():
        member = shape.each if shape.members is None else shape.members.get(name)
        shown = ANY_NAME if shape.members is None else _plain(name)
        below = f"{path}.{shown}" if path else shown
        if member is None:
            tell(DriftKind.FIELD, below, inner)
            continue
        fitted = _fit(inner, member, below, tell)
        if fitted is not msgspec.UNSET:
            fitting[name] = fitted
    return fitting


def _shape(info: inspect.Type) -> Shape:
    """Make a shape of what msgspec knows of a type."""
    match info:
        case inspect.Metadata(type=inner):
            return _shape(inner)
        case inspect.UnionType(types=types):
            return _united([_shape(one) for one in types])
        case inspect.StructType(fields=members):
            shapes = {member.encode_name: _shape(member.type) for member in members}
            return Shape(frozenset({"object"}), members=shapes)
        case inspect.DictType(value_type=inner):
            return Shape(frozenset({"object"}), each=_shape(inner))
        case inspect.ListType(item_type=inner):
            return Shape(frozenset({"array"}), each=_shape(inner))
    return Shape(frozenset({_KINDS_OF_TYPES[type(info)]}))


def _united(shapes: list[Shape]) -> Shape:
    """Join what may stand in one place; at most one of it has an inside."""
    kinds = frozenset().union(*(shape.kinds for shape in shapes))
    members = next((shape.members for shape in shapes if shape.members is not None), None)
    each = next((shape.each for shape in shapes if shape.each is not None), None)
    return Shape(kinds, members, each)


def _text(document: dict[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) and value else None


def _label(part: object) -> str:
    return _plain(part) if isinstance(part, str) and part else UNKNOWN


def _plain(name: str) -> str:
    """Return a name that may be told, shortened if need be; another is not told at all."""
    cut = name[: DRIFT_NAME_CHARACTERS_MAX + 1]
    if not _PLAIN.fullmatch(cut):
        return ANY_NAME
    return cut if len(cut) <= DRIFT_NAME_CHARACTERS_MAX else f"{cut[:-1]}…"

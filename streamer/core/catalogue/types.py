"""The catalogue as msgspec types: one for each object type and metric.

They are made of the tables, so that a type and its description cannot
disagree. Each comes in two forms. The *open* one takes further fields, which
is what a reader of events should do, and what schemas are made of. The
*strict* one refuses them, so that decoding with it proves that nothing in an
event is new.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from streamer.core.catalogue import fields, tables
from streamer.core.catalogue.fields import Field, Kind

StructType = type[msgspec.Struct]

_SCALARS: dict[Kind, Any] = {
    Kind.TEXT: str | None,
    Kind.ID: str | int | None,
    Kind.SECONDS: int | None,
    Kind.FLAG: bool | None,
    Kind.HEADERS: dict[str, list[str] | None] | None,
}


class EventType(msgspec.Struct, frozen=True):
    """One object type and metric, in one of the two families."""

    object_type: str
    metric: str
    is_person: bool
    """Of a person event; the pair (email, unsubscribed) is a message event as well."""
    always: tuple[str, ...]
    """Fields of ``data`` that should be there …"""
    sometimes: tuple[str, ...]
    """… and those that may."""

    @property
    def name(self) -> str:
        """As filters have it, such as ``email.clicked``."""
        return f"{self.object_type}.{self.metric}"

    @property
    def title(self) -> str:
        """A name that no other type has, such as ``EmailClicked``."""
        shared = self.is_person and self.metric in tables.MESSAGES.get(self.object_type, {})
        words = (*self.object_type.split("_"), *self.metric.split("_"), *(["person"] * shared))
        return "".join(word.capitalize() for word in words)

    @property
    def meaning(self) -> str:
        """What happened, in a few words."""
        of = tables.PERSON_MEANINGS if self.is_person else tables.MEANINGS
        return of[self.metric]

    @property
    def variants(self) -> tuple[str, ...]:
        """What its message may have been sent by; none for most person events."""
        if not self.is_person:
            return tuple(tables.VARIANTS)
        return tables.PREFERENCES_VARIANTS if self.metric == tables.PREFERENCES else ()

    @property
    def fields(self) -> Iterator[tuple[str, Field, bool]]:
        """Yield each field of ``data`` by its path, and whether it should always be there."""
        for name in (*self.always, *self.sometimes):
            field = fields.FIELDS[name]
            yield name, field, name in self.always
            joint, inside = fields.INSIDES.get(field.kind, ("", {}))
            for inner, described in inside.items():
                yield f"{name}{joint}{inner}", described, False

    @property
    def is_guessed(self) -> bool:
        """Tell whether its fields are a guess, since no published schema describes it."""
        return (self.object_type, self.metric) in tables.GUESSED


@functools.cache
def _by_pair() -> dict[tuple[str, str], tuple[EventType, ...]]:
    pairs = [name.split(".") for name in tables.type_names()]
    return {(kind, metric): tuple(_types_of(kind, metric)) for kind, metric in pairs}


def every_type() -> tuple[EventType, ...]:
    """Return all types, each once, in an order fit to read."""
    return tuple(one for types in _by_pair().values() for one in types)


def types_of(object_type: str | None, metric: str | None) -> tuple[EventType, ...]:
    """Return the types that share a pair: mostly one, none for an unknown pair."""
    return _by_pair().get(tables.pair(object_type, metric), ())


def _types_of(object_type: str, metric: str) -> Iterator[EventType]:
    if metric in tables.MESSAGES.get(object_type, {}):
        own = tables.MESSAGES[object_type][metric]
        always = (*tables.COMMON.always, *own.always)
        sometimes = (*own.sometimes, *tables.COMMON.sometimes, *_of_variants(*tables.VARIANTS))
        yield EventType(object_type, metric, is_person=False, always=always, sometimes=sometimes)
    if metric in tables.PERSON_METRICS:
        own = tables.PERSONS[metric]
        more = _of_variants(*tables.PREFERENCES_VARIANTS) if metric == tables.PREFERENCES else ()
        yield EventType(
            object_type,
            metric,
            is_person=True,
            always=own.always,
            sometimes=(*own.sometimes, *more),
        )


def type_of(object_type: str | None, metric: str | None, data: object = None) -> EventType | None:
    """Return an event's type; its ``data`` decides where two types share the pair.

    A person event has an ``email_address``; the message event has a
    ``recipient`` or a ``subject``.
    """
    found = types_of(object_type, metric)
    if len(found) < 2:
        return found[0] if found else None
    of_message, of_person = found
    if not isinstance(data, Mapping) or not data.keys().isdisjoint(("recipient", "subject")):
        return of_message
    return of_person if "email_address" in data else of_message


@functools.cache
def struct_of(event_type: EventType, *, strict: bool = False) -> StructType:
    """Make the type of a whole event: its envelope, with what may stand in its ``data``."""
    names = (*event_type.always, *event_type.sometimes)
    data = _struct(
        f"{event_type.title}Data",
        [_member(name, fields.FIELDS[name], strict=strict) for name in names],
        f"What a {event_type.name} event is about.",
        strict=strict,
    )
    members = [
        _described("event_id", str | int, fields.ENVELOPE["event_id"]),
        *_type_members(event_type),
        _member("timestamp", fields.ENVELOPE["timestamp"], strict=strict),
        (*_described("data", data | None, fields.ENVELOPE["data"]), None),
    ]
    if event_type.metric == tables.PREFERENCES:
        members += [_member(name, one, strict=strict) for name, one in fields.MISPRINTS.items()]
    return _struct(event_type.title, members, event_type.meaning.capitalize(), strict=strict)


def _type_members(event_type: EventType) -> list[Any]:
    """Make the two members by which a type is known; one metric alone may lack its object type."""
    object_type: Any = Literal[event_type.object_type]
    metric = _described("metric", Literal[event_type.metric], fields.ENVELOPE["metric"])
    if event_type.metric == tables.PREFERENCES:
        odd = _described("object_type", object_type | None, fields.ENVELOPE["object_type"])
        return [(*odd, None), metric]
    return [_described("object_type", object_type, fields.ENVELOPE["object_type"]), metric]


def _of_variants(*names: str) -> tuple[str, ...]:
    """List the fields of some variants, each once; none of them is in every event."""
    of_each = [tables.VARIANTS[name] for name in names]
    every = [name for one in of_each for name in (*one.always, *one.sometimes)]
    return tuple(dict.fromkeys(every))


def _member(name: str, field: Field, *, strict: bool) -> Any:  # noqa: ANN401 - what defstruct takes
    """Describe a member that may be absent or null."""
    return (*_described(name, _type(field.kind, strict=strict), field), None)


def _described(name: str, its_type: Any, field: Field) -> tuple[str, Any]:  # noqa: ANN401 - a type
    return name, Annotated[its_type, Meta(description=field.description)]


def _type(kind: Kind, *, strict: bool) -> Any:  # noqa: ANN401 - a type made at run time
    if kind is Kind.IDENTIFIERS:
        return _identifiers(strict=strict) | None
    if kind is Kind.DEVICES:
        devices: Any = list[_device(strict=strict) | None]  # type: ignore[misc]  # made at run time
        return devices | None
    return _SCALARS[kind]


@functools.cache
def _identifiers(*, strict: bool) -> StructType:
    members = [_member(name, one, strict=strict) for name, one in fields.IDENTIFIERS.items()]
    return _struct("Identifiers", members, "Whom an event is about.", strict=strict)


@functools.cache
def _device(*, strict: bool) -> StructType:
    members = [_member(name, one, strict=strict) for name, one in fields.DEVICE.items()]
    return _struct("Device", members, "One device of a push message.", strict=strict)


def _struct(name: str, members: list[Any], text: str, *, strict: bool) -> StructType:
    return msgspec.defstruct(
        name,
        members,
        kw_only=True,
        forbid_unknown_fields=strict,
        gc=False,
        module=__name__,
        namespace={"__doc__": text},
    )

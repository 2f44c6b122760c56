"""What the types say about each setting, in a form that the loader and the reference share.

`streamer.config.model` is the one description of the configuration; this
module reads it back: name, type without its wrapping, bounds, default, format.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping

import msgspec
from msgspec import Meta

from streamer.core import limits

KIND = "kind"
"""The key that chooses between kinds of sources or destinations."""

_UNIONS = {typing.Union, types.UnionType}


class Setting(msgspec.Struct, frozen=True):
    """One key of a table."""

    name: str
    annotation: object
    """The type as written, for msgspec to convert to."""
    type: object
    """The type without `Annotated` and without ``| None``."""
    optional: bool
    metas: tuple[Meta, ...]
    required: bool
    default: object = None

    @property
    def description(self) -> str:
        """The sentence that the reference prints."""
        return next((meta.description for meta in self.metas if meta.description), "")

    @property
    def format(self) -> str | None:
        """The name of the text's form, see `streamer.config.formats`."""
        return typing.cast("str | None", self.mark("format"))

    @property
    def restart(self) -> bool:
        """True when a running service cannot take a change over."""
        return bool(self.mark("restart"))

    def mark(self, name: str) -> object:
        """Return a mark that the model set beside the type, or None."""
        found = (meta.extra[name] for meta in self.metas if meta.extra and name in meta.extra)
        return next(found, None)

    def bound(self, name: str) -> float | None:
        """Return the bound ``ge``, ``gt``, ``le`` or ``min_length``, or None."""
        bounds = (getattr(meta, name) for meta in self.metas)
        return next((bound for bound in bounds if bound is not None), None)


@functools.cache
def settings_of(table: type[msgspec.Struct]) -> tuple[Setting, ...]:
    """List the keys of a table, in the order in which the model has them."""
    return tuple(
        setting(
            field.type,
            name=field.name,
            required=field.required,
            default=None if field.required else _default(field),
        )
        for field in msgspec.structs.fields(table)
    )


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def setting(
    annotation: object, *, name: str = "", required: bool = True, default: object = None
) -> Setting:
    """Take a type apart; also used for the elements of a list, which have no name."""
    bare, metas = _strip(annotation)
    optional = False
    if typing.get_origin(bare) in _UNIONS:
        members = [member for member in typing.get_args(bare) if member is not types.NoneType]
        optional = len(members) < len(typing.get_args(bare))
        if len(members) == 1:
            bare, inner = _strip(members[0])
            metas += inner
    return Setting(name, annotation, bare, optional, metas, required, default)


def _strip(annotation: object) -> tuple[object, tuple[Meta, ...]]:
    if typing.get_origin(annotation) is not typing.Annotated:
        return annotation, ()
    bare, *marks = typing.get_args(annotation)
    return bare, tuple(mark for mark in marks if isinstance(mark, Meta))


def as_table(kind: object) -> type[msgspec.Struct] | None:
    """Return the type if it is a table with keys of its own, else None."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return None


def variants_of(kind: object) -> Mapping[str, type[msgspec.Struct]]:
    """Return the tables that a ``kind`` key chooses between, by that key; often empty."""
    is_union = typing.get_origin(kind) in _UNIONS
    members = typing.get_args(kind) if is_union else (kind,)
    tables = [table for table in map(as_table, members) if table is not None]
    return {
        str(table.__struct_config__.tag): table
        for table in tables
        if table.__struct_config__.tag is not None
    }


def element_of(kind: object) -> object | None:
    """Return the type of a list's elements, or None for what is no list."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is list else None


def named_of(kind: object) -> object | None:
    """Return the type of the tables in a table of named tables, or None."""
    if typing.get_origin(kind) is not dict:
        return None
    value = typing.get_args(kind)[1]
    return value if variants_of(value) else None


def wanted(item: Setting) -> str:
    """Say what a value must be: ``a whole number from 8 to 3650``."""
    if typing.get_origin(item.type) is typing.Literal:
        return " or ".join(f'"{choice}"' for choice in typing.get_args(item.type))
    if typing.get_origin(item.type) is list:
        return "a list"
    if typing.get_origin(item.type) is dict:
        return "a table of texts"
    if as_table(item.type):
        return "a table"
    noun = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return " ".join(filter(None, [noun[typing.cast("type", item.type)], bounds(item)]))


def bounds(item: Setting) -> str:
    """Say the bounds of a number: ``from 8 to 3650``; empty when it has none."""
    least, above, most = (item.bound(name) for name in ("ge", "gt", "le"))
    low = f"above {number(above)}" if above is not None else ""
    if least is not None and most is not None:
        return f"from {number(least)} to {number(most)}"
    if least is not None:
        return f"of at least {number(least)}"
    high = f"up to {number(most)}" if most is not None else ""
    return " and ".join(filter(None, [low, high]))


def number(value: float) -> str:
    """Write a number for people: whole ones without a point, sizes with their unit."""
    whole = int(value)
    if value != whole:
        return str(value)
    for unit, size in (("GiB", limits.GIB), ("MiB", limits.MIB), ("KiB", limits.KIB)):
        if whole >= size and whole % size == 0:
            return f"{whole} ({whole // size} {unit})"
    return str(whole)

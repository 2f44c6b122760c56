"""Judges entities by Adobe's own schemas, which are data beside the repository and not in it.

Adobe writes its schemas with expanded names, such as ``xdm:timestamp``, and
takes entities with short ones, such as ``timestamp``. An entity is expanded by
what the schemas declare, which also shows every path that none of them does:
the schemas themselves would let it pass, and Adobe's ingestion would not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft6Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT6

from streamer.core.xdm.fields import field_groups
from streamer.core.xdm.settings import MappingSettings
from streamer.core.xdm.tenant_group import tenant_group_schema

ROOT = Path(__file__).resolve().parent.parent.parent
ADOBE = ROOT.parent / "shared" / "adobe"

needs_adobe = pytest.mark.skipif(
    not ADOBE.is_dir(), reason="Adobe's schemas are not beside the repository"
)

JOURNEYS = "https://ns.adobe.com/experience/customerJourneyManagement/"
PROFILE_CLASS = "https://ns.adobe.com/xdm/context/profile"
"""The one class without a schema at hand; of it, only groups are used."""

Schema = dict[str, Any]
Json = dict[str, Any] | list[Any] | str | float | bool | None

_URI_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")

formats = FormatChecker(())


@formats.checks("uri-reference")
def is_uri_reference(value: object) -> bool:
    """RFC 3986: allowed characters, and no colon in the first part of a path without a scheme."""
    if not isinstance(value, str):
        return True
    before_colon = value.partition(":")[0] if ":" in value else ""
    ambiguous = ":" in value and not re.search(r"[/?#]", before_colon)
    return bool(_URI_CHARACTERS.fullmatch(value)) and (not ambiguous or bool(_SCHEME.match(value)))


@formats.checks("uri")
def is_uri(value: object) -> bool:
    """RFC 3986, with a scheme."""
    if not isinstance(value, str):
        return True
    return is_uri_reference(value) and bool(_SCHEME.match(value))


@formats.checks("email")
def is_email(value: object) -> bool:
    """One ``@`` with something on both sides, and no blank."""
    return not isinstance(value, str) or bool(re.fullmatch(r"[^@\s]+@[^@\s]+", value))


@formats.checks("date-time", raises=ValueError)
def is_date_time(value: object) -> bool:
    """RFC 3339 with a zone."""
    if not isinstance(value, str):
        return True
    return value[10:11] == "T" and datetime.fromisoformat(value).tzinfo is not None


@cache
def schemas() -> dict[str, Schema]:
    """Return all of Adobe's schemas, by ``$id``."""
    every = [json.loads(path.read_text()) for path in (ADOBE / "xdm").rglob("*.schema.json")]
    found = {schema["$id"]: schema for schema in every if "$id" in schema}
    # It says with forty patterns that every name has a prefix, which expanding gives it, and takes
    # four fifths of the time.
    found["https://ns.adobe.com/xdm/common/extensible"]["definitions"]["@context"] = {}
    return found


@cache
def _registry() -> Registry[Any]:
    resources = (
        (name, Resource.from_contents(schema, default_specification=DRAFT6))
        for name, schema in schemas().items()
    )
    return Registry[Any]().with_resources(resources).crawl()


class Judge:
    """What Adobe's ingestion would say to entities of one schema."""

    def __init__(
        self, settings: MappingSettings, extra_fields: dict[str, str] | None = None
    ) -> None:
        """Compose the schema that these settings ask for."""
        groups = [group.id for group in field_groups(settings)]
        self._ids = [name for name in groups if name and name != PROFILE_CLASS]
        self._tenant = f"_{settings.tenant}"
        self._bytes_max = settings.entity_bytes_max
        own = tenant_group_schema(settings.tenant, extra_fields or {})
        self._validator = Draft6Validator(
            {"allOf": [{"$ref": name} for name in self._ids]},
            registry=_registry(),
            format_checker=formats,
        )
        self._own_validator = Draft6Validator(own, format_checker=formats)
        self._own = _Declared([(own, own)])
        self._standard = _Declared([(schemas()[name], schemas()[name]) for name in self._ids])

    def complaints(self, encoded: bytes) -> list[str]:
        """Return everything that is wrong with an entity."""
        entity = json.loads(encoded)
        own = {name: value for name, value in entity.items() if name == self._tenant}
        rest = {name: value for name, value in entity.items() if name != self._tenant}
        found = [*_blemishes(entity, "")]
        if len(encoded) > self._bytes_max:
            found.append(f"{len(encoded)} bytes")
        expanded = _expanded(_flat(rest), self._standard, "", found)
        _expanded(own, self._own, "", found)
        found += [_said(error) for error in self._validator.iter_errors(expanded)]
        found += [_said(error) for error in self._own_validator.iter_errors(own)]
        return found


def _said(error: Any) -> str:  # noqa: ANN401 - the library's class of errors has no public name
    return f"{error.json_path}: {error.message}"


def _blemishes(value: Json, path: str) -> Iterator[str]:
    """Find what Adobe's validator refuses whatever the schema says, and what means nothing."""
    if value is None or value in ({}, [], ""):
        yield f"{path}: empty"
    for name, inner in _inside(value):
        yield from _blemishes(inner, f"{path}.{name}")


def _inside(value: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        yield from value.items()
    if isinstance(value, list):
        yield from ((str(index), item) for index, item in enumerate(value))


def _flat(entity: dict[str, Any]) -> dict[str, Any]:
    """Give Journey Optimizer's fields the names that they have in its schemas."""
    rest = {name: value for name, value in entity.items() if name != "_experience"}
    experience = entity.get("_experience", {})
    for name, value in experience.items():
        if name != "customerJourneyManagement":
            rest[f"_experience.{name}"] = value
            continue
        for group, fields in value.items():
            rest |= {f"{JOURNEYS}{group}/{field}": inner for field, inner in fields.items()}
    return rest


class _Declared:
    """The properties that some schemas declare at one place."""

    def __init__(self, parts: Sequence[tuple[Schema, Schema]]) -> None:
        self._parts = [part for schema, root in parts for part in _flattened(schema, root)]

    def name_of(self, name: str, outer: str) -> str | None:
        """Return how a name is spelled in the schema; None if it is not declared here."""
        candidates = [name, f"xdm:{name}", f"{outer.rpartition('/')[0]}/{name}"]
        if name in {"_id", "_type"}:
            candidates = [f"@{name[1:]}"]
        declared = {key for schema, _ in self._parts for key in schema.get("properties", {})}
        return next((candidate for candidate in candidates if candidate in declared), None)

    def below(self, key: str) -> _Declared:
        """Return what is declared below a property."""
        return self._any(lambda schema: schema.get("properties", {}).get(key))

    @property
    def is_map(self) -> bool:
        """Say whether any name is allowed, for values of one kind."""
        return any(
            isinstance(schema.get("additionalProperties"), dict) for schema, _ in self._parts
        )

    def values(self) -> _Declared:
        """Return what is declared of a map's values."""
        return self._any(lambda schema: schema.get("additionalProperties"))

    def items(self) -> _Declared:
        """Return what is declared of a list's items."""
        return self._any(lambda schema: schema.get("items"))

    def _any(self, part: Any) -> _Declared:  # noqa: ANN401 - a function of a schema
        found = [(part(schema), root) for schema, root in self._parts]
        return _Declared([(inner, root) for inner, root in found if isinstance(inner, dict)])


def _flattened(schema: Schema, root: Schema) -> Iterator[tuple[Schema, Schema]]:
    """Yield a schema and all that it takes in by reference; what begins with @context is none."""
    yield schema, root
    if "$ref" in schema:
        name, _, pointer = schema["$ref"].partition("#")
        root = schemas()[name] if name else root
        target = root
        for step in pointer.strip("/").split("/") if pointer.strip("/") else ():
            target = target[step]
        yield from _flattened(target, root)
    for inner in schema.get("allOf", []):
        yield from _flattened(inner, root)


def _expanded(
    value: Json, declared: _Declared, path: str, found: list[str], outer: str = ""
) -> Json:
    """Spell an entity's names as the schemas do, and complain of those that none declares."""
    if isinstance(value, list):
        return [_expanded(item, declared.items(), path, found, outer) for item in value]
    if not isinstance(value, dict):
        return value
    expanded: dict[str, Json] = {}
    for name, inner in value.items():
        key = declared.name_of(name, outer)
        below = declared.values() if key is None else declared.below(key)
        if key is None and not declared.is_map:
            found.append(f"{path}.{name}: not declared")
            continue
        expanded[key or name] = _expanded(inner, below, f"{path}.{name}", found, key or name)
    return expanded

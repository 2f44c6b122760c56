"""Schemas put together: references followed, parts merged, names as they are on the wire.

Adobe writes its schemas with names such as ``xdm:timestamp`` and ``@id``, spread over classes and
field groups that refer to each other. What a sender writes, and what the registry answers when it
is asked for a *full* schema, is one object with names such as ``timestamp`` and ``_id``. This
module makes the second of the first, for a tenant's own groups as well.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.stand_ins.aep import specs

Schema = dict[str, Any]

EXPERIENCE_NAMES = "https://ns.adobe.com/experience/"
CONTEXT = "https://ns.adobe.com/xdm/common/extensible#/definitions/@context"
"""About JSON-LD only; no field comes of it."""
KEPT = {
    "type", "title", "description", "enum", "const", "format", "pattern", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems",
    "default", "meta:enum", "meta:xdmType",
}  # fmt: skip

PROFILE_CLASS: Schema = {
    "$id": specs.INDIVIDUAL_PROFILE,
    "title": "XDM Individual Profile",
    "type": "object",
    "allOf": [
        {
            "properties": {
                "@id": {"type": "string"},
                "xdm:personID": {"type": "string"},
                "xdm:createdByBatchID": {"type": "string"},
            }
        },
        {"$ref": "https://ns.adobe.com/xdm/context/identitymap"},
    ],
}
"""The class of profiles is not among the files that the tests have; these are its own fields."""


class Library:
    """Adobe's standard schemas by ``$id``; empty without a directory."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    @cached_property
    def schemas(self) -> dict[str, Schema]:
        """Every schema under ``xdm/``."""
        if self._directory is None:
            return {}
        files = (self._directory / "xdm").rglob("*.schema.json")
        documents = [json.loads(path.read_bytes()) for path in files]
        found = {document["$id"]: document for document in documents}
        return {specs.INDIVIDUAL_PROFILE: PROFILE_CLASS, **found}


class Composer:
    """Follows references into a library and into a tenant's own schemas."""

    def __init__(self, *sources: dict[str, Schema]) -> None:
        self._sources = sources

    def compose(self, schema: Schema) -> Schema:
        """Return one schema without references, in the names of the wire.

        What it refers to and nobody knows is taken for an object about which nothing is known.
        """
        return self._resolve(schema, schema, (), is_root=True)

    def _resolve(
        self, node: Schema, root: Schema, trail: tuple[str, ...], *, is_root: bool
    ) -> Schema:
        result = {key: value for key, value in node.items() if key in KEPT}
        reference = node.get("$ref")
        if isinstance(reference, str):
            merge(result, self._follow(reference, root, trail, is_root=is_root))
        for part in node.get("allOf", ()):
            merge(result, self._resolve(part, root, trail, is_root=is_root))
        for name, inner in node.get("properties", {}).items():
            field = self._resolve(inner, root, trail, is_root=False)
            merge(result, _wrapped(wire_names(name, is_root=is_root), field))
        for name in node.get("required", ()):
            merge(result, _demanded(wire_names(name, is_root=is_root)))
        for key in ("items", "additionalProperties"):
            inner = node.get(key)
            if isinstance(inner, dict):
                result[key] = self._resolve(inner, root, trail, is_root=False)
        return result

    def _follow(
        self, reference: str, root: Schema, trail: tuple[str, ...], *, is_root: bool
    ) -> Schema:
        address, _, pointer = reference.partition("#")
        document = self._find(address) if address else root
        key = f"{id(document)}#{pointer}"
        if reference == CONTEXT or document is None or key in trail:
            return {"type": "object"}
        node: Any = document
        for part in pointer.removeprefix("/").split("/") if pointer else ():
            node = node.get(part, {}) if isinstance(node, dict) else {}
        return self._resolve(node, document, (*trail, key), is_root=is_root)

    def _find(self, identifier: str) -> Schema | None:
        return next((source[identifier] for source in self._sources if identifier in source), None)


def wire_names(name: str, *, is_root: bool) -> tuple[str, ...]:
    """Return how a field is written on the wire: the keys that lead to it.

    A name that is an address becomes a path at the root; within such a path its last part is
    enough.
    """
    if name.startswith(EXPERIENCE_NAMES):
        parts = name.removeprefix(EXPERIENCE_NAMES).split("/")
        return ("_experience", *parts) if is_root else (parts[-1],)
    if name.startswith("@"):
        return (f"_{name[1:]}",)
    return (name.removeprefix("xdm:"),)


def _wrapped(names: tuple[str, ...], field: Schema) -> Schema:
    for name in reversed(names):
        field = {"type": "object", "properties": {name: field}}
    return field


def _demanded(names: tuple[str, ...]) -> Schema:
    """Demand a field, and everything on the way to it."""
    schema: Schema = {}
    for name in reversed(names):
        inner = {"properties": {name: schema}} if schema else {}
        schema = {"required": [name], **inner}
    return schema


def merge(target: Schema, other: Schema) -> None:
    """Let a schema demand and permit what another one does as well."""
    for key, value in other.items():
        if key == "properties":
            fields = target.setdefault("properties", {})
            for name, field in value.items():
                merge(fields.setdefault(name, {}), field)
        elif key == "required":
            target["required"] = sorted({*target.get("required", ()), *value})
        else:
            target[key] = value


def closed(schema: Schema) -> Schema:
    """Return a copy that permits no field that it does not name."""
    result = dict(schema)
    if "properties" in schema:
        result["properties"] = {name: closed(field) for name, field in schema["properties"].items()}
        result.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            result[key] = closed(schema[key])
    return result


def leaf_paths(schema: Schema, prefix: str = "") -> set[str]:
    """Return the dotted paths of all fields that have none below them."""
    fields = schema.get("properties")
    if not fields:
        return {prefix}
    return {
        path
        for name, field in fields.items()
        for path in leaf_paths(field, f"{prefix}.{name}" if prefix else name)
    }

"""Field groups and schemas, in Adobe's Schema Registry.

What is there is only ever added to: Adobe allows nothing else once a dataset
uses a schema, and what somebody added by hand is theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streamer.core.errors import StreamerError
from streamer.provision.aep_platform import REGISTRY, Call, Platform, path_of
from streamer.provision.aep_step import (
    MARK,
    Change,
    Found,
    Ids,
    id_of,
    not_as_expected,
)

AS_WRITTEN = "application/vnd.adobe.xed+json; version=1"
RESOLVED = "application/vnd.adobe.xed-full+json; version=1"

UNION = "union"
"""The tag of a schema that takes part in the profile."""


class _Registered:
    """What field groups and schemas have in common."""

    what: str
    collection: str
    needs: Sequence[str] = ()

    def __init__(self, key: str, name: str) -> None:
        self.key = key
        self.name = name

    async def find(self, platform: Platform, ids: Ids) -> Found | None:
        """Look it up by its title."""
        async for item in platform.registry_items(f"{REGISTRY}/tenant/{self.collection}"):
            if item.get("title") == self.name:
                path = path_of(f"{REGISTRY}/tenant/{self.collection}", item["$id"])
                document = await platform.look_up(path, accept=AS_WRITTEN)
                return Found(id=item["$id"], document=document) if document else None
        return None

    def created_id(self, answer: Any) -> str:  # noqa: ANN401 - the answer's JSON
        """Read the ``$id``."""
        return id_of(answer, self.what, field="$id")

    def deletion(self, found: Found) -> Call | None:
        """Say the call that deletes it."""
        path = path_of(f"{REGISTRY}/tenant/{self.collection}", found.id)
        return Call(method="DELETE", path=path)

    def _creation(self, body: Mapping[str, Any]) -> Call:
        return Call(
            method="POST",
            path=f"{REGISTRY}/tenant/{self.collection}",
            body={"type": "object", "title": self.name, "description": MARK, **body},
            headers={"Accept": AS_WRITTEN},
        )

    def _patch(self, found: Found, operations: Sequence[Mapping[str, Any]]) -> Call:
        return Call(
            method="PATCH",
            path=path_of(f"{REGISTRY}/tenant/{self.collection}", found.id),
            body=list(operations),
            headers={"Accept": AS_WRITTEN},
        )


class FieldGroup(_Registered):
    """The organisation's own field group, with what has no standard place."""

    what = "field group"
    collection = "fieldgroups"

    def __init__(
        self, key: str, name: str, *, classes: Sequence[str], fields: Mapping[str, Any]
    ) -> None:
        """``fields`` are the properties of the top, as JSON schema: ``_{tenant}`` and below."""
        super().__init__(key, name)
        self._classes = classes
        self._fields = fields

    def creation(self, ids: Ids) -> Call:
        """Say the call that makes it."""
        return self._creation(
            {
                "meta:intendedToExtend": list(self._classes),
                "definitions": {"customFields": {"type": "object", "properties": self._fields}},
                "allOf": [{"$ref": "#/definitions/customFields"}],
            }
        )

    def changes(self, found: Found, ids: Ids) -> Sequence[Change]:
        """Add the fields that it lacks."""
        place, there = self._top(found)
        try:
            missing = list(_missing(self._fields, there, place))
        except _OtherTypeError as error:
            raise not_as_expected(self.what, self.name, str(error)) from None
        if not missing:
            return []
        operations = [
            {"op": "add", "path": path, "value": definition} for path, definition in missing
        ]
        names = ", ".join(path.rpartition("/")[2] for path, _ in missing)
        return [Change(what=f"adds the fields {names}", call=self._patch(found, operations))]

    def _top(self, found: Found) -> tuple[str, Mapping[str, Any]]:
        """Return where in the group our fields begin, and what stands there."""
        definitions = found.document.get("definitions") or {}
        for name, definition in definitions.items():
            there = definition.get("properties") or {}
            if not there.keys().isdisjoint(self._fields):
                return f"/definitions/{name}/properties", there
        raise not_as_expected(self.what, self.name, "has none of our fields")


class _OtherTypeError(Exception):
    """A field is there with another type."""


def _missing(
    wanted: Mapping[str, Any], there: Mapping[str, Any], place: str
) -> Iterator[tuple[str, Any]]:
    """Yield the fields of ``wanted`` that are not there, with their JSON pointers."""
    for name, definition in wanted.items():
        path = f"{place}/{name}"
        if name not in there:
            yield path, definition
            continue
        if definition.get("type") != there[name].get("type", definition.get("type")):
            raise _OtherTypeError(
                f"its field {name} is of type {there[name].get('type')}, not "
                f"{definition.get('type')}"
            )
        for inside, steps in (("properties", ""), ("items", "/properties")):
            below, existing = definition.get(inside) or {}, there[name].get(inside) or {}
            if inside == "items":
                below, existing = below.get("properties") or {}, existing.get("properties") or {}
            yield from _missing(below, existing, f"{path}/{inside}{steps}")


class Schema(_Registered):
    """A class and its field groups."""

    what = "schema"
    collection = "schemas"

    def __init__(
        self, key: str, name: str, *, xdm_class: str, groups: Sequence[str], own_group: str = ""
    ) -> None:
        """``own_group`` is the key of a `FieldGroup` that it has too."""
        super().__init__(key, name)
        self.needs = [own_group] if own_group else []
        self._class = xdm_class
        self._groups = groups

    def _references(self, ids: Ids) -> list[str]:
        return [self._class, *self._groups, *(ids[key] for key in self.needs)]

    def creation(self, ids: Ids) -> Call:
        """Say the call that makes it."""
        return self._creation({"allOf": [{"$ref": each} for each in self._references(ids)]})

    def changes(self, found: Found, ids: Ids) -> Sequence[Change]:
        """Add the field groups that it lacks."""
        there = [part.get("$ref") for part in found.document.get("allOf") or []]
        if self._class not in there:
            raise not_as_expected(self.what, self.name, f"is not of the class {self._class}")
        missing = [each for each in self._references(ids) if each not in there]
        if not missing:
            return []
        operations = [{"op": "add", "path": "/allOf/-", "value": {"$ref": one}} for one in missing]
        what = f"adds the field groups {', '.join(missing)}"
        return [Change(what=what, call=self._patch(found, operations))]


class ProfileSchema(_Registered):
    """A schema's part in the profile, which is a tag that cannot be taken off again."""

    what = "schema's part in the profile"
    collection = "schemas"

    def __init__(self, key: str, name: str, *, schema: str) -> None:
        """``schema`` is the schema's key."""
        super().__init__(key, name)
        self.needs = [schema]

    async def find(self, platform: Platform, ids: Ids) -> Found | None:
        """Look whether the schema has the tag."""
        found = await super().find(platform, ids)
        if found is None or UNION not in (found.document.get("meta:immutableTags") or []):
            return None
        return found

    def creation(self, ids: Ids) -> Call:
        """Say the call that puts the tag on."""
        operation = {"op": "add", "path": "/meta:immutableTags", "value": [UNION]}
        return self._patch(Found(id=ids[self.needs[0]], document={}), [operation])

    def changes(self, found: Found, ids: Ids) -> Sequence[Change]:
        """Nothing is added."""
        return []

    def deletion(self, found: Found) -> Call | None:
        """It goes with the schema."""
        return None


async def tenant_of(platform: Platform) -> str:
    """Return the organisation's tenant, without the underscore in front."""
    stats = await platform.get_object(f"{REGISTRY}/stats")
    tenant = str(stats.get("tenantId") or "").removeprefix("_")
    if not tenant:
        raise StreamerError(
            "Adobe's Schema Registry names no tenant for this organisation",
            hint="Is Experience Platform provisioned for it? Look at --org.",
        )
    return tenant


async def title_of(platform: Platform, schema_id: str) -> str | None:
    """Return a schema's title, which is what its set-up was named; None when it is gone."""
    path = path_of(f"{REGISTRY}/tenant/schemas", schema_id)
    schema = await platform.look_up(path, accept=AS_WRITTEN)
    return str(schema["title"]) if schema and schema.get("title") else None


async def missing_groups(platform: Platform, groups: Sequence[str]) -> list[str]:
    """Return those of Adobe's field groups that the organisation is not offered."""
    return [
        group
        for group in groups
        if await platform.look_up(
            path_of(f"{REGISTRY}/global/fieldgroups", group), accept=AS_WRITTEN
        )
        is None
    ]

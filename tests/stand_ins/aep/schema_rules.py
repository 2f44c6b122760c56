"""What a tenant's field group and schema must be to be made, and what may change in them.

Fields of a tenant's own lie under its name with an underscore in front. A schema has one class
and field groups that fit it. Once a dataset has a schema, fields may be added and none removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.stand_ins.aep import specs
from tests.stand_ins.aep.composition import Composer, Schema, leaf_paths
from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.problems import Refusal, service_problem

SERVICE = "XDM"
Fits = Mapping[str, list[str]]
"""Of each standard group, the classes that it fits; an empty list: any."""
FIELD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def refusal(detail: str) -> Refusal:
    """Say what is wrong with a schema or field group."""
    return service_problem(400, SERVICE, "Bad request", detail)


def check_group(organisation: Organisation, body: Schema) -> None:
    """Judge a tenant's field group.

    Raises:
        Refusal: 400, with what is wrong.
    """
    _check_title(body)
    extends = body.get("meta:intendedToExtend")
    if not isinstance(extends, list) or not extends or not all(map(_is_class, extends)):
        raise refusal("meta:intendedToExtend does not list the classes that the group fits")
    if not body.get("allOf"):
        raise refusal("allOf is missing: it refers to the definitions of the fields")
    for part in body["allOf"]:
        _check_local(body, part.get("$ref") if isinstance(part, dict) else None)
    fields = Composer().compose(body).get("properties", {})
    tenant_field = f"_{organisation.tenant}"
    if set(fields) != {tenant_field}:
        raise refusal(f"custom fields must lie under [{tenant_field}], and there must be some")
    _check_fields(fields[tenant_field], tenant_field)


def _is_class(identifier: object) -> bool:
    return identifier == "all" or identifier in specs.CLASSES


def _check_local(body: Schema, reference: object) -> None:
    name = str(reference).removeprefix("#/definitions/")
    if name == reference or name not in body.get("definitions", {}):
        raise refusal(f"allOf: [{reference}] leads to no definition of the group")


def _check_fields(field: Schema, path: str) -> None:
    if "type" not in field:
        raise refusal(f"{path} has no type")
    if field["type"] == "array" and "items" not in field:
        raise refusal(f"{path} is an array without items")
    for name, inner in field.get("properties", {}).items():
        if not FIELD_NAME.fullmatch(name):
            raise refusal(
                f"{path}.{name}: a name has letters, digits, dashes and underscores, and does"
                " not begin with an underscore"
            )
        _check_fields(inner, f"{path}.{name}")
    if isinstance(field.get("items"), dict):
        _check_fields(field["items"], f"{path}[]")


def check_schema(organisation: Organisation, body: Schema, offered: Fits) -> str:
    """Judge a tenant's schema by the standard groups that are offered; return its class.

    Raises:
        Refusal: 400, with what is wrong.
    """
    _check_title(body)
    references = [part.get("$ref") for part in body.get("allOf", ()) if isinstance(part, dict)]
    classes = [reference for reference in references if reference in specs.CLASSES]
    if len(classes) != 1:
        raise refusal("allOf does not refer to exactly one class")
    for reference in references:
        if reference in specs.CLASSES:
            continue
        group = organisation.field_groups.get(str(reference))
        extends = offered.get(str(reference)) if group is None else group["meta:intendedToExtend"]
        if extends is None:
            raise refusal(f"allOf: there is no field group [{reference}]")
        if extends and classes[0] not in extends and "all" not in extends:
            raise refusal(f"allOf: the field group [{reference}] does not fit the class")
    return str(classes[0])


def _check_title(body: Schema) -> None:
    if not isinstance(body.get("title"), str) or not body["title"]:
        raise refusal("title is missing")
    if body.get("type") != "object":
        raise refusal("type is not [object]")


def check_change(organisation: Organisation, before: Schema, after: Schema) -> None:
    """Judge a change of a resource that a dataset may depend on.

    Raises:
        Refusal: 400, if it takes away what is in use, or a tag that is for ever.
    """
    for key in ("$id", "meta:altId", "meta:class"):
        if before.get(key) != after.get(key):
            raise refusal(f"{key} cannot be changed")
    tags = set(before.get("meta:immutableTags", ()))
    if not tags <= set(after.get("meta:immutableTags", ())):
        raise refusal("meta:immutableTags: a tag is set for ever")
    if not _is_in_use(organisation, str(before["$id"])):
        return
    lost = _parts(before) - _parts(after)
    if lost:
        raise refusal(f"in use, so that nothing may be removed: {', '.join(sorted(lost))}")


def _parts(resource: Schema) -> set[str]:
    """Return a schema's references, and a group's fields."""
    references = {str(part.get("$ref")) for part in resource.get("allOf", ())}
    local = {reference for reference in references if reference.startswith("#")}
    return (references - local) | (leaf_paths(Composer().compose(resource)) if local else set())


def _is_in_use(organisation: Organisation, identifier: str) -> bool:
    """Tell whether a dataset has this schema, or one with this group."""
    used: set[Any] = {dataset["schemaRef"]["id"] for dataset in organisation.datasets}
    return identifier in used or any(
        {"$ref": identifier} in schema["allOf"]
        for schema in organisation.schemas
        if schema["$id"] in used
    )

"""The streaming validation: judges an entity by its dataset's schema as ingestion knows it.

Ingestion does not look a schema up for each message: it goes on with the version that it knows
for a quarter of an hour. With Adobe's own files at hand every field is judged; without them only
the tenant's own fields and what holds for every event.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from jsonschema import Draft6Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from tests.stand_ins.aep import specs
from tests.stand_ins.aep.composition import Composer, Library, Schema, closed
from tests.stand_ins.aep.documents import value_at
from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.violations import (
    Violation,
    bad_date_time,
    find_basic,
    find_nulls,
    is_date_time,
)

FORMATS = FormatChecker(formats=())
TYPE_NAMES = {
    bool: "Boolean",
    int: "Long",
    float: "Double",
    str: "String",
    list: "JSONArray",
    dict: "JSONObject",
}


@FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or is_date_time(value)


@dataclasses.dataclass(frozen=True)
class Known:
    """A schema as ingestion came to know it."""

    since_ms: int
    validator: Draft6Validator
    is_event: bool


class Validation:
    """Judges entities; knows each schema for as long as the rules say."""

    def __init__(self, organisation: Organisation, library: Library) -> None:
        self._organisation = organisation
        self._library = library
        self._known: dict[str, Known] = {}

    def judge(self, schema_id: str, entity: dict[str, Any]) -> list[Violation]:
        """Say what is wrong with an entity; empty if nothing is."""
        known = self._know(schema_id)
        if self._library.schemas or not known.is_event:
            found = list(find_nulls(entity))
        else:
            found = list(find_basic(entity))
        errors = sorted(known.validator.iter_errors(entity), key=lambda error: str(error.path))
        for error in errors:
            found += (new for new in _violations(error) if new not in found)
        return found

    def _know(self, schema_id: str) -> Known:
        now = self._organisation.clock.now()
        known = self._known.get(schema_id)
        lasts_ms = self._organisation.rules.schema_cache_seconds * 1000
        if known is None or known.since_ms + lasts_ms <= now:
            known = self._known[schema_id] = self._look_up(schema_id, now)
        return known

    def _look_up(self, schema_id: str, now: int) -> Known:
        organisation = self._organisation
        schema = copy.deepcopy(organisation.schemas.get(schema_id)) or {}
        composer = Composer(self._library.schemas, by_id(organisation))
        whole = closed(_demanding_identity(organisation, schema, composer.compose(schema)))
        if not self._library.schemas:
            whole = _tenant_only(whole, f"_{organisation.tenant}")
        elif schema_id in organisation.open_schemas:
            whole["properties"][f"_{organisation.tenant}"] = {"type": "object"}
        validator = Draft6Validator(whole, format_checker=FORMATS)
        return Known(now, validator, is_event=_class_of(schema) != specs.INDIVIDUAL_PROFILE)


def by_id(organisation: Organisation) -> dict[str, Schema]:
    """Return the tenant's own field groups by ``$id``."""
    return {group["$id"]: group for group in organisation.field_groups}


def _class_of(schema: Schema) -> str | None:
    references = {part.get("$ref") for part in schema.get("allOf", ())}
    return next((known for known in specs.CLASSES if known in references), None)


def _tenant_only(whole: Schema, tenant_field: str) -> Schema:
    """Keep what is known without Adobe's files: the tenant's own fields, if there are any."""
    field = value_at(whole, f"properties.{tenant_field}")
    if field is None:
        return {}
    required = [tenant_field] if tenant_field in whole.get("required", ()) else []
    return {"type": "object", "properties": {tenant_field: field}, "required": required}


def _demanding_identity(organisation: Organisation, schema: Schema, whole: Schema) -> Schema:
    """Demand the fields that are marked as primary identity: events without them fail."""
    for descriptor in organisation.descriptors:
        if descriptor.get("xdm:sourceSchema") != schema.get("$id"):
            continue
        if descriptor.get("xdm:isPrimary") is not True:
            continue
        place = whole
        for name in str(descriptor["xdm:sourceProperty"]).removeprefix("/").split("/"):
            place["required"] = sorted({*place.get("required", ()), name})
            place = place.setdefault("properties", {}).setdefault(name, {})
    return whole


def _violations(error: ValidationError) -> list[Violation]:
    """Put an error of the validator in the words of Adobe's records; nulls were found before."""
    pointer = "/".join(["#", *[str(key) for key in error.absolute_path]])
    instance: Any = error.instance
    rule: Any = error.schema
    if instance is None:
        return []
    if error.validator == "additionalProperties":
        extra = [key for key in instance if key not in rule["properties"]]
        return [_extraneous(pointer, key) for key in extra]
    if error.validator == "required":
        missing = [key for key in rule["required"] if key not in instance]
        return [Violation("required", pointer, _missing(key)) for key in missing]
    if error.validator == "format":
        return [bad_date_time(pointer, instance)]
    return [Violation(str(error.validator), pointer, _worded(error, instance, rule))]


def _worded(error: ValidationError, instance: object, rule: Any) -> str:  # noqa: ANN401 - a schema
    if error.validator == "type":
        found = TYPE_NAMES.get(type(instance), type(instance).__name__)
        return f"expected type: {str(rule['type']).capitalize()}, found: {found}"
    if error.validator == "enum":
        return f"[{instance}] is not a valid enum value"
    return error.message


def _extraneous(pointer: str, key: str) -> Violation:
    return Violation("additionalProperties", pointer, f"extraneous key [{key}] is not permitted")


def _missing(key: str) -> str:
    return f"required key [{key}] not found"

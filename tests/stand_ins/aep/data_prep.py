"""Data Prep: mapping sets, kept and checked; and a preview of mappings that copy a field.

No expression is evaluated here: an expression is known by its outer shape alone, and a preview
of one says so instead of guessing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.stand_ins.aep.composition import Composer, Library
from tests.stand_ins.aep.descriptions import DATA_PREP, Descriptions
from tests.stand_ins.aep.documents import value_at
from tests.stand_ins.aep.gate import number_in, read_object
from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.problems import Refusal, service_problem
from tests.stand_ins.aep.resources import Document
from tests.stand_ins.aep.validation import by_id

BASE = "/data/foundation/conversion"
SERVICE = "MAPPER"
EXPRESSION_MAX = 4096
"""Characters of a calculated field."""
FUNCTIONS = [
    "concat", "explode", "instr", "replacestr", "substr", "lower", "lcase", "upper", "ucase",
    "split", "join", "lpad", "rpad", "left", "right", "ltrim", "rtrim", "trim", "equals",
    "equalsIgnoreCase", "extract_regex", "matches_regex", "sha1", "sha256", "sha512", "md5",
    "crc32", "get_url_protocol", "get_url_host", "get_url_port", "get_url_path",
    "get_url_query_str", "get_url_encoded", "get_url_decoded", "now", "timestamp", "format",
    "dformat", "date", "date_part", "set_date_part", "make_date_time", "make_timestamp",
    "zone_date_to_utc", "zone_date_to_zone", "size_of", "is_empty", "arrays_to_object",
    "to_object", "str_to_object", "contains_key", "nullify", "get_keys", "get_values", "coalesce",
    "first", "last", "add_to_array", "join_arrays", "to_array", "upsert_array_append",
    "upsert_array_replace", "decode", "iif", "min", "max", "to_bigint", "to_decimal", "to_float",
    "to_integer", "json_to_object", "uuid", "guid", "fpid_to_ecid", "ua_os_name",
    "ua_os_version_major", "ua_os_version", "ua_os_name_version", "ua_agent_version",
    "ua_agent_version_major", "ua_agent_name", "ua_device_class",
]  # fmt: skip
OPERATORS = [
    "+", "-", "*", "/", "mod", ">", ">=", "<", "<=", "==", "!=", "&&", "||", "!", "eq", "ne",
    "gt", "ge", "lt", "le", "and", "or", "not",
]  # fmt: skip
STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
CALL = re.compile(r"(?<![.\w])([A-Za-z_]\w*)\s*\(")


def refusal(detail: str) -> Refusal:
    """Say what is wrong with a mapping set."""
    return service_problem(400, SERVICE, "Bad request", detail)


class DataPrep:
    """The mapping sets of one organisation."""

    def __init__(
        self, organisation: Organisation, library: Library, descriptions: Descriptions
    ) -> None:
        self._organisation = organisation
        self._library = library
        self._descriptions = descriptions

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the service's routes."""
        return [
            web.get(f"{BASE}/mappingSets", self._list),
            web.post(f"{BASE}/mappingSets", self._create),
            web.post(f"{BASE}/mappingSets/validate", self._validate),
            web.post(f"{BASE}/mappingSets/preview", self._preview),
            web.get(f"{BASE}/mappingSets/{{id}}", self._get),
            web.put(f"{BASE}/mappingSets/{{id}}", self._put),
            web.get(f"{BASE}/mappingSets/{{id}}/mappings", self._get_mappings),
            web.post(f"{BASE}/languages/el/validate", self._validate_expression),
            web.get(f"{BASE}/languages/el/functions", self._get_functions),
            web.get(f"{BASE}/languages/el/operators", self._get_operators),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        limit = number_in(request, "limit", 100, 100, SERVICE)
        name = request.query.get("name")
        found = [kept for kept in self._organisation.mapping_sets if name in (None, kept["name"])]
        page = {"count": len(found[:limit]), "totalPages": 1}
        return web.json_response({"data": found[:limit], "_page": page, "_links": {}})

    async def _create(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        faults = [fault for mapping in body["mappings"] for fault in self._faults(body, mapping)]
        if faults:
            raise refusal("; ".join(faults))
        organisation = self._organisation
        identifier = organisation.names.digits(32)
        kept = organisation.mapping_sets.add(identifier, {"name": None, **body, "id": identifier})
        return web.json_response(_represented(organisation, kept, version=0))

    async def _validate(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        results = [_result(self._faults(body, mapping)) for mapping in body["mappings"]]
        return web.json_response({"validationResponse": results})

    async def _preview(self, request: web.Request) -> web.Response:
        """Copy what mappings of the kind ATTRIBUTE name; others are errors of the answer."""
        body = await read_object(request, SERVICE)
        mapping_set, data = body.get("mappingSet"), body.get("data")
        if isinstance(data, list) and data:
            data = data[0]
        if not isinstance(mapping_set, dict) or not isinstance(data, dict):
            raise refusal("data or mappingSet is missing")
        mapped: dict[str, Any] = {}
        errors = []
        for mapping in mapping_set.get("mappings", ()):
            source, destination = _ends(mapping)
            if mapping.get("sourceType", "ATTRIBUTE") != "ATTRIBUTE":
                reason = "this server evaluates no expression"
                errors.append({"source": source, "destination": destination, "exception": reason})
            else:
                _put_at(mapped, destination, value_at(data, source))
        return web.json_response({"data": mapped, "errors": errors})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._find(request))

    async def _get_mappings(self, request: web.Request) -> web.Response:
        return web.json_response({"data": self._find(request)["mappings"]})

    async def _put(self, request: web.Request) -> web.Response:
        kept = self._find(request)
        body = await self._read(request)
        faults = [fault for mapping in body["mappings"] for fault in self._faults(body, mapping)]
        if faults:
            raise refusal("; ".join(faults))
        number = int(kept.get("number", 0)) + 1
        kept.update({**body, "number": number})
        self._organisation.mapping_sets.touch(kept["id"])
        return web.json_response(_represented(self._organisation, kept, version=number))

    async def _validate_expression(self, request: web.Request) -> web.Response:
        body = await read_object(request, SERVICE)
        expression = body.get("expression")
        if not isinstance(expression, str):
            raise refusal("expression is missing")
        return web.json_response(fault_of(expression) is None)

    async def _get_functions(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(
            [{"function": name, "category": "", "since": 1} for name in FUNCTIONS]
        )

    async def _get_operators(self, request: web.Request) -> web.Response:
        del request
        return web.json_response([{"operator": name} for name in OPERATORS])

    async def _read(self, request: web.Request) -> dict[str, Any]:
        body = await read_object(request, SERVICE)
        self._descriptions.check(DATA_PREP, "MappingSet", body)
        if not isinstance(body.get("mappings"), list) or not body["mappings"]:
            raise refusal("mappings is missing or empty")
        if _schema_of(body) not in self._organisation.schemas:
            raise refusal(f"outputSchema: there is no schema [{_schema_of(body)}]")
        return body

    def _faults(self, body: dict[str, Any], mapping: dict[str, Any]) -> list[str]:
        source, destination = _ends(mapping)
        faults = [] if source and destination else ["a mapping has no source or no destination"]
        if mapping.get("sourceType") == "EXPRESSION" and (fault := fault_of(source)):
            faults.append(f"[{source}]: {fault}")
        if destination and not self._has_field(body, destination):
            faults.append(f"[{destination}] is no field of the schema")
        return faults

    def _has_field(self, body: dict[str, Any], destination: str) -> bool:
        """Tell whether a schema has a field; true of what is not the tenant's without the files."""
        organisation = self._organisation
        if not self._library.schemas and not destination.startswith(f"_{organisation.tenant}."):
            return True
        schema = organisation.schemas.get(_schema_of(body)) or {}
        field: Any = Composer(self._library.schemas, by_id(organisation)).compose(schema)
        for name in destination.split("."):
            fields = field.get("properties", {})
            field = fields.get(name.partition("[")[0], field.get("additionalProperties"))
            if not isinstance(field, dict):
                return False
            field = field.get("items", field)
        return True

    def _find(self, request: web.Request) -> Document:
        identifier = request.match_info["id"]
        kept = self._organisation.mapping_sets.get(identifier)
        if kept is None:
            detail = f"there is no mapping set [{identifier}]"
            raise service_problem(404, SERVICE, "Not found", detail)
        return kept


def fault_of(expression: str) -> str | None:
    """Say what is wrong with an expression, as far as its shape tells; None if nothing is."""
    if len(expression) > EXPRESSION_MAX:
        return f"it has more than {EXPRESSION_MAX} characters"
    bare = STRING.sub('""', expression)
    if bare.count('"') % 2 or bare.replace('""', "").count("'"):
        return "a quotation is not closed"
    for opening, closing in ("()", "[]", "{}"):
        if bare.count(opening) != bare.count(closing):
            return f"{opening} and {closing} are not paired"
    unknown = [name for name in CALL.findall(bare) if name not in FUNCTIONS]
    return f"there is no function [{unknown[0]}]" if unknown else None


def _ends(mapping: dict[str, Any]) -> tuple[str, str]:
    """Return source and destination of a mapping, written in the new way or in the old one."""
    source = mapping.get("source", mapping.get("sourceAttribute"))
    destination = mapping.get("destination", mapping.get("destinationXdmPath"))
    return str(source or ""), str(destination or "")


def _schema_of(body: dict[str, Any]) -> str:
    return str(value_at(body, "outputSchema.schemaRef.id") or body.get("xdmSchema"))


def _result(faults: list[str]) -> dict[str, Any]:
    errors = [{"exception": fault} for fault in faults]
    return {"status": "FAILED" if faults else "SUCCESS", "errors": errors or None}


def _represented(organisation: Organisation, kept: Document, *, version: int) -> dict[str, Any]:
    return {
        "id": kept["id"],
        "version": version,
        "createdDate": kept["createdAt"],
        "modifiedDate": kept["updatedAt"],
        "createdBy": organisation.org_id,
        "modifiedBy": organisation.org_id,
    }


def _put_at(document: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    for key in parents:
        document = document.setdefault(key, {})
    if value is not None:
        document[last] = value

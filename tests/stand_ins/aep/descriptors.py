"""Descriptors: what a schema's field means beyond its type; here, which of them are identities.

A field that is marked as primary identity becomes required: the validation sees to that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.stand_ins.aep.composition import Composer, Library
from tests.stand_ins.aep.documents import value_at
from tests.stand_ins.aep.gate import read_object
from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.problems import service_problem
from tests.stand_ins.aep.schema_registry import BASE, not_acceptable
from tests.stand_ins.aep.schema_rules import SERVICE, refusal
from tests.stand_ins.aep.validation import by_id

IDENTITY = "xdm:descriptorIdentity"
FORMATS = {
    "application/vnd.adobe.xdm-id+json",
    "application/vnd.adobe.xdm-link+json",
    "application/vnd.adobe.xdm+json",
    "application/vnd.adobe.xdm-v2+json",
}


class Descriptors:
    """The descriptors of one organisation's schemas."""

    def __init__(self, organisation: Organisation, library: Library) -> None:
        self._organisation = organisation
        self._library = library

    def routes(self) -> Iterable[web.RouteDef]:
        """Return where descriptors are."""
        base = f"{BASE}/tenant/descriptors"
        return [
            web.get(base, self._list),
            web.post(base, self._create),
            web.get(f"{base}/{{id}}", self._get),
            web.delete(f"{base}/{{id}}", self._delete),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        """Answer descriptors by type: whole, or their ids or addresses alone."""
        accept = request.headers.get("Accept", "")
        if accept not in FORMATS:
            raise not_acceptable(f"Accept is [{accept}], not one of {', '.join(sorted(FORMATS))}")
        by_type: dict[str, list[Any]] = {}
        for descriptor in self._organisation.descriptors:
            entries = by_type.setdefault(descriptor["@type"], [])
            entries.append(_formatted(descriptor, accept))
        return web.json_response(by_type)

    async def _create(self, request: web.Request) -> web.Response:
        body = await read_object(request, SERVICE)
        self._check(body)
        identifier = self._organisation.names.digits(40)
        document = self._organisation.descriptors.add(identifier, {"@id": identifier, **body})
        return web.json_response(document, status=201)

    def _check(self, body: dict[str, Any]) -> None:
        if body.get("@type") != IDENTITY:
            raise refusal(f"@type is [{body.get('@type')}]; this server knows [{IDENTITY}] only")
        schema = self._organisation.schemas.get(str(body.get("xdm:sourceSchema")))
        if schema is None:
            raise refusal(f"xdm:sourceSchema: there is no schema [{body.get('xdm:sourceSchema')}]")
        codes = {namespace["code"] for namespace in self._organisation.namespaces}
        if body.get("xdm:property") != "xdm:code" or body.get("xdm:namespace") not in codes:
            raise refusal(f"xdm:namespace: there is no code [{body.get('xdm:namespace')}]")
        composer = Composer(self._library.schemas, by_id(self._organisation))
        whole = composer.compose(schema)
        path = str(body.get("xdm:sourceProperty")).removeprefix("/").split("/")
        if value_at(whole, ".".join(f"properties.{name}" for name in path)) is None:
            raise refusal(f"xdm:sourceProperty: there is no field [/{'/'.join(path)}]")

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._find(request))

    async def _delete(self, request: web.Request) -> web.Response:
        self._organisation.descriptors.remove(self._find(request)["@id"])
        return web.Response(status=204)

    def _find(self, request: web.Request) -> dict[str, Any]:
        identifier = request.match_info["id"]
        found = self._organisation.descriptors.get(identifier)
        if found is None:
            raise service_problem(
                404, SERVICE, "Resource not found", f"there is no descriptor [{identifier}]"
            )
        return found


def _formatted(descriptor: dict[str, Any], accept: str) -> Any:  # noqa: ANN401 - any JSON
    if "-id" in accept:
        return descriptor["@id"]
    if "-link" in accept:
        return f"/tenant/descriptors/{descriptor['@id']}"
    return descriptor

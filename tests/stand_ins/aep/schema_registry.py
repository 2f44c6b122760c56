"""The Schema Registry: Adobe's standard classes and groups, and the tenant's own.

What an answer looks like is decided by the ``Accept`` header, and a look-up must name a version
in it. Resources are addressed by their ``$id``, encoded, or by their ``meta:altId``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.stand_ins.aep import specs
from tests.stand_ins.aep.composition import Composer, Library, Schema
from tests.stand_ins.aep.documents import BadFilter, BadPatch, matches, patched
from tests.stand_ins.aep.gate import number_in, read_object, read_patch
from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.problems import Refusal, service_problem
from tests.stand_ins.aep.resources import Document, Documents
from tests.stand_ins.aep.schema_rules import (
    SERVICE,
    check_change,
    check_group,
    check_schema,
    refusal,
)
from tests.stand_ins.aep.validation import by_id

BASE = "/data/foundation/schemaregistry"
LIST_MAX = 300
LIST_FORMATS = ("application/vnd.adobe.xed-id+json", "application/vnd.adobe.xed+json")
LOOK_UP_FORMAT = re.compile(
    r"application/vnd\.adobe\.xed(?P<full>-full)?(-notext|-desc|-deprecatefield)?\+json"
    r"(?P<version>; ?version=1(\.\d+)?)?"
)
IN_SHORT = ("$id", "meta:altId", "version", "title")
KINDS = "classes|fieldgroups|mixins|schemas|unions|datatypes"


class SchemaRegistry:
    """The registry of one organisation."""

    def __init__(self, organisation: Organisation, library: Library) -> None:
        self._organisation = organisation
        self._library = library
        self.missing_groups: set[str] = set()
        """Standard groups, by ``$id``, that this organisation's licence does not offer."""

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the registry's routes."""
        kind = f"{{kind:{KINDS}}}"
        own = f"{BASE}/tenant/{{kind:schemas|fieldgroups|mixins}}"
        return [
            web.get(f"{BASE}/stats", self._get_stats),
            web.get(f"{BASE}/{{container:global|tenant}}/{kind}", self._list),
            web.get(f"{BASE}/{{container:global|tenant}}/{kind}/{{id}}", self._get),
            web.post(own, self._create),
            web.patch(f"{own}/{{id}}", self._patch),
            web.put(f"{own}/{{id}}", self._put),
            web.delete(f"{own}/{{id}}", self._delete),
        ]

    async def _get_stats(self, request: web.Request) -> web.Response:
        del request
        organisation = self._organisation
        counts = {
            "schemas": len(organisation.schemas),
            "mixins": len(organisation.field_groups),
            "datatypes": 0,
            "classes": 0,
            "unions": len(self._unions()),
        }
        return web.json_response(
            {"imsOrg": organisation.org_id, "tenantId": organisation.tenant, "counts": counts}
        )

    async def _list(self, request: web.Request) -> web.Response:
        accept = request.headers.get("Accept", "")
        if accept not in LIST_FORMATS:
            raise not_acceptable(f"Accept is [{accept}], not one of {', '.join(LIST_FORMATS)}")
        found = self._resources(request)
        try:
            for condition in request.query.getall("property", []):
                found = [resource for resource in found if matches(resource, condition)]
        except BadFilter as error:
            raise refusal(f"property: {error}") from None
        return web.json_response(_page(request, found, in_short=accept == LIST_FORMATS[0]))

    async def _get(self, request: web.Request) -> web.Response:
        accept = request.headers.get("Accept", "")
        wanted = LOOK_UP_FORMAT.fullmatch(accept)
        if wanted is None:
            raise not_acceptable(f"Accept is [{accept}], which is no format of a schema")
        if wanted["version"] is None:
            raise not_acceptable("Accept names no version, as a look-up must: [; version=1]")
        resource = self._find(request, self._resources(request))
        if wanted["full"]:
            composer = Composer(self._library.schemas, by_id(self._organisation))
            about = {key: value for key, value in resource.items() if key != "allOf"}
            resource = {**about, **composer.compose(resource)}
        return web.json_response(resource)

    async def _create(self, request: web.Request) -> web.Response:
        body = await read_object(request, SERVICE)
        return web.json_response(self.make(_plural(request), body), status=201)

    def make(self, kind: str, body: Schema, *, age_seconds: float = 0) -> Document:
        """Keep a schema or field group that is found good.

        Raises:
            Refusal: 400, with what is wrong.
        """
        organisation = self._organisation
        identity = _identity(organisation.tenant, kind, organisation.names.digits(48))
        about = self._about(kind, body)
        document = {
            **body,
            **identity,
            **about,
            "meta:resourceType": kind,
            "meta:containerId": "tenant",
            "meta:tenantNamespace": f"_{organisation.tenant}",
            "imsOrg": organisation.org_id,
        }
        kept = self._kept(kind).add(identity["$id"], document, age_seconds=age_seconds)
        kept["version"] = "1.0"
        return kept

    def _about(self, kind: str, body: Schema) -> dict[str, Any]:
        """Check a resource, and return what the registry says of it."""
        if kind == "mixins":
            check_group(self._organisation, body)
            return {"meta:abstract": True, "meta:extensible": True}
        its_class = check_schema(self._organisation, body, self._offered())
        extends = [part["$ref"] for part in body["allOf"]]
        return {"meta:class": its_class, "meta:extends": extends, "meta:abstract": False}

    def _offered(self) -> dict[str, list[str]]:
        """Return the standard groups, and the classes that each fits as far as its file says."""
        return {
            identifier: self._library.schemas.get(identifier, {}).get("meta:intendedToExtend", [])
            for identifier in specs.STANDARD_GROUPS
            if identifier not in self.missing_groups
        }

    async def _patch(self, request: web.Request) -> web.Response:
        document = self._find(request, list(self._kept(_plural(request))))
        try:
            changed = patched(document, await read_patch(request, SERVICE))
        except BadPatch as error:
            raise refusal(str(error)) from None
        return self._replace(request, document, changed)

    async def _put(self, request: web.Request) -> web.Response:
        document = self._find(request, list(self._kept(_plural(request))))
        body = await read_object(request, SERVICE)
        read_only = {key: value for key, value in document.items() if key not in body}
        return self._replace(request, document, {**read_only, **body})

    def _replace(self, request: web.Request, document: Document, changed: Document) -> web.Response:
        kind = _plural(request)
        changed.update(self._about(kind, changed))
        check_change(self._organisation, document, changed)
        major, minor = str(document["version"]).split(".")
        document.clear()
        document.update(changed)
        self._kept(kind).touch(document["$id"])
        document["version"] = f"{major}.{int(minor) + 1}"
        return web.json_response(document)

    async def _delete(self, request: web.Request) -> web.Response:
        documents = self._kept(_plural(request))
        documents.remove(self._find(request, list(documents))["$id"])
        return web.Response(status=204)

    def _kept(self, kind: str) -> Documents:
        return self._organisation.schemas if kind == "schemas" else self._organisation.field_groups

    def _resources(self, request: web.Request) -> list[Document]:
        kind = _plural(request)
        if request.match_info["container"] == "tenant":
            if kind == "unions":
                return self._unions()
            return list(self._kept(kind)) if kind in ("schemas", "mixins") else []
        if kind == "classes":
            return [
                self._standard(identifier, title) for identifier, title in specs.CLASSES.items()
            ]
        if kind == "mixins":
            return [
                self._standard(identifier, title)
                for identifier, title in specs.STANDARD_GROUPS.items()
                if identifier not in self.missing_groups
            ]
        return []

    def _standard(self, identifier: str, title: str) -> Document:
        document = self._library.schemas.get(identifier, {"type": "object"})
        named = {"$id": identifier, "meta:altId": _alternate(identifier), "title": title}
        return {**document, **named, "version": "1.0", "meta:containerId": "global"}

    def _unions(self) -> list[Document]:
        """Return the unions of the classes that have a schema with the tag."""
        tagged = [
            schema
            for schema in self._organisation.schemas
            if "union" in schema.get("meta:immutableTags", ())
        ]
        return [
            {
                "$id": f"{its_class}__union",
                "meta:altId": _alternate(f"{its_class}__union"),
                "title": specs.CLASSES[its_class],
                "meta:class": its_class,
                "version": "1.0",
            }
            for its_class in sorted({schema["meta:class"] for schema in tagged})
        ]

    def _find(self, request: web.Request, resources: list[Document]) -> Document:
        identifier = request.match_info["id"]
        for resource in resources:
            if identifier in (resource["$id"], resource["meta:altId"]):
                return resource
        raise service_problem(
            404, SERVICE, "Resource not found", f"there is no resource [{identifier}]"
        )


def not_acceptable(detail: str) -> Refusal:
    """Say that an answer cannot be in the form that is asked for."""
    return service_problem(406, SERVICE, "Not acceptable", detail)


def _plural(request: web.Request) -> str:
    """Return the kind in a path; field groups were called mixins, and still are in their ids."""
    kind = request.match_info["kind"]
    return "mixins" if kind == "fieldgroups" else kind


def _identity(tenant: str, kind: str, digits: str) -> dict[str, str]:
    identifier = f"https://ns.adobe.com/{tenant}/{kind}/{digits}"
    return {"$id": identifier, "meta:altId": _alternate(identifier)}


def _alternate(identifier: str) -> str:
    return "_" + identifier.removeprefix("https://ns.adobe.com/").replace("/", ".")


def _page(request: web.Request, found: list[Document], *, in_short: bool) -> dict[str, Any]:
    limit = number_in(request, "limit", LIST_MAX, LIST_MAX, SERVICE)
    order = request.query.get("orderby", "title")
    field = order.lstrip("+-")
    found = sorted(found, key=lambda item: str(item.get(field)), reverse=order.startswith("-"))
    start = request.query.get("start")
    if start is not None:
        names = [str(item.get(field)) for item in found]
        found = found[names.index(start) :] if start in names else []
    following = str(found[limit].get(field)) if len(found) > limit else None
    results = found[:limit]
    if in_short:
        results = [{key: item[key] for key in IN_SHORT} for item in results]
    page = {"orderby": order, "next": following, "count": len(results)}
    return {"results": results, "_page": page, "_links": {"next": None}}

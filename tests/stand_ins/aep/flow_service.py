"""The Flow Service: connections, sources, targets, dataflows and their runs.

A connection of HTTP API opens an inlet; a dataflow of Customer.io's source has one of its own.
What is made answers with an id and an etag, and a change must name the etag that it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from tests.stand_ins.aep import specs
from tests.stand_ins.aep.datasets import Datasets
from tests.stand_ins.aep.descriptions import FLOW_SERVICE, Descriptions
from tests.stand_ins.aep.documents import BadFilter, BadPatch, matches, patched, value_at
from tests.stand_ins.aep.flow_rules import (
    SERVICE,
    check_connection,
    check_flow,
    check_source,
    check_target,
    refusal,
)
from tests.stand_ins.aep.gate import number_in, read_object, read_patch
from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.problems import Refusal, service_problem
from tests.stand_ins.aep.resources import Document, Documents

BASE = "/data/foundation/flowservice"
PAGE_MAX = 100
ACTIONS = {"ENABLE": "enabled", "DISABLE": "disabled", "PUBLISH": "enabled"}
Check = Callable[[Organisation, dict[str, Any]], None]


class Kind:
    """One kind of resource: where it is kept and what a body must be."""

    def __init__(self, documents: Documents, request_name: str, check: Check) -> None:
        self.documents = documents
        self.request_name = request_name
        """Of the request's schema in Adobe's description."""
        self.check = check


class FlowService:
    """The Flow Service of one organisation."""

    def __init__(
        self, organisation: Organisation, datasets: Datasets, descriptions: Descriptions
    ) -> None:
        self._organisation = organisation
        self._datasets = datasets
        self._descriptions = descriptions
        self._kinds = {
            "connections": Kind(
                organisation.connections, "CreateConnectionRequest", check_connection
            ),
            "sourceConnections": Kind(
                organisation.source_connections, "CreateSourceConnectionRequest", check_source
            ),
            "targetConnections": Kind(
                organisation.target_connections, "CreateTargetConnectionRequest", check_target
            ),
            "flows": Kind(organisation.flows, "CreateFlowRequest", check_flow),
        }

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the service's routes; an id may be followed by a slash, as Adobe writes some."""
        kind = "{kind:connections|sourceConnections|targetConnections|flows}"
        one = f"{BASE}/{kind}/{{id:[^/]+}}{{slash:/?}}"
        return [
            web.post(f"{BASE}/{kind}", self._create),
            web.get(f"{BASE}/{kind}", self._list),
            web.get(one, self._get),
            web.patch(one, self._patch),
            web.delete(one, self._delete),
            web.post(f"{BASE}/flows/{{id}}/action", self._act),
            web.get(f"{BASE}/runs", self._list_runs),
            web.get(f"{BASE}/{{specs:connectionSpecs|flowSpecs}}", self._list_specs),
            web.get(f"{BASE}/{{specs:connectionSpecs|flowSpecs}}/{{id}}", self._get_spec),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        kind = self._kinds[request.match_info["kind"]]
        body = await read_object(request, SERVICE)
        self._descriptions.check(FLOW_SERVICE, kind.request_name, body)
        kind.check(self._organisation, body)
        document = self.make(request.match_info["kind"], body)
        answer = {"id": document["id"], "etag": document["etag"]}
        location = f"{request.path}/{document['id']}"
        return web.json_response(answer, status=201, headers={"Location": location})

    def make(self, kind: str, body: dict[str, Any], *, age_seconds: float = 0) -> Document:
        """Keep a resource that was found good, and open the inlet that comes with it."""
        organisation = self._organisation
        identifier = organisation.names.uuid()
        document = self._kinds[kind].documents.add(
            identifier,
            {
                "id": identifier,
                "state": "enabled",
                "imsOrgId": organisation.org_id,
                "sandboxName": organisation.sandbox,
                **body,
            },
            age_seconds=age_seconds,
        )
        if kind == "connections":
            self._open_for_connection(document)
        elif kind == "flows" and value_at(document, "flowSpec.id") == specs.FLOW_OF_SOURCE:
            self._open_for_flow(document)
        return document

    def _open_for_connection(self, connection: Document) -> None:
        parameters = connection["auth"]["params"]
        inlet = self._organisation.open_inlet(
            parameters["dataType"],
            authenticated=parameters.setdefault("authenticationRequired", False),
            connection_id=connection["id"],
        )
        url = self._organisation.inlet_url(inlet)
        parameters.update({"inletId": inlet.id, "inletUrl": url})

    def _open_for_flow(self, flow: Document) -> None:
        inlet = self._organisation.open_inlet("raw", authenticated=False, flow_id=flow["id"])
        flow["options"] = {"inletUrl": self._organisation.inlet_url(inlet)}

    async def _list(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        return page(request, list(self._kinds[kind].documents))

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response({"items": [self._find(request)]})

    async def _patch(self, request: web.Request) -> web.Response:
        document = self._find(request)
        self._check_etag(request, document)
        steps = await read_patch(request, SERVICE)
        if any(str(step.get("path")).split("/")[1:2] == ["id"] for step in steps):
            raise refusal("id cannot be changed")
        try:
            changed = patched(document, steps)
        except BadPatch as error:
            raise refusal(str(error)) from None
        document.clear()
        document.update(changed)
        return self._touched(request, document)

    def _check_etag(self, request: web.Request, document: Document) -> None:
        given = request.headers.get("If-Match")
        if given is None:
            raise refusal("the header If-Match is missing: it names the etag that is to change")
        if given != document["etag"]:
            raise service_problem(
                412, SERVICE, "Precondition failed", "If-Match is not the present etag"
            )

    async def _delete(self, request: web.Request) -> web.Response:
        document = self._find(request)
        self._kinds[request.match_info["kind"]].documents.remove(document["id"])
        return web.Response(status=204)

    async def _act(self, request: web.Request) -> web.Response:
        flow = self._organisation.flows.get(request.match_info["id"])
        if flow is None:
            raise absent(f"there is no dataflow [{request.match_info['id']}]")
        operation = request.query.get("op", "")
        if operation.upper() not in ACTIONS:
            raise refusal(f"op: there is no action [{operation}]")
        flow["state"] = ACTIONS[operation.upper()]
        etag = self._organisation.flows.touch(flow["id"])
        return web.json_response({"id": flow["id"], "etag": etag})

    def _touched(self, request: web.Request, document: Document) -> web.Response:
        documents = self._kinds[request.match_info["kind"]].documents
        etag = documents.touch(document["id"])
        return web.json_response({"id": document["id"], "etag": etag})

    def _find(self, request: web.Request) -> Document:
        kind, identifier = request.match_info["kind"], request.match_info["id"]
        document = self._kinds[kind].documents.get(identifier)
        if document is None:
            raise absent(f"there is nothing with the id [{identifier}] in {kind}")
        return document

    async def _list_runs(self, request: web.Request) -> web.Response:
        """Show each batch as a run of its dataflow."""
        return page(request, [_run(batch) for batch in self._datasets.batches()])

    async def _list_specs(self, request: web.Request) -> web.Response:
        return page(request, _specs(request))

    async def _get_spec(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        found = [spec for spec in _specs(request) if spec["id"] == identifier]
        if not found:
            raise absent(f"there is no specification [{identifier}]")
        return web.json_response({"items": found})


def page(request: web.Request, documents: list[Document]) -> web.Response:
    """Answer the part of a list that the query asks for.

    Raises:
        Refusal: 400, if the query cannot be understood.
    """
    try:
        for condition in request.query.getall("property", []):
            documents = [document for document in documents if matches(document, condition)]
    except BadFilter as error:
        raise refusal(f"property: {error}") from None
    documents = _ordered(request, documents)
    limit = number_in(request, "limit", PAGE_MAX, PAGE_MAX, SERVICE)
    start = _start(request)
    answer: dict[str, Any] = {"items": documents[start : start + limit], "_links": {}}
    if start + limit < len(documents):
        query = request.rel_url.update_query(continuationToken=f"after-{start + limit}")
        answer["_links"]["next"] = {"href": f"{query.path.removeprefix(BASE)}?{query.query_string}"}
    if request.query.get("count") == "true":
        answer["count"] = len(documents)
    return web.json_response(answer)


def _ordered(request: web.Request, documents: list[Document]) -> list[Document]:
    field = request.query.get("orderby", "")
    name = field.removeprefix("-")
    if not name:
        return documents
    return sorted(
        documents, key=lambda document: str(document.get(name)), reverse=field.startswith("-")
    )


def _start(request: web.Request) -> int:
    token = request.query.get("continuationToken", "after-0")
    number = token.removeprefix("after-")
    if not number.isdigit():
        raise refusal("continuationToken is not one that was given out")
    return int(number)


def absent(detail: str) -> Refusal:
    """Say that there is no such thing."""
    return service_problem(404, SERVICE, "Not found", detail)


def _specs(request: web.Request) -> list[Document]:
    known = (
        specs.CONNECTION_SPECS
        if request.match_info["specs"] == "connectionSpecs"
        else specs.FLOW_SPECS
    )
    return [
        {"id": identifier, "name": name, "version": "1.0"} for identifier, name in known.items()
    ]


def _run(batch: Document) -> Document:
    metrics = batch["metrics"]
    status = {"status": batch["status"], "errors": batch["errors"]}
    return {
        "id": f"run-{batch['id']}",
        "flowId": batch["tags"]["flowId"][0],
        "createdAt": batch["created"],
        "updatedAt": batch["updated"],
        "metrics": {
            "durationSummary": {
                "startedAtUTC": batch["started"],
                "completedAtUTC": batch["completed"],
            },
            "recordSummary": dict(metrics),
            "statusSummary": status,
        },
        "activities": [{"id": batch["id"], "name": "Ingestion", "statusSummary": status}],
    }

"""What a message must be to be taken, judged at once; its entity is judged later.

The collection service looks at the envelope only: organisation, schema references, dataset,
dataflow, a body. Types, formats and required fields of the entity are looked at after the answer
(see `datasets`). Of a raw message nothing is looked at but that it is an object and that the
request names its dataflow.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from tests.stand_ins.aep.organisation import Inlet, Organisation, Route
from tests.stand_ins.aep.problems import MessageRefusal

CONTENT_TYPE = re.compile(
    r"application/vnd\.adobe\.xed(-full)?(-notext)?\+json; ?version=\d+(\.\d+)?"
)
UNKNOWN_FORMAT = "Message has unknown xdm format"
WRONG_ORGANISATION = "Message has an absent or wrong ims org in the header"


@dataclasses.dataclass(frozen=True)
class Accepted:
    """A message that was answered as received."""

    request: int
    """Number of the request that brought it, from 1, over all inlets."""
    index: int
    """Its place in that request, from 0."""
    inlet_id: str
    flow_id: str
    dataset_id: str
    schema_id: str
    raw: bool
    """Whether a mapping in Adobe was to make an entity of it; this server has none."""
    entity: dict[str, Any]
    """The ``xdmEntity``, or the raw message as it came."""
    header: dict[str, Any]
    """The envelope's header; empty without an envelope."""
    xaction_id: str
    received_ms: int

    @property
    def id(self) -> str | None:
        """The entity's ``_id``, if it is text."""
        identifier = self.entity.get("_id")
        return identifier if isinstance(identifier, str) else None


@dataclasses.dataclass(frozen=True)
class Message:
    """A message that passed, before it has a receipt."""

    route: Route
    entity: dict[str, Any]
    header: dict[str, Any]
    raw: bool


def read_message(
    organisation: Organisation, inlet: Inlet, document: object, request_flow_id: str | None
) -> Message:
    """Judge one message of a request; ``request_flow_id`` is what ``x-adobe-flow-id`` said.

    Raises:
        MessageRefusal: with what is wrong.
    """
    if not isinstance(document, dict):
        raise MessageRefusal(400, f"{UNKNOWN_FORMAT}: a message is a JSON object")
    if inlet.data_type == "raw" or _is_bare(document, request_flow_id):
        route = _route(organisation, inlet, request_flow_id, "x-adobe-flow-id")
        return Message(route, document, {}, raw=inlet.data_type == "raw")
    return _read_envelope(organisation, inlet, document)


def _is_bare(document: dict[str, Any], request_flow_id: str | None) -> bool:
    """Tell whether this is an entity without an envelope, its dataflow named by the request."""
    return request_flow_id is not None and not {"header", "body"} & document.keys()


def _read_envelope(organisation: Organisation, inlet: Inlet, document: dict[str, Any]) -> Message:
    header = _object(document, "header", "header")
    body = _object(document, "body", "body")
    meta = _object(body, "xdmMeta", "body.xdmMeta")
    entity = _object(body, "xdmEntity", "body.xdmEntity")
    _check_organisation(organisation, header)
    schema_id = _check_references(header, meta)
    _check_created(header)
    route = _route(organisation, inlet, header.get("flowId"), "header.flowId")
    _check_dataset(organisation, route, header.get("datasetId"), schema_id)
    return Message(route, entity, header, raw=False)


def _object(parent: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise MessageRefusal(400, f"{UNKNOWN_FORMAT}: {path} is missing or not an object")
    return value


def _check_organisation(organisation: Organisation, header: dict[str, Any]) -> None:
    given = header.get("imsOrgId")
    if given is None and not organisation.rules.organisation_required:
        return
    if given != organisation.org_id:
        raise MessageRefusal(400, WRONG_ORGANISATION)


def _check_references(header: dict[str, Any], meta: dict[str, Any]) -> str:
    reference = _object(header, "schemaRef", "header.schemaRef")
    if meta.get("schemaRef") != reference:
        raise MessageRefusal(
            400, f"{UNKNOWN_FORMAT}: header.schemaRef and body.xdmMeta.schemaRef differ"
        )
    content_type = reference.get("contentType")
    if not isinstance(content_type, str) or not CONTENT_TYPE.fullmatch(content_type):
        raise MessageRefusal(400, f"{UNKNOWN_FORMAT}: schemaRef.contentType names no version")
    return str(reference.get("id"))


def _check_created(header: dict[str, Any]) -> None:
    """Take text and number: the description says the one, the samples show the other."""
    created = header.get("createdAt")
    is_number = isinstance(created, int) and not isinstance(created, bool)
    is_text = isinstance(created, str) and created.isdigit()
    if created is not None and not (is_number or is_text):
        raise MessageRefusal(400, f"{UNKNOWN_FORMAT}: header.createdAt is not in milliseconds")


def _route(organisation: Organisation, inlet: Inlet, flow_id: object, where: str) -> Route:
    if not isinstance(flow_id, str) or not flow_id:
        raise MessageRefusal(400, f"{where} is missing: a message must name its dataflow")
    route = organisation.route(inlet, flow_id)
    if route is None:
        raise MessageRefusal(400, f"{where}: the inlet has no dataflow [{flow_id}]")
    rules = organisation.rules
    if not route.enabled:
        raise MessageRefusal(
            rules.disabled_flow_status,
            f"the dataflow [{flow_id}] is disabled",
            title="Dataflow disabled",
        )
    age_seconds = (organisation.clock.now() - route.made_ms) / 1000
    if age_seconds < rules.flow_ready_seconds:
        raise MessageRefusal(
            rules.young_flow_status,
            f"the dataflow [{flow_id}] is new and takes data after"
            f" {rules.flow_ready_seconds:g} seconds",
        )
    return route


def _check_dataset(
    organisation: Organisation, route: Route, dataset_id: object, schema_id: str
) -> None:
    if not isinstance(dataset_id, str) or dataset_id not in organisation.datasets:
        raise MessageRefusal(400, "header.datasetId is missing or names no dataset")
    if dataset_id != route.dataset_id:
        raise MessageRefusal(400, "header.datasetId is not the dataset of header.flowId")
    if schema_id != organisation.schema_of(dataset_id):
        raise MessageRefusal(
            400, f"{UNKNOWN_FORMAT}: schemaRef.id is not the schema of the dataset"
        )

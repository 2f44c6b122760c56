"""One organisation's sandbox: what exists in it, and how a message finds its way through it.

A message comes in at an inlet, names a dataflow, and ends in a dataset with a schema. The
documents of the Flow Service, the catalog and the schema registry are the only truth about that;
this module reads the way out of them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.stand_ins.aep.resources import Document, Documents, Names
from tests.stand_ins.aep.rules import Clock, Rules

INLET_PATH = "/collection/"


@dataclasses.dataclass(frozen=True)
class Inlet:
    """An address that takes messages; it belongs to a connection, or to one dataflow."""

    id: str
    data_type: str
    """``xdm`` for messages in envelopes, ``raw`` for anything that a mapping reads."""
    authenticated: bool
    connection_id: str | None = None
    flow_id: str | None = None


@dataclasses.dataclass(frozen=True)
class Route:
    """Where a dataflow leads."""

    flow_id: str
    enabled: bool
    made_ms: int
    dataset_id: str
    schema_id: str


class Organisation:
    """Everything that exists in the sandbox."""

    def __init__(
        self, clock: Clock, rules: Rules, *, tenant: str, org_id: str, sandbox: str, seed: int
    ) -> None:
        self.clock = clock
        self.rules = rules
        self.names = Names(seed)
        self.tenant = tenant
        self.org_id = org_id
        self.sandbox = sandbox
        self.url = ""
        self.inlets: dict[str, Inlet] = {}
        self.connections = self._documents()
        self.source_connections = self._documents()
        self.target_connections = self._documents()
        self.flows = self._documents()
        self.datasets = self._documents()
        self.schemas = self._documents()
        self.open_schemas: set[str] = set()
        """Schemas by ``$id`` whose tenant fields nobody registered and nobody judges."""
        self.field_groups = self._documents()
        self.descriptors = self._documents()
        self.mapping_sets = self._documents()
        self.namespaces = self._documents()

    def _documents(self) -> Documents:
        return Documents(self.clock, self.names)

    def open_inlet(
        self,
        data_type: str,
        *,
        authenticated: bool,
        connection_id: str | None = None,
        flow_id: str | None = None,
    ) -> Inlet:
        """Make an inlet for a connection or for one dataflow."""
        inlet = Inlet(self.names.digits(64), data_type, authenticated, connection_id, flow_id)
        self.inlets[inlet.id] = inlet
        return inlet

    def inlet_url(self, inlet: Inlet) -> str:
        """Return where messages for an inlet are posted."""
        return f"{self.url}{INLET_PATH}{inlet.id}"

    def find_inlet(self, inlet_id: str) -> Inlet | None:
        """Return an inlet whose connection or dataflow still exists."""
        inlet = self.inlets.get(inlet_id)
        if inlet is None:
            return None
        if inlet.flow_id is not None:
            return inlet if inlet.flow_id in self.flows else None
        return inlet if inlet.connection_id in self.connections else None

    def route(self, inlet: Inlet, flow_id: str) -> Route | None:
        """Follow a dataflow from an inlet to its dataset; None if it does not start there."""
        flow = self.flows.get(flow_id)
        if flow is None or not self._starts_at(flow, inlet):
            return None
        target = self.target_connections.get(_first(flow, "targetConnectionIds")) or {}
        dataset_id = target.get("params", {}).get("dataSetId", "")
        return Route(
            flow_id=flow_id,
            enabled=flow["state"] == "enabled",
            made_ms=flow["createdAt"],
            dataset_id=dataset_id,
            schema_id=self.schema_of(dataset_id),
        )

    def _starts_at(self, flow: Document, inlet: Inlet) -> bool:
        if inlet.flow_id is not None:
            return flow is self.flows.get(inlet.flow_id)
        source = self.source_connections.get(_first(flow, "sourceConnectionIds")) or {}
        return bool(source.get("baseConnectionId") == inlet.connection_id)

    def schema_of(self, dataset_id: str) -> str:
        """Return the id of a dataset's schema; empty if there is no such dataset."""
        dataset = self.datasets.get(dataset_id) or {}
        identifier: Any = dataset.get("schemaRef", {}).get("id", "")
        return str(identifier)


def _first(flow: Document, key: str) -> str:
    identifiers = flow.get(key) or [""]
    return str(identifiers[0])

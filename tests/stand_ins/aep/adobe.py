"""The whole stand-in as tests see it: where it is, what it took, what is to go wrong.

It puts the parts together. It can also make an inlet with all that belongs to it at one stroke,
as if somebody had set it up a day ago, for tests that are about delivery only.
"""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

from tests.stand_ins.aep import specs
from tests.stand_ins.aep.collection import Collection
from tests.stand_ins.aep.datasets import Datasets, FailedRecord
from tests.stand_ins.aep.faults import Faults
from tests.stand_ins.aep.ims import Ims
from tests.stand_ins.aep.messages import Accepted
from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.rules import Clock, Rules
from tests.stand_ins.aep.tokens import Tokens
from tests.stand_ins.aep.violations import Violation, find_basic

SEEDED_AGE_SECONDS = 86_400.0
"""Of what `Adobe.new_inlet` makes: older than any delay that new things have."""
SCHEMA_CONTENT_TYPE = "application/vnd.adobe.xed-full+json;version=1"


@dataclasses.dataclass(frozen=True)
class SeededInlet:
    """An inlet and everything that a sender must name."""

    url: str
    id: str
    connection_id: str
    flow_id: str
    dataset_id: str
    schema_id: str
    schema_content_type: str = SCHEMA_CONTENT_TYPE


@dataclasses.dataclass(frozen=True)
class LoggedRequest:
    """A request as it was answered; status 0 stands for no answer."""

    method: str
    path: str
    """With the query."""
    status: int
    size: int
    """Bytes of the request's body."""


class Adobe:
    """One organisation on Adobe Experience Platform."""

    def __init__(
        self,
        *,
        clock: Clock,
        rules: Rules,
        tenant: str = "acme",
        directory: Path | None = None,
        seed: int = 1,
    ) -> None:
        """Make an organisation whose tenant has a name; Adobe's schemas are in ``directory``."""
        self.rules = rules
        self.faults = Faults(seed)
        self.client_id = "0123456789abcdef0123456789abcdef"
        self.client_secret = "p8e-stand-in-secret"
        self.tenant = tenant
        self.org_id = "5C1328435BF324E90A49402A@AdobeOrg"
        self.sandbox = "prod"
        self.requests: list[LoggedRequest] = []
        self.crashes: list[BaseException] = []
        """Mistakes of the stand-in itself."""
        self.hanging = asyncio.Event()
        """Set once a request hangs, as ordered."""
        self.directory = directory
        self.organisation = Organisation(
            clock, rules, tenant=tenant, org_id=self.org_id, sandbox=self.sandbox, seed=seed
        )
        self.tokens = Tokens(
            clock, rules, client_id=self.client_id, client_secret=self.client_secret
        )
        self.datasets = Datasets(self.organisation, self._judge)
        self.collection = Collection(self.organisation, self.tokens, self.datasets, self.faults)
        self.routes = [*Ims(self.tokens).routes(), *self.collection.routes()]

    @property
    def url(self) -> str:
        """The server's address; IMS, the platform and the inlets are told apart by path."""
        return self.organisation.url

    @property
    def ims_url(self) -> str:
        """Where tokens come from, without a path."""
        return self.url

    @property
    def platform_url(self) -> str:
        """Where the platform's services are, without a path."""
        return self.url

    @property
    def received(self) -> list[Accepted]:
        """All messages that were answered as received, in order."""
        return self.collection.received

    @property
    def token_requests(self) -> int:
        """How often a token was asked for, whatever the answer."""
        return sum(request.path.startswith("/ims/token/") for request in self.requests)

    def lake(self, dataset_id: str) -> list[Accepted]:
        """Return what the lake holds of a dataset, repeats included."""
        return self.datasets.lake(dataset_id)

    def profile(self, dataset_id: str) -> list[Accepted]:
        """Return what the profile store took of a dataset."""
        return self.datasets.profile(dataset_id)

    def failed(self, dataset_id: str) -> list[FailedRecord]:
        """Return the records that failed a dataset's validation, with their errors."""
        return self.datasets.failed(dataset_id)

    def expire_tokens(self) -> None:
        """Let all tokens be worthless from now on."""
        self.tokens.expire()

    def _judge(self, schema_id: str, entity: dict[str, Any]) -> list[Violation]:
        del schema_id
        return list(find_basic(entity))

    def new_inlet(
        self, *, authenticated: bool = True, data_type: str = "xdm", name: str = "streamer"
    ) -> SeededInlet:
        """Make an inlet, its dataflow, dataset and schema, all a day old."""
        organisation = self.organisation
        schema_id = self._new_schema(name)
        dataset_id = self._new_dataset(name, schema_id)
        connection_id = organisation.names.uuid()
        inlet = organisation.open_inlet(
            data_type, authenticated=authenticated, connection_id=connection_id
        )
        flow_id = self._new_flow(name, inlet.id, connection_id, dataset_id, data_type)
        return SeededInlet(
            organisation.inlet_url(inlet), inlet.id, connection_id, flow_id, dataset_id, schema_id
        )

    def _new_schema(self, name: str) -> str:
        names = self.organisation.names
        schema_id = f"https://ns.adobe.com/{self.tenant}/schemas/{names.digits(48)}"
        document = {"$id": schema_id, "title": name, "allOf": [{"$ref": specs.EXPERIENCE_EVENT}]}
        self.organisation.schemas.add(schema_id, document, age_seconds=SEEDED_AGE_SECONDS)
        return schema_id

    def _new_dataset(self, name: str, schema_id: str) -> str:
        dataset_id = self.organisation.names.digits(24)
        reference = {"id": schema_id, "contentType": SCHEMA_CONTENT_TYPE}
        self.organisation.datasets.add(
            dataset_id, {"name": name, "schemaRef": reference}, age_seconds=SEEDED_AGE_SECONDS
        )
        return dataset_id

    def _new_flow(
        self, name: str, inlet_id: str, connection_id: str, dataset_id: str, data_type: str
    ) -> str:
        organisation = self.organisation
        inlet = organisation.inlets[inlet_id]
        source_id, target_id, flow_id = (organisation.names.uuid() for _ in range(3))
        auth_params = {
            "sourceId": name,
            "name": name,
            "dataType": data_type,
            "authenticationRequired": inlet.authenticated,
            "inletId": inlet.id,
            "inletUrl": organisation.inlet_url(inlet),
        }
        connection = {
            "connectionSpec": {"id": specs.HTTP_API_CONNECTION, "version": "1.0"},
            "auth": {"specName": "Streaming Connection", "params": auth_params},
        }
        source = {"baseConnectionId": connection_id}
        target = {"params": {"dataSetId": dataset_id}}
        spec = specs.FLOW_WITHOUT_MAPPING if data_type == "xdm" else specs.FLOW_WITH_MAPPING
        flow = {
            "flowSpec": {"id": spec, "version": "1.0"},
            "sourceConnectionIds": [source_id],
            "targetConnectionIds": [target_id],
        }
        for documents, identifier, document in (
            (organisation.connections, connection_id, connection),
            (organisation.source_connections, source_id, source),
            (organisation.target_connections, target_id, target),
            (organisation.flows, flow_id, flow),
        ):
            whole = {"id": identifier, "name": name, "state": "enabled", **document}
            documents.add(identifier, whole, age_seconds=SEEDED_AGE_SECONDS)
        return flow_id

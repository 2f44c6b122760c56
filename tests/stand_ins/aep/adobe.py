"""The whole stand-in as tests see it: where it is, what it took, what is to go wrong.

It puts the parts together. It can also make an inlet with all that belongs to it at one stroke,
as if somebody had set it up a day ago, for tests that are about delivery only.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.stand_ins.aep import specs
from tests.stand_ins.aep.catalog import Catalog
from tests.stand_ins.aep.collection import Collection
from tests.stand_ins.aep.composition import Library
from tests.stand_ins.aep.data_prep import DataPrep
from tests.stand_ins.aep.datasets import Datasets, FailedRecord
from tests.stand_ins.aep.descriptions import Descriptions
from tests.stand_ins.aep.descriptors import Descriptors
from tests.stand_ins.aep.faults import Faults
from tests.stand_ins.aep.flow_service import FlowService
from tests.stand_ins.aep.gate import Gate
from tests.stand_ins.aep.ims import Ims
from tests.stand_ins.aep.insights import Metrics, Namespaces
from tests.stand_ins.aep.messages import Accepted
from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.profile_store import ENABLED, Dropped
from tests.stand_ins.aep.rules import Clock, Rules
from tests.stand_ins.aep.schema_registry import SchemaRegistry
from tests.stand_ins.aep.tokens import Tokens
from tests.stand_ins.aep.validation import Validation

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
        library = Library(directory)
        descriptions = Descriptions(directory)
        self.validation = Validation(self.organisation, library)
        self.datasets = Datasets(self.organisation, self.validation.judge)
        self.collection = Collection(self.organisation, self.tokens, self.datasets, self.faults)
        self.gate = Gate(self.organisation, self.tokens)
        self.registry = SchemaRegistry(self.organisation, library)
        self.catalog = Catalog(self.organisation, self.datasets)
        self.flow_service = FlowService(self.organisation, self.datasets, descriptions)
        services = (
            Ims(self.tokens),
            self.collection,
            Descriptors(self.organisation, library),
            self.registry,
            self.catalog,
            self.flow_service,
            DataPrep(self.organisation, library, descriptions),
            Namespaces(self.organisation),
            Metrics(self.organisation, self.datasets, self.collection.received),
        )
        self.routes = [route for service in services for route in service.routes()]

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

    def profile_dropped(self, dataset_id: str) -> list[Dropped]:
        """Return what the profile store dropped of a dataset, and why; nobody else learns of it."""
        return self.datasets.profile_dropped(dataset_id)

    def failed(self, dataset_id: str) -> list[FailedRecord]:
        """Return the records that failed a dataset's validation, with their errors."""
        return self.datasets.failed(dataset_id)

    def expire_tokens(self) -> None:
        """Let all tokens be worthless from now on."""
        self.tokens.expire()

    @property
    def without_groups(self) -> set[str]:
        """Standard field groups, by ``$id``, that are not offered; a test adds to them."""
        return self.registry.missing_groups

    def new_inlet(
        self,
        *,
        authenticated: bool = True,
        data_type: str = "xdm",
        name: str = "streamer",
        of_profiles: bool = False,
        groups: Iterable[str] | None = None,
        tenant_group: dict[str, Any] | None = None,
    ) -> SeededInlet:
        """Make an inlet, its dataflow, dataset and schema, all a day old and enabled for profiles.

        The schema has the standard ``groups``; by default all that fit its class but for Journey
        Optimizer's. Without a ``tenant_group`` nobody judges the tenant's own fields.
        """
        own = [] if tenant_group is None else [self._seed("mixins", tenant_group)["$id"]]
        its_class = specs.INDIVIDUAL_PROFILE if of_profiles else specs.EXPERIENCE_EVENT
        standard = specs.usual_groups(its_class) if groups is None else list(groups)
        references = [{"$ref": identifier} for identifier in (its_class, *standard, *own)]
        body = {"title": name, "type": "object", "allOf": references}
        body["meta:immutableTags"] = ["union"]
        schema_id = str(self._seed("schemas", body)["$id"])
        if tenant_group is None:
            self.organisation.open_schemas.add(schema_id)
        return self._seed_flow(name, schema_id, data_type, authenticated=authenticated)

    def _seed(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.registry.make(kind, body, age_seconds=SEEDED_AGE_SECONDS)

    def _seed_flow(
        self, name: str, schema_id: str, data_type: str, *, authenticated: bool
    ) -> SeededInlet:
        reference = {"id": schema_id, "contentType": SCHEMA_CONTENT_TYPE}
        tags = {"unifiedProfile": [ENABLED], "unifiedIdentity": [ENABLED]}
        dataset = self.catalog.make(
            {"name": name, "schemaRef": reference, "tags": tags}, age_seconds=SEEDED_AGE_SECONDS
        )
        http_api = {"id": specs.HTTP_API_CONNECTION, "version": "1.0"}
        parameters = {
            "sourceId": name,
            "name": name,
            "dataType": data_type,
            "authenticationRequired": authenticated,
        }
        auth = {"specName": "Streaming Connection", "params": parameters}
        connection = self._make("connections", name, connectionSpec=http_api, auth=auth)
        source = self._make(
            "sourceConnections", name, baseConnectionId=connection["id"], connectionSpec=http_api
        )
        target = self._make("targetConnections", name, params={"dataSetId": dataset["id"]})
        spec = specs.FLOW_WITHOUT_MAPPING if data_type == "xdm" else specs.FLOW_WITH_MAPPING
        flow = self._make(
            "flows",
            name,
            flowSpec={"id": spec, "version": "1.0"},
            sourceConnectionIds=[source["id"]],
            targetConnectionIds=[target["id"]],
        )
        inlet = connection["auth"]["params"]
        return SeededInlet(
            url=inlet["inletUrl"],
            id=inlet["inletId"],
            connection_id=connection["id"],
            flow_id=flow["id"],
            dataset_id=dataset["id"],
            schema_id=schema_id,
        )

    def _make(self, kind: str, name: str, **body: object) -> dict[str, Any]:
        return self.flow_service.make(kind, {"name": name, **body}, age_seconds=SEEDED_AGE_SECONDS)

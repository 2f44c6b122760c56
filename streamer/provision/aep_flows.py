"""Connections and dataflows, in Adobe's Flow Service, and mapping sets, in Data Prep.

A connection of our own has an inlet that wants a token; a source connection
starts a dataflow there, a target connection ends it in a dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streamer.provision.aep_catalog import CONTENT_TYPE
from streamer.provision.aep_platform import DATA_PREP, FLOWS, Call, Platform, path_of
from streamer.provision.aep_step import (
    MARK,
    Change,
    Found,
    Ids,
    id_of,
    not_as_expected,
)

HTTP_API = {"id": "bc7b00d6-623a-4dfc-9fdb-f1240aeadaeb", "version": "1.0"}
CUSTOMERIO = {"id": "96479064-7b8a-4d69-b9ed-21c5683837ea", "version": "1.0"}
DATA_LAKE = {"id": "c604ff05-7f1a-43c0-8e18-33bf874cb11c", "version": "1.0"}
"""Connection specifications."""

STREAMING_PROVIDER = "521eee4d-8cbe-4906-bb48-fb6bd4450033"

AS_XDM = {"id": "d8a6f005-7eaf-4153-983e-e8574508b877", "version": "1.0"}
WITH_MAPPING = {"id": "c1a19761-d2c7-4702-b9fa-fe91f0613e81", "version": "1.0"}
FROM_CUSTOMERIO = {"id": "e77fde5a-22a8-11ed-861d-0242ac120002", "version": "1.0"}
"""Specifications of dataflows."""

Spec = Mapping[str, str]


class _FlowServiceItem:
    """What everything in the Flow Service has in common."""

    what: str
    collection: str
    needs: Sequence[str] = ()

    def __init__(self, key: str, name: str) -> None:
        self.key = key
        self.name = name

    async def _named(self, platform: Platform, **query: object) -> list[Found]:
        """List those of this name that fit a filter; which fits is looked at again by callers."""
        return [
            Found(id=item["id"], document=item)
            async for item in platform.flow_items(f"{FLOWS}/{self.collection}", **query)
            if item.get("name") == self.name
        ]

    def _creation(self, body: Mapping[str, Any]) -> Call:
        return Call(
            method="POST",
            path=f"{FLOWS}/{self.collection}",
            body={"name": self.name, "description": MARK, **body},
        )

    def created_id(self, answer: Any) -> str:  # noqa: ANN401 - the answer's JSON
        """Read the id."""
        return id_of(answer, self.what)

    def changes(self, found: Found, ids: Ids) -> Sequence[Change]:
        """Nothing is added to what fits."""
        return []

    def deletion(self, found: Found) -> Call | None:
        """Say the call that deletes it."""
        return Call(method="DELETE", path=path_of(f"{FLOWS}/{self.collection}", found.id))


class Connection(_FlowServiceItem):
    """An inlet of our own, for authenticated calls."""

    what = "connection"
    collection = "connections"

    def __init__(self, key: str, name: str, *, data_type: str) -> None:
        """``data_type`` is ``xdm`` for messages in envelopes, ``raw`` for any JSON."""
        super().__init__(key, name)
        self._data_type = data_type

    async def find(self, platform: Platform, ids: Ids) -> Found | None:
        """Look it up by its name."""
        found = await self._named(platform, property=f"connectionSpec.id=={HTTP_API['id']}")
        return found[0] if found else None

    def creation(self, ids: Ids) -> Call:
        """Say the call that makes it."""
        parameters = {
            "sourceId": self.name,
            "name": self.name,
            "dataType": self._data_type,
            "authenticationRequired": True,
        }
        return self._creation(
            {
                "providerId": STREAMING_PROVIDER,
                "connectionSpec": HTTP_API,
                "auth": {"specName": "Streaming Connection", "params": parameters},
            }
        )

    def changes(self, found: Found, ids: Ids) -> Sequence[Change]:
        """Refuse one that takes other data, or data from anybody."""
        parameters = (found.document.get("auth") or {}).get("params") or {}
        if parameters.get("dataType", self._data_type) != self._data_type:
            kind = parameters["dataType"]
            raise not_as_expected(self.what, self.name, f"takes {kind} data, not {self._data_type}")
        if parameters.get("authenticationRequired") is not True:
            raise not_as_expected(self.what, self.name, "takes data from anybody, without a token")
        return []


class SourceConnection(_FlowServiceItem):
    """Where a dataflow starts: at an inlet of our own, or at Adobe's own Customer.io source."""

    what = "source connection"
    collection = "sourceConnections"

    def __init__(self, key: str, name: str, *, connection: str = "") -> None:
        """``connection`` is the key of our connection; none: Adobe's Customer.io source."""
        super().__init__(key, name)
        self.needs = [connection] if connection else []

    async def find(self, platform: Platform, ids: Ids) -> Found | None:
        """Look it up by its name and what it belongs to."""
        base = ids[self.needs[0]] if self.needs else None
        spec = HTTP_API if self.needs else CUSTOMERIO
        kind = f"baseConnectionId=={base}" if base else f"connectionSpec.id=={spec['id']}"
        for found in await self._named(platform, property=kind):
            if found.document.get("baseConnectionId") == base:
                return found
        return None

    def creation(self, ids: Ids) -> Call:
        """Say the call that makes it."""
        spec = HTTP_API if self.needs else CUSTOMERIO
        body: dict[str, Any] = {"connectionSpec": spec, "data": {"format": "json"}}
        if self.needs:
            body["baseConnectionId"] = ids[self.needs[0]]
        else:
            body["providerId"] = STREAMING_PROVIDER
        return self._creation(body)


class TargetConnection(_FlowServiceItem):
    """Where a dataflow ends."""

    what = "target connection"
    collection = "targetConnections"

    def __init__(self, key: str, name: str, *, schema: str, dataset: str) -> None:
        """``schema`` and ``dataset`` are their keys."""
        super().__init__(key, name)
        self.needs = [schema, dataset]

    async def find(self, platform: Platform, ids: Ids) -> Found | None:
        """Look it up by its name and its dataset; without the dataset by its name alone."""
        dataset = ids.get(self.needs[1])
        for found in await self._named(platform, property=f"connectionSpec.id=={DATA_LAKE['id']}"):
            theirs = (found.document.get("params") or {}).get("dataSetId")
            if dataset is None or theirs == dataset:
                return found
        return None

    def creation(self, ids: Ids) -> Call:
        """Say the call that makes it."""
        schema, dataset = (ids[key] for key in self.needs)
        return self._creation(
            {
                "connectionSpec": DATA_LAKE,
                "data": {
                    "format": "parquet_xdm",
                    "schema": {"id": schema, "version": CONTENT_TYPE},
                },
                "params": {"dataSetId": dataset},
            }
        )


class Dataflow(_FlowServiceItem):
    """The way from a source connection to a target connection."""

    what = "dataflow"
    collection = "flows"

    def __init__(
        self, key: str, name: str, *, spec: Spec, source: str, target: str, mapping: str = ""
    ) -> None:
        """``source``, ``target`` and ``mapping``, if there is one, are keys."""
        super().__init__(key, name)
        self.needs = [source, target, *([mapping] if mapping else [])]
        self._spec = spec

    async def find(self, platform: Platform, ids: Ids) -> Found | None:
        """Look it up by its name and its source connection."""
        source = ids[self.needs[0]]
        for found in await self._named(platform, property=f"sourceConnectionIds[]=={source}"):
            if source in (found.document.get("sourceConnectionIds") or []):
                return found
        return None

    def creation(self, ids: Ids) -> Call:
        """Say the call that makes it."""
        source, target, *mapping = (ids[key] for key in self.needs)
        body: dict[str, Any] = {
            "flowSpec": self._spec,
            "sourceConnectionIds": [source],
            "targetConnectionIds": [target],
        }
        if mapping:
            parameters = {"mappingId": mapping[0], "mappingVersion": "0"}
            body["transformations"] = [{"name": "Mapping", "params": parameters}]
        return self._creation(body)

    def changes(self, found: Found, ids: Ids) -> Sequence[Change]:
        """Refuse one that ends elsewhere."""
        if ids[self.needs[1]] not in (found.document.get("targetConnectionIds") or []):
            raise not_as_expected(self.what, self.name, "leads to another dataset")
        return []


class MappingSet:
    """How Adobe maps a raw webhook to the schema."""

    what = "mapping set"

    def __init__(
        self, key: str, name: str, *, schema: str, mappings: Sequence[Mapping[str, str]]
    ) -> None:
        """``schema`` is the schema's key; ``mappings`` are in Data Prep's newer form."""
        self.key = key
        self.name = name
        self.needs: Sequence[str] = [schema]
        self._mappings = mappings

    async def find(self, platform: Platform, ids: Ids) -> Found | None:
        """Look it up by its name."""
        path = path_of(f"{DATA_PREP}/mappingSets", name=self.name, limit=100)
        page = await platform.get_object(path)
        for item in page.get("data") or []:
            if item.get("name") == self.name:
                return Found(id=item["id"], document=item)
        return None

    def creation(self, ids: Ids) -> Call:
        """Say the call that makes it."""
        body = {
            "name": self.name,
            "version": 0,
            "outputSchema": {"schemaRef": {"id": ids[self.needs[0]], "contentType": CONTENT_TYPE}},
            "mappings": list(self._mappings),
        }
        return Call(method="POST", path=f"{DATA_PREP}/mappingSets", body=body)

    def created_id(self, answer: Any) -> str:  # noqa: ANN401 - the answer's JSON
        """Read the id."""
        return id_of(answer, self.what)

    def changes(self, found: Found, ids: Ids) -> Sequence[Change]:
        """Nothing is added: dataflows use one version of a set, and somebody may have edited it."""
        return []

    def deletion(self, found: Found) -> Call | None:
        """Adobe has no call for it."""
        return None

"""Two small services: identity namespaces, and the metrics of what was ingested."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.stand_ins.aep import specs
from tests.stand_ins.aep.datasets import Datasets
from tests.stand_ins.aep.gate import read_object
from tests.stand_ins.aep.messages import Accepted
from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.problems import service_problem

NAMESPACES = "/data/core/idnamespace/identities"
METRICS = "/data/infrastructure/observability/insights/metrics"


def fill_namespaces(organisation: Organisation) -> None:
    """Register the standard namespaces, which every organisation has."""
    for code, (number, name, kind) in specs.NAMESPACES.items():
        document = {
            "id": number,
            "code": code,
            "name": name,
            "idType": kind,
            "status": "ACTIVE",
            "custom": False,
        }
        organisation.namespaces.add(code, document)


class Namespaces:
    """The identity namespaces of one organisation."""

    def __init__(self, organisation: Organisation) -> None:
        self._organisation = organisation
        fill_namespaces(organisation)

    def routes(self) -> Iterable[web.RouteDef]:
        """Return where namespaces are."""
        return [web.get(NAMESPACES, self._list), web.post(NAMESPACES, self._create)]

    async def _list(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(list(self._organisation.namespaces))

    async def _create(self, request: web.Request) -> web.Response:
        body = await read_object(request, "IDENTITY")
        namespaces = self._organisation.namespaces
        for key in ("code", "name", "idType"):
            if not isinstance(body.get(key), str) or not body[key]:
                raise service_problem(400, "IDENTITY", "Bad request", f"{key} is missing")
        if body["code"] in namespaces:
            detail = f"the namespace [{body['code']}] is there already"
            raise service_problem(409, "IDENTITY", "Conflict", detail)
        number = 10_000_000 + len(namespaces)
        document = {**body, "id": number, "status": "ACTIVE", "custom": True}
        return web.json_response(namespaces.add(body["code"], document))


class Metrics:
    """Counts of messages by inlet and by dataset, all in one interval of time."""

    def __init__(
        self, organisation: Organisation, datasets: Datasets, received: list[Accepted]
    ) -> None:
        self._organisation = organisation
        self._datasets = datasets
        self._received = received

    def routes(self) -> Iterable[web.RouteDef]:
        """Return where metrics are asked for."""
        return [web.post(METRICS, self._query)]

    async def _query(self, request: web.Request) -> web.Response:
        body = await read_object(request, "OBSERVABILITY")
        wanted = body.get("metrics")
        if not isinstance(wanted, list) or not {"start", "end", "granularity"} <= body.keys():
            raise service_problem(
                400, "OBSERVABILITY", "Bad request", "start, end, granularity or metrics is missing"
            )
        return web.json_response({"metricResponses": [self._answer(body, one) for one in wanted]})

    def _answer(self, body: dict[str, Any], metric: dict[str, Any]) -> dict[str, Any]:
        points = [
            {"groupBy": group, "dps": {body["start"]: count}}
            for group, count in self._counts(str(metric.get("name"))).items()
        ]
        return {"metric": metric.get("name"), "datapoints": points, "granularity": "DAY"}

    def _counts(self, name: str) -> dict[str, int]:
        datasets = [dataset["id"] for dataset in self._organisation.datasets]
        if name.endswith("dataset.recordsuccess.count") and ".profiles." in name:
            return {one: len(self._datasets.profile(one)) for one in datasets}
        if name.endswith("dataset.recordsuccess.count"):
            return {one: len(self._datasets.lake(one)) for one in datasets}
        if name.endswith("dataset.batchfailed.count"):
            return {one: self._failed_batches(one) for one in datasets}
        if ".data.collection.inlet." in name:
            return self._by_inlet()
        raise service_problem(
            400, "OBSERVABILITY", "Bad request", f"there is no metric [{name}] here"
        )

    def _failed_batches(self, dataset_id: str) -> int:
        return sum(
            batch["status"] == "failed" and batch["relatedObjects"][0]["id"] == dataset_id
            for batch in self._datasets.batches()
        )

    def _by_inlet(self) -> dict[str, int]:
        counts = dict.fromkeys(self._organisation.inlets, 0)
        for message in self._received:
            counts[message.inlet_id] += 1
        return counts

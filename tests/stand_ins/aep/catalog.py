"""The catalog: datasets, and the batches that fill them; and the export of what failed.

A list is an object with the ids as its keys; a new dataset answers with an array of one address.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.stand_ins.aep.datasets import Datasets, FailedRecord
from tests.stand_ins.aep.documents import BadFilter, BadPatch, matches, patched
from tests.stand_ins.aep.gate import number_in, read_object, read_patch
from tests.stand_ins.aep.messages import CONTENT_TYPE
from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.problems import Refusal, service_problem
from tests.stand_ins.aep.resources import Document

BASE = "/data/foundation/catalog"
EXPORT = "/data/foundation/export/batches"
SERVICE = "CATALOG"
LIST_DEFAULT = 20
LIST_MAX = 100
FAILED_FILE = "part-00000-44c7b669-5e38-43fb-b56c-a0686dabb982-c000.json"
ERRORS_FILE = "conversion_errors_0.json"
OWN_PARAMETERS = {"limit", "start", "properties", "property", "orderBy", "requestDataSource"}


def refusal(detail: str) -> Refusal:
    """Say what is wrong with a request."""
    return service_problem(400, SERVICE, "Bad request", detail)


class Catalog:
    """Datasets and batches of one organisation."""

    def __init__(self, organisation: Organisation, datasets: Datasets) -> None:
        self._organisation = organisation
        self._datasets = datasets

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the routes of the catalog and of the export."""
        return [
            web.post(f"{BASE}/dataSets", self._create),
            web.get(f"{BASE}/dataSets", self._list),
            web.get(f"{BASE}/dataSets/{{id}}", self._get),
            web.patch(f"{BASE}/dataSets/{{id}}", self._patch),
            web.delete(f"{BASE}/dataSets/{{id}}", self._delete),
            web.get(f"{BASE}/batches", self._list_batches),
            web.get(f"{BASE}/batches/{{id}}", self._get_batch),
            web.get(f"{EXPORT}/{{id}}/failed", self._export_failed),
            web.get(f"{EXPORT}/{{id}}/meta", self._export_errors),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        body = await read_object(request, SERVICE)
        dataset = self.make(body)
        return web.json_response([f"@/dataSets/{dataset['id']}"], status=201)

    def make(self, body: dict[str, Any], *, age_seconds: float = 0) -> Document:
        """Keep a dataset that is found good.

        Raises:
            Refusal: 400, with what is wrong.
        """
        self._check(body)
        organisation = self._organisation
        identifier = organisation.names.digits(24)
        dataset = organisation.datasets.add(
            identifier,
            {
                "tags": {},
                **body,
                "id": identifier,
                "imsOrg": organisation.org_id,
                "state": "DRAFT",
            },
            age_seconds=age_seconds,
        )
        dataset["created"], dataset["updated"] = dataset["createdAt"], dataset["updatedAt"]
        return dataset

    def _check(self, body: dict[str, Any]) -> None:
        if not isinstance(body.get("name"), str) or not body["name"]:
            raise refusal("name is missing")
        reference = body.get("schemaRef")
        if not isinstance(reference, dict) or reference.get("id") not in self._organisation.schemas:
            raise refusal("schemaRef.id is missing or names no schema")
        if not CONTENT_TYPE.fullmatch(str(reference.get("contentType"))):
            raise refusal("schemaRef.contentType names no version of a schema")
        self._check_tags(body)

    def _check_tags(self, body: dict[str, Any]) -> None:
        """Let a dataset into the profile store only if its schema may be there."""
        tags = body.get("tags", {})
        if not isinstance(tags, dict) or not all(isinstance(tag, list) for tag in tags.values()):
            raise refusal("tags is not an object of arrays")
        schema = self._organisation.schemas.get(body["schemaRef"]["id"]) or {}
        is_union = "union" in schema.get("meta:immutableTags", ())
        if "enabled:true" in tags.get("unifiedProfile", ()) and not is_union:
            raise refusal("tags.unifiedProfile: the schema does not have the tag [union]")

    async def _list(self, request: web.Request) -> web.Response:
        found = list(self._organisation.datasets)
        return web.json_response(_listed(request, _filtered(request, found)))

    async def _get(self, request: web.Request) -> web.Response:
        dataset = self._find(request)
        return web.json_response({dataset["id"]: dataset})

    async def _patch(self, request: web.Request) -> web.Response:
        """Take a JSON patch, or an object whose fields replace those of the dataset."""
        dataset = self._find(request)
        if request.content_type == "application/json":
            changed = {**dataset, **await read_object(request, SERVICE)}
        else:
            try:
                changed = patched(dataset, await read_patch(request, SERVICE))
            except BadPatch as error:
                raise refusal(str(error)) from None
        if changed["id"] != dataset["id"] or changed["schemaRef"] != dataset["schemaRef"]:
            raise refusal("id and schemaRef cannot be changed")
        self._check(changed)
        dataset.update(changed)
        self._organisation.datasets.touch(dataset["id"])
        dataset["updated"] = dataset["updatedAt"]
        return web.json_response([f"@/dataSets/{dataset['id']}"])

    async def _delete(self, request: web.Request) -> web.Response:
        dataset = self._find(request)
        self._organisation.datasets.remove(dataset["id"])
        return web.json_response([f"@/dataSets/{dataset['id']}"])

    def _find(self, request: web.Request) -> Document:
        dataset = self._organisation.datasets.get(request.match_info["id"])
        if dataset is None:
            raise _absent(f"there is no dataset [{request.match_info['id']}]")
        return dataset

    async def _list_batches(self, request: web.Request) -> web.Response:
        found = self._datasets.batches()
        wanted = dict(request.query)
        dataset_id = wanted.pop("dataSet", None)
        if dataset_id is not None:
            found = [batch for batch in found if _dataset_of(batch) == dataset_id]
        after, before = (_time(wanted, key) for key in ("createdAfter", "createdBefore"))
        found = [batch for batch in found if after is None or batch["created"] > after]
        found = [batch for batch in found if before is None or batch["created"] < before]
        if "status" in wanted:
            found = [batch for batch in found if batch["status"] == wanted["status"]]
        return web.json_response(_listed(request, found))

    async def _get_batch(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        for batch in self._datasets.batches():
            if batch["id"] == identifier:
                return web.json_response({identifier: batch})
        raise _absent(f"there is no batch [{identifier}]")

    async def _export_failed(self, request: web.Request) -> web.Response:
        content = _lines(self._failed(request))
        path = request.query.get("path")
        if path is None:
            files = {"_SUCCESS": b"", FAILED_FILE: content} if content else {"_SUCCESS": b""}
            return web.json_response(_files(request, files))
        return _file(path, {"_SUCCESS": b"", FAILED_FILE: content})

    async def _export_errors(self, request: web.Request) -> web.Response:
        records = self._failed(request)
        path = request.query.get("path", "")
        folder, _, name = path.partition("/")
        if folder != "row_errors":
            raise refusal(f"path is [{path}], not [row_errors] or a file in it")
        errors = [
            {"_errors": _errors(record), "_filename": ERRORS_FILE, "body": record["body"]}
            for record in records
        ]
        content = _lines(errors)
        if name:
            return _file(name, {ERRORS_FILE: content})
        return web.json_response(_files(request, {ERRORS_FILE: content} if content else {}))

    def _failed(self, request: web.Request) -> list[FailedRecord]:
        records = self._datasets.failed_records(request.match_info["id"])
        if records is None:
            raise _absent(f"there is no batch [{request.match_info['id']}]")
        return records


def _absent(detail: str) -> Refusal:
    return service_problem(404, SERVICE, "Not found", detail)


def _dataset_of(batch: Document) -> str:
    return str(batch["relatedObjects"][0]["id"])


def _time(wanted: dict[str, str], key: str) -> int | None:
    text = wanted.get(key)
    if text is None:
        return None
    if not text.isdigit():
        raise refusal(f"{key} is not a time in milliseconds since 1970")
    return int(text)


def _filtered(request: web.Request, found: list[Document]) -> list[Document]:
    """Filter by ``property`` conditions, and by parameters that are fields, such as ``name``."""
    conditions = request.query.getall("property", [])
    fields = [(key, value) for key, value in request.query.items() if key not in OWN_PARAMETERS]
    conditions += [f"{key}=={value}" for key, value in fields]
    try:
        for condition in conditions:
            found = [document for document in found if matches(document, condition)]
    except BadFilter as error:
        raise refusal(f"property: {error}") from None
    return found


def _listed(request: web.Request, found: list[Document]) -> dict[str, Document]:
    """Return a part of a list as an object, and of each entry the properties that are wanted."""
    limit = number_in(request, "limit", LIST_DEFAULT, LIST_MAX, SERVICE)
    start = request.query.get("start", "0")
    if not start.isdigit():
        raise refusal("start is not a number")
    if request.query.get("orderBy", "").startswith("desc"):
        found = sorted(found, key=lambda entry: int(entry["created"]), reverse=True)
    wanted = [name for name in request.query.get("properties", "").split(",") if name]
    return {
        entry["id"]: {key: entry[key] for key in wanted if key in entry} if wanted else entry
        for entry in found[int(start) : int(start) + limit]
    }


def _errors(record: FailedRecord) -> list[dict[str, Any]]:
    if "_validationErrors" in record:
        return list(record["_validationErrors"])
    return list(record["_errors"]["_streamingValidation"])


def _lines(records: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def _files(request: web.Request, files: dict[str, bytes]) -> dict[str, Any]:
    folder = request.query.get("path", "")
    prefix = f"{folder}/" if folder else ""
    data = [
        {
            "name": name,
            "length": str(len(content)),
            "_links": {"self": {"href": str(request.url.update_query(path=f"{prefix}{name}"))}},
        }
        for name, content in files.items()
    ]
    return {"data": data, "_page": {"limit": 100, "count": len(data)}}


def _file(name: str, files: dict[str, bytes]) -> web.Response:
    if name not in files:
        raise _absent(f"there is no file [{name}]")
    return web.Response(body=files[name], content_type="application/octet-stream")

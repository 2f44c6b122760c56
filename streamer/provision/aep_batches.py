"""What Adobe dropped after it had accepted it: the failed batches of a dataset, and their records.

Ingestion answers before it validates. What fails then is kept for thirty days
in batches, which the Catalog lists and the Data Access API gives out as files.
They are read a line at a time (`streamer.provision.aep_records`), because
nobody bounds how much fails at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import msgspec

from streamer.core.limits import DETAIL_CHARACTERS_MAX
from streamer.core.provision_limits import ADOBE_BATCH_PAGES_MAX, ADOBE_FILE_SECONDS_MAX
from streamer.provision.aep_platform import CATALOG, FOUNDATION, Platform, path_of
from streamer.provision.aep_problem import PlatformError
from streamer.provision.aep_records import Record, Unreadable, read_records, split

EXPORT = f"{FOUNDATION}/export/batches"

KEPT_SECONDS = 30 * 24 * 3600
"""How long Adobe keeps the diagnostics of a batch."""

PAGE = 100
"""Things on one page of a list; the most that both services give."""
FAILED = frozenset({"failed", "failure"})
_NO_FILES = frozenset({"_SUCCESS", "_started", "_committed"})
_SHOWN = "status,created,completed,updated,metrics,errors,relatedObjects"


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of a dataset."""

    id: str
    status: str
    created_at: int
    """Milliseconds since 1970, as `closed_at`."""
    closed_at: int
    """When it was completed, or as near to it as is known."""
    failed_records: int
    """As Adobe counts them; 0 also where it does not."""
    errors: tuple[str, ...] = ()
    """What is held against the batch as a whole."""

    @property
    def has_failures(self) -> bool:
        """Tell whether something of it was dropped; a batch can succeed in part."""
        return self.status in FAILED or self.failed_records > 0


class Books:
    """The platform's books of what it took in."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def batches(self, dataset_id: str, *, created_since: int) -> AsyncGenerator[Batch]:
        """List the batches of a dataset in the order in which they were begun.

        Raises:
            PlatformError: the list cannot be had.
        """
        for page_number in range(ADOBE_BATCH_PAGES_MAX):
            page = await self._platform.get(
                path_of(
                    f"{CATALOG}/batches",
                    dataSet=dataset_id,
                    createdAfter=max(0, created_since - 1),
                    orderBy="asc:created",
                    properties=_SHOWN,
                    limit=PAGE,
                    start=PAGE * page_number,
                )
            )
            documents = page if isinstance(page, Mapping) else {}
            for batch_id, document in documents.items():
                if isinstance(document, Mapping) and _is_of(document, dataset_id):
                    yield _batch(batch_id, document)
            if len(documents) < PAGE:
                return
        raise PlatformError(
            f"the dataset has more than {PAGE * ADOBE_BATCH_PAGES_MAX:,} batches in that time",
            hint="Say --since with a later time.",
        )

    async def failures(self, batch: Batch) -> AsyncGenerator[Record | Unreadable]:
        """Read the records of a batch that were dropped.

        Adobe has two places for them, and a batch need not have both.

        Raises:
            PlatformError: they cannot be had; what was read before is true.
        """
        found = False
        for place, prefix in (("failed", ""), ("meta", "row_errors")):
            async for name in self._files(batch, place, prefix):
                path = f"{prefix}/{name}".lstrip("/")
                address = _file(batch, place, path=path)
                async with self._platform.download(
                    address, total_seconds_max=ADOBE_FILE_SECONDS_MAX
                ) as pieces:
                    async for record in read_records(split(pieces)):
                        found = True
                        yield record
            if found:
                return

    async def _files(self, batch: Batch, place: str, prefix: str) -> AsyncIterator[str]:
        query = {"path": prefix} if prefix else {}
        for page_number in range(ADOBE_BATCH_PAGES_MAX):
            page = await self._platform.look_up(
                _file(batch, place, **query, limit=PAGE, start=PAGE * page_number)
            )
            entries = page.get("data") if isinstance(page, Mapping) else None
            names = [_name(entry) for entry in entries or ()]
            for name in names:
                if name and name not in _NO_FILES:
                    yield name
            if len(names) < PAGE:
                return


def _name(entry: object) -> str:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return name if isinstance(name, str) else ""


def _file(batch: Batch, place: str, **query: object) -> str:
    front = path_of(EXPORT, batch.id)
    return path_of(front + f"/{place}") if not query else f"{front}/{path_of(place, **query)}"


def _is_of(document: Mapping[str, Any], dataset_id: str) -> bool:
    """Tell whether a batch belongs to a dataset, if it says so at all."""
    related = document.get("relatedObjects")
    ids = [
        one.get("id")
        for one in (related if isinstance(related, list) else ())
        if isinstance(one, Mapping) and one.get("type") == "dataSet"
    ]
    return not ids or dataset_id in ids


def _batch(batch_id: str, document: Mapping[str, Any]) -> Batch:
    metrics = document.get("metrics")
    counted = metrics if isinstance(metrics, Mapping) else {}
    created = _moment(document.get("created")) or 0
    closed = _moment(document.get("completed")) or _moment(document.get("updated")) or created
    errors = document.get("errors")
    return Batch(
        id=batch_id,
        status=str(document.get("status", "")).lower(),
        created_at=created,
        closed_at=max(created, closed),
        failed_records=_count(counted.get("failedRecordCount", counted.get("recordsFailed"))),
        errors=tuple(
            " ".join(filter(None, (_text(one.get("code")), _text(one.get("description"))))).strip()
            for one in (errors if isinstance(errors, list) else ())
            if isinstance(one, Mapping)
        ),
    )


def _text(value: object) -> str:
    return value[:DETAIL_CHARACTERS_MAX] if isinstance(value, str) else ""


def _moment(value: object) -> int | None:
    return value if type(value) is int and 0 < value < 2**53 else None


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0

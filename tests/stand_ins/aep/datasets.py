"""What becomes of messages after their answer: the lake, the profile store, or a failed batch.

A message is judged some time after it was answered, in the order of arrival. The lake keeps what
is valid, repeats included, and offers it to the profile store. What is invalid goes into a failed
batch of its dataset, and nobody is told. Raw messages are kept as they came, because no mapping
is run here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from tests.stand_ins.aep.messages import Accepted
from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.profile_store import Dropped, ProfileStore
from tests.stand_ins.aep.resources import Document, Documents
from tests.stand_ins.aep.violations import VIOLATIONS_MAX, Violation

Judge = Callable[[str, dict[str, Any]], list[Violation]]
"""Finds what is wrong with an entity, by the id of its schema."""
FailedRecord = dict[str, Any]


class Datasets:
    """The fate of every accepted message."""

    def __init__(self, organisation: Organisation, judge: Judge) -> None:
        self._organisation = organisation
        self._judge = judge
        self._waiting: deque[Accepted] = deque()
        self._lake: dict[str, list[Accepted]] = {}
        self._profiles = ProfileStore(organisation)
        self._batches = Documents(organisation.clock, organisation.names)
        self._failed: dict[str, list[FailedRecord]] = {}
        self._open: dict[tuple[str, str], Document] = {}

    def take(self, message: Accepted) -> None:
        """Take a message that was answered as received."""
        self._waiting.append(message)

    def lake(self, dataset_id: str) -> list[Accepted]:
        """Return what the lake holds of a dataset by now, repeats included."""
        self._settle()
        return list(self._lake.get(dataset_id, ()))

    def profile(self, dataset_id: str) -> list[Accepted]:
        """Return what the profile store took of a dataset by now."""
        self._settle()
        return self._profiles.taken(dataset_id)

    def profile_dropped(self, dataset_id: str) -> list[Dropped]:
        """Return what the profile store dropped without a word, and why."""
        self._settle()
        return self._profiles.dropped(dataset_id)

    def failed(self, dataset_id: str) -> list[FailedRecord]:
        """Return the records of a dataset's failed batches, each with its errors."""
        self._settle()
        return [
            record
            for batch in self._batches
            if batch["relatedObjects"][0]["id"] == dataset_id
            for record in self._failed.get(batch["id"], ())
        ]

    def batches(self) -> list[Document]:
        """Return all batches by now, successful and failed."""
        self._settle()
        return list(self._batches)

    def failed_records(self, batch_id: str) -> list[FailedRecord] | None:
        """Return the records of one failed batch; None if there is no such batch."""
        self._settle()
        return self._failed.get(batch_id, []) if batch_id in self._batches else None

    def judge(self, message: Accepted) -> list[Violation]:
        """Say what is wrong with a message, as far as the validation looks."""
        if message.raw:
            return []
        return self._judge(message.schema_id, message.entity)[:VIOLATIONS_MAX]

    def _settle(self) -> None:
        now = self._organisation.clock.now()
        wait_ms = self._organisation.rules.validation_seconds * 1000
        while self._waiting and self._waiting[0].received_ms + wait_ms <= now:
            self._settle_one(self._waiting.popleft())

    def _settle_one(self, message: Accepted) -> None:
        errors = _errors(message, self.judge(message))
        batch = self._batch(message, "failed" if errors else "success")
        if errors:
            document = {"header": message.header, "body": {"xdmEntity": message.entity}}
            self._failed.setdefault(batch["id"], []).append({**document, **errors})
        else:
            self._lake.setdefault(message.dataset_id, []).append(message)
            self._profiles.offer(message)
        _count(batch, failed=bool(errors), codes=_codes(errors))

    def _batch(self, message: Accepted, status: str) -> Document:
        """Return the batch that this message joins."""
        batch = self._open.get((message.dataset_id, status))
        window_ms = self._organisation.rules.failed_batch_seconds * 1000
        if batch is None or batch["created"] + window_ms < message.received_ms:
            identifier = self._organisation.names.batch()
            document = _new_batch(self._organisation, identifier, message, status)
            batch = self._batches.add(identifier, document)
            self._open[message.dataset_id, status] = batch
        batch["updated"] = batch["completed"] = self._organisation.clock.now()
        return batch


def _new_batch(
    organisation: Organisation, identifier: str, message: Accepted, status: str
) -> Document:
    return {
        "id": identifier,
        "status": status,
        "imsOrg": organisation.org_id,
        "sandboxId": organisation.sandbox,
        "relatedObjects": [{"type": "dataSet", "id": message.dataset_id}],
        "tags": {"flowId": [message.flow_id]},
        "inputFormat": {"format": "json"},
        "created": message.received_ms,
        "started": message.received_ms,
        "metrics": {"inputRecordCount": 0, "outputRecordCount": 0, "failedRecordCount": 0},
        "errors": [],
    }


def _errors(message: Accepted, violations: list[Violation]) -> dict[str, Any]:
    """Return the errors of a record in the form of the exported file; empty if there are none."""
    if not message.raw and message.header and not _names_its_source(message.header):
        text = "Payload header is missing Source Name"
        return {"_errors": {"_streamingValidation": [{"message": text}]}}
    if violations:
        return {"_validationErrors": [violation.record() for violation in violations]}
    return {}


def _names_its_source(header: dict[str, Any]) -> bool:
    source = header.get("source")
    return isinstance(source, dict) and bool(source.get("name"))


def _codes(errors: dict[str, Any]) -> set[str]:
    return {record["code"] for record in errors.get("_validationErrors", ())}


def _count(batch: Document, *, failed: bool, codes: set[str]) -> None:
    metrics = batch["metrics"]
    metrics["inputRecordCount"] += 1
    metrics["failedRecordCount" if failed else "outputRecordCount"] += 1
    known = {error["code"]: error for error in batch["errors"]}
    for code in sorted(codes):
        error = known.get(code)
        if error is None:
            error = {"code": code, "description": "Streaming validation failed", "recordCount": 0}
            batch["errors"].append(error)
        error["recordCount"] += 1

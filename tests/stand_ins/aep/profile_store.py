"""The real-time profile store: takes of the lake's events those that can be somebody's.

It says nothing about what it drops: an event of a dataset that is not enabled for it, one that is
too large, one about nobody, one in a namespace that nobody registered, one whose ``_id`` it has
seen. A test can ask; a sender of the real one could not.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

from tests.stand_ins.aep.documents import value_at
from tests.stand_ins.aep.messages import Accepted
from tests.stand_ins.aep.organisation import Organisation

ENABLED = "enabled:true"


@dataclasses.dataclass(frozen=True)
class Dropped:
    """An event that the store dropped, and why."""

    message: Accepted
    reason: str


class ProfileStore:
    """What the store took and dropped, by dataset."""

    def __init__(self, organisation: Organisation) -> None:
        self._organisation = organisation
        self._taken: dict[str, dict[str, Accepted]] = {}
        self._dropped: dict[str, list[Dropped]] = {}

    def taken(self, dataset_id: str) -> list[Accepted]:
        """Return the events of a dataset that became part of profiles."""
        return list(self._taken.get(dataset_id, {}).values())

    def dropped(self, dataset_id: str) -> list[Dropped]:
        """Return the events of a dataset that were dropped without a word."""
        return list(self._dropped.get(dataset_id, ()))

    def offer(self, message: Accepted) -> None:
        """Take an event that the lake has, or drop it."""
        reason = next(self._reasons_against(message), None)
        if reason is None:
            events = self._taken.setdefault(message.dataset_id, {})
            events[message.id or message.xaction_id] = message
        else:
            dropped = self._dropped.setdefault(message.dataset_id, [])
            dropped.append(Dropped(message, reason))

    def _reasons_against(self, message: Accepted) -> Iterator[str]:
        if message.raw:
            yield "raw: no mapping is run here"
        if not self._is_enabled(message.dataset_id):
            yield "the dataset is not enabled for profiles"
        if _size(message) > self._organisation.rules.profile_event_bytes_max:
            yield "the event is too large"
        if not self._has_identity(message):
            yield "the event is about nobody"
        unknown = self._unknown_namespace(message)
        if unknown is not None:
            yield f"the namespace [{unknown}] is not registered"
        if message.id in self._taken.get(message.dataset_id, {}):
            yield "the _id was there before"

    def _is_enabled(self, dataset_id: str) -> bool:
        dataset = self._organisation.datasets.get(dataset_id)
        return ENABLED in (value_at(dataset, "tags.unifiedProfile") or ())

    def _has_identity(self, message: Accepted) -> bool:
        """Look for an entry in the map, or for a field that is marked as primary identity."""
        if any((message.entity.get("identityMap") or {}).values()):
            return True
        return any(
            descriptor["xdm:sourceSchema"] == message.schema_id and descriptor["xdm:isPrimary"]
            for descriptor in self._organisation.descriptors
        )

    def _unknown_namespace(self, message: Accepted) -> str | None:
        namespaces = self._organisation.namespaces
        map_of = message.entity.get("identityMap") or {}
        return next((code for code in map_of if code not in namespaces), None)


def _size(message: Accepted) -> int:
    """Return the bytes of an entity as JSON without blanks."""
    text = json.dumps(message.entity, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode())

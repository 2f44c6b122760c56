"""What a set-up made, in the order in which it can be deleted."""

from __future__ import annotations

import msgspec

from streamer.provision.aep_plan import everything
from streamer.provision.aep_platform import Call, Platform
from streamer.provision.aep_problem import PlatformError
from streamer.provision.aep_registry import UNION
from streamer.provision.aep_step import Found, Resource

_WITH_DATASET = frozenset({"dataset", "schema", "field group"})

NO_CALL = "Adobe has no call to delete it"
NOT_OURS = "somebody else made it"
STAYS = "it stays with its events; --dataset deletes it too"
IN_PROFILE = "Adobe does not delete a schema that takes part in the profile, nor what it uses"


class Removable(msgspec.Struct, frozen=True, kw_only=True):
    """Something that carries one of our names."""

    what: str
    name: str
    id: str
    deletion: Call | None
    kept_because: str
    """Empty when it is to be deleted."""


async def find_removable(platform: Platform, name: str, *, dataset: bool) -> list[Removable]:
    """Look up everything that a set-up of a name may have made, the last of it first.

    With ``dataset`` False the datasets are kept, and what they need.
    """
    found: dict[str, Removable] = {}
    for resources in everything(name):
        for removable in await _find(platform, resources, dataset=dataset):
            found.setdefault(removable.id, removable)
    return sorted(found.values(), key=_turn)


_ORDER = (
    "dataflow", "target connection", "source connection", "connection", "mapping set", "dataset",
    "schema", "field group",
)  # fmt: skip


def _turn(removable: Removable) -> int:
    return _ORDER.index(removable.what)


async def _find(platform: Platform, resources: list[Resource], *, dataset: bool) -> list[Removable]:
    """Look one way up from its beginning; what hangs on something that is gone is gone too."""
    ids: dict[str, str] = {}
    removables = []
    in_profile = False
    for resource in resources:
        if resource.what not in _ORDER or not _findable(resource, ids):
            continue
        found = await resource.find(platform, ids)
        if found is None:
            continue
        ids[resource.key] = found.id
        in_profile |= UNION in (found.document.get("meta:immutableTags") or [])
        removables.append((resource, found))
    return [
        _judged(resource, found, dataset=dataset, in_profile=in_profile)
        for resource, found in removables
    ]


def _findable(resource: Resource, ids: dict[str, str]) -> bool:
    """Tell whether it can be told from others; a target connection can by its name alone."""
    if resource.what in {"target connection", "dataflow"}:
        return resource.what == "target connection" or resource.needs[0] in ids
    if resource.what in {"schema", "dataset", "mapping set"}:
        return True
    return all(key in ids for key in resource.needs)


def _judged(resource: Resource, found: Found, *, dataset: bool, in_profile: bool) -> Removable:
    deletion = resource.deletion(found)
    reason = ""
    if deletion is None:
        reason = NO_CALL
    elif not found.ours:
        reason = NOT_OURS
    elif resource.what in _WITH_DATASET and not dataset:
        reason = STAYS
    elif resource.what in {"schema", "field group"} and in_profile:
        reason = IN_PROFILE
    return Removable(
        what=resource.what,
        name=resource.name,
        id=found.id,
        deletion=deletion,
        kept_because=reason,
    )


async def delete(platform: Platform, removable: Removable) -> str:
    """Delete one; return why that failed, or nothing. What is gone already is no failure."""
    assert removable.deletion is not None
    try:
        await platform.make(removable.deletion)
    except PlatformError as error:
        return "" if error.status == 404 else str(error)
    return ""

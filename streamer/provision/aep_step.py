"""What has to be there in Adobe, step by step: looked up, and made where it is missing.

There is no file of what was made: each resource is found again by its name,
so a set-up that was stopped after any call goes on where it was, and a second
one finds everything and changes nothing. A call of which nobody knows whether
it was done is followed by another look, never by a second of its kind at once.

What is made carries `MARK` in its description. What lacks it, somebody else
made: it is used and never deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from streamer.core.errors import StreamerError
from streamer.core.provision_limits import ADOBE_CREATIONS_MAX
from streamer.provision.aep_platform import Call, Platform
from streamer.provision.aep_problem import PlatformError

MARK = "Made by `streamer aep setup`."
"""Stands in the description of everything that we make."""

Ids = Mapping[str, str]
"""What the steps so far have found or made, by their keys."""

State = Literal["kept", "changed", "made", "to change", "to make"]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is there."""

    id: str
    document: Mapping[str, Any]

    @property
    def ours(self) -> bool:
        """Tell whether we made it."""
        return MARK in str(self.document.get("description") or "")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is added to what is there."""

    what: str
    """As the end of a sentence: ``adds 3 fields``."""
    call: Call


class Resource(Protocol):
    """One thing in Adobe."""

    key: str
    """What later steps call its id by."""
    what: str
    """What Adobe calls its kind: ``dataset``."""
    name: str
    needs: Sequence[str]
    """Keys of those that have to be there before it can be looked up."""

    async def find(self, platform: Platform, ids: Ids) -> Found | None:
        """Look it up."""
        ...

    def creation(self, ids: Ids) -> Call:
        """Say the call that makes it."""
        ...

    def created_id(self, answer: Any) -> str:  # noqa: ANN401 - the answer's JSON
        """Read its id from the answer to that call."""
        ...

    def changes(self, found: Found, ids: Ids) -> Sequence[Change]:
        """Say what has to be added to what is there; raises StreamerError where adding is no help.

        Raises:
            StreamerError: what is there cannot be used.
        """
        ...

    def deletion(self, found: Found) -> Call | None:
        """Say the call that deletes it; None where Adobe has none."""
        ...


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one resource, or would."""

    key: str
    what: str
    name: str
    state: State
    id: str
    """Adobe's, or a placeholder such as ``{dataset}``."""
    notes: Sequence[str] = ()
    calls: Sequence[Call] = ()
    """Those that were made, or would be."""


class Walk:
    """The steps in their order, taken or only looked at."""

    def __init__(
        self,
        platform: Platform | None,
        *,
        write: bool,
        tell: Callable[[Act], None] = lambda act: None,
    ) -> None:
        """Unless ``write``, only GET is called, and without a platform nothing at all.

        ``tell`` hears of each step as it ends.
        """
        assert platform is not None or not write
        self._platform = platform
        self._write = write
        self._tell = tell

    async def take(self, resources: Sequence[Resource], known: Ids) -> tuple[dict[str, str], Acts]:
        """Take the steps in order; return all ids, and what became of each.

        ``known`` are ids that no step makes, such as the tenant's.

        Raises:
            StreamerError: a step could not be taken. Those before it stay taken.
        """
        ids = dict(known)
        missing: set[str] = set()
        acts = []
        for resource in resources:
            findable = missing.isdisjoint(resource.needs)
            act = await self._step(resource, ids, findable=findable)
            ids[resource.key] = act.id
            if act.state == "to make":
                missing.add(resource.key)
            acts.append(act)
            self._tell(act)
        return ids, acts

    async def _step(self, resource: Resource, ids: Ids, *, findable: bool) -> Act:
        platform = self._platform
        found = await resource.find(platform, ids) if platform and findable else None
        if platform and found is not None:
            return await self._keep(platform, resource, found, ids)
        call = resource.creation(ids)
        if platform is None or not self._write:
            return _act(resource, "to make", f"{{{resource.key}}}", calls=[call])
        made = await _create(platform, resource, call, ids)
        return _act(resource, "made", made, calls=[call])

    async def _keep(self, platform: Platform, resource: Resource, found: Found, ids: Ids) -> Act:
        changes = resource.changes(found, ids)
        if not changes:
            return _act(resource, "kept", found.id)
        if self._write:
            for change in changes:
                await platform.make(change.call)
        return _act(
            resource,
            "changed" if self._write else "to change",
            found.id,
            notes=[change.what for change in changes],
            calls=[change.call for change in changes],
        )


async def _create(platform: Platform, resource: Resource, call: Call, ids: Ids) -> str:
    for number in range(1, ADOBE_CREATIONS_MAX + 1):
        try:
            return resource.created_id(await platform.make(call))
        except PlatformError as error:
            if not error.uncertain:
                raise
            found = await resource.find(platform, ids)
            if found is not None:
                return found.id
            if number == ADOBE_CREATIONS_MAX:
                raise
    raise AssertionError("the last try returns or raises")


Acts = list[Act]


def _act(
    resource: Resource,
    state: State,
    resource_id: str,
    *,
    notes: Sequence[str] = (),
    calls: Sequence[Call] = (),
) -> Act:
    return Act(
        key=resource.key,
        what=resource.what,
        name=resource.name,
        state=state,
        id=resource_id,
        notes=notes,
        calls=calls,
    )


def not_as_expected(what: str, name: str, difference: str) -> StreamerError:
    """Make the error of something that is there and is of no use."""
    return StreamerError(
        f"the {what} {name!r} is there already and {difference}",
        hint="It is left as it is. Choose another --name, or delete it in Adobe.",
    )


def id_of(answer: Any, what: str, *, field: str = "id") -> str:  # noqa: ANN401 - the answer's JSON
    """Read the id out of the answer to a creation.

    Raises:
        PlatformError: it tells none.
    """
    if not isinstance(answer, dict) or not answer.get(field):
        raise unreadable_answer(what)
    return str(answer[field])


def unreadable_answer(what: str) -> PlatformError:
    """Make the error of an answer to a creation that tells no id."""
    return PlatformError(
        f"Adobe said that it made the {what} and not under which id",
        hint="Run the command again: it finds what was made.",
        uncertain=True,
    )

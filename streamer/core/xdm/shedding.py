"""Makes an entity fit: what is left out or shortened first, and what never.

Adobe's Profile drops an event of more than 10 KB without a word, so an entity
that is too large loses what is least missed, step by step, until it fits. What
names the event, its time, its person and its channel stays, and so does what
counts it.

A step works on the decoded entity and is named after what it takes away; the
names are what operators see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from streamer.core.mapping_limits import (
    SHED_LINE_BYTES_MAX,
    SHED_REASON_BYTES_MAX,
    SHED_RECIPIENTS_MAX,
)
from streamer.core.xdm.plan import Unfit
from streamer.core.xdm.settings import MappingSettings

_REASONS = frozenset({"failureMessage", "emailBouncedDetails", "reason"})
_LINES = frozenset({"subject", "mailingName", "href", "linkURL", "url"})
_KEPT = frozenset(
    {
        "_id", "timestamp", "eventType", "producedBy", "identityMap", "channel", "consents",
        "extSourceSystemAudit", "eventID", "messageExecutionID", "messageProfile",
    }
)  # fmt: skip
"""Names of what is never left out to save space, together with what is in it."""

Entity = dict[str, Any]


def shed_to_fit(encoded: bytes, settings: MappingSettings) -> tuple[bytes, tuple[str, ...]]:
    """Return an entity that is too large as one that fits, and what was taken from it, in order.

    Raises:
        Unfit: Even what has to stay is too large.
    """
    entity: Entity = msgspec.json.decode(encoded)
    own = entity.get(f"_{settings.tenant}", {}).get("customerio", {})
    bytes_max = settings.entity_bytes_max
    shed: list[str] = []
    for name, take_away in _steps(own, bytes_max):
        if take_away(entity):
            shed.append(name)
            encoded = msgspec.json.encode(entity)
            if len(encoded) <= bytes_max:
                return encoded, tuple(shed)
    while (largest := _largest(entity)) is not None:
        parent, name, path = largest
        del parent[name]
        shed.append(path)
        _prune(entity)
        encoded = msgspec.json.encode(entity)
        if len(encoded) <= bytes_max:
            return encoded, tuple(shed)
    raise Unfit(
        path="",
        rule="entity_bytes_max",
        detail=f"what must stay in it has {len(encoded)} bytes, and {bytes_max} are allowed",
    )


def _steps(own: Entity, bytes_max: int) -> Iterator[tuple[str, Callable[[Entity], bool]]]:
    """Yield what to take away, the least missed first.

    The whole event as text is the fullest account that there is, so it goes after the parts that
    repeat it; but if it cannot stay whatever else goes, nothing else shall go for it.
    """
    if len(own.get("raw", "")) >= bytes_max:
        yield "raw", lambda _: _drop(own, "raw")
    yield "content", lambda _: _drop(own, "content")
    yield "headers", lambda _: _drop(own, "headers")
    yield "recipients", lambda _: _shorten(own, "recipients")
    yield "failureMessage", lambda entity: _cut(entity, _REASONS, SHED_REASON_BYTES_MAX)
    yield "raw", lambda _: _drop(own, "raw")
    yield "subject and href", lambda entity: _cut(entity, _LINES, SHED_LINE_BYTES_MAX)


def _drop(own: Entity, name: str) -> bool:
    return own.pop(name, None) is not None


def _shorten(own: Entity, name: str) -> bool:
    items = own.get(name)
    if not isinstance(items, list) or len(items) <= SHED_RECIPIENTS_MAX:
        return False
    own[name] = items[:SHED_RECIPIENTS_MAX]
    return True


def _cut(value: object, names: frozenset[str], bytes_max: int) -> bool:
    """Cut the texts of these names, wherever they are; say whether any was too long."""
    found = False
    if isinstance(value, list):
        for item in value:
            found |= _cut(item, names, bytes_max)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in names and isinstance(inner, str):
                value[name] = cut_text(inner, bytes_max)
                found |= value[name] != inner
            else:
                found |= _cut(inner, names, bytes_max)
    return found


def cut_text(text: str, bytes_max: int) -> str:
    """Return the beginning of a text, of at most so many bytes of UTF-8, in whole characters."""
    return text.encode()[:bytes_max].decode("utf-8", "ignore")


def _largest(entity: Entity) -> tuple[Entity, str, str] | None:
    """Return the largest value that may go: the object it is in, its name, and its path."""
    sizes = (
        (len(msgspec.json.encode(parent[name])), path, parent, name)
        for parent, name, path in _optional(entity, "")
    )
    found = max(sizes, key=lambda size: (size[0], size[1]), default=None)
    return None if found is None else (found[2], found[3], found[1])


def _optional(value: Entity, path: str) -> Iterator[tuple[Entity, str, str]]:
    for name, inner in value.items():
        if name in _KEPT:
            continue
        if isinstance(inner, dict):
            yield from _optional(inner, f"{path}{name}.")
        elif not isinstance(inner, bool | int | float):
            yield value, name, path + name


def _prune(value: Entity) -> None:
    """Take out objects that have become empty."""
    for name, inner in [*value.items()]:
        if isinstance(inner, dict):
            _prune(inner)
            if not inner:
                del value[name]

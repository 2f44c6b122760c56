"""Looking up a path in an event, and knowing which paths there can be.

What is absent, null or an empty text is one and the same: no value. Looking up is the most
frequent thing that a mapping does, so the usual lengths have functions of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from streamer.core.xdm.language.tokens import Step

Evaluate = Callable[[Mapping[str, Any]], object]
"""Works a value out of an event's scope; None is no value. Never raises."""

NAMES = frozenset({"event_id", "object_type", "metric", "timestamp", "data", "streamer"})
"""The first names that there are: the webhook's own, and what we know of the event."""

OURS = frozenset(
    {"position", "source", "received_at", "time", "sent_time", "type", "tenant", "event_id"}
)
"""The names below ``streamer``."""


def follow(steps: tuple[Step, ...]) -> Evaluate:
    """Return the function that looks a path up."""
    match steps:
        case (str(first),):
            return _one(first)
        case (str(first), str(second)):
            return _two(first, second)
        case (str(first), str(second), str(third)):
            return _three(first, second, third)
    return _any(steps)


def is_there(steps: tuple[Step, ...]) -> Evaluate:
    """Return the function that says whether an event has a path at all, be its value null."""

    def check(scope: Mapping[str, Any]) -> object:
        return next(_found(scope, steps), scope) is not scope

    return check


def _one(first: str) -> Evaluate:
    def look_up(scope: Mapping[str, Any]) -> object:
        value = scope.get(first)
        return None if value == "" else value

    return look_up


def _two(first: str, second: str) -> Evaluate:
    def look_up(scope: Mapping[str, Any]) -> object:
        outer = scope.get(first)
        if not isinstance(outer, dict):
            return None
        value = outer.get(second)
        return None if value == "" else value

    return look_up


def _three(first: str, second: str, third: str) -> Evaluate:
    def look_up(scope: Mapping[str, Any]) -> object:
        outer = scope.get(first)
        if not isinstance(outer, dict):
            return None
        inner = outer.get(second)
        if not isinstance(inner, dict):
            return None
        value = inner.get(third)
        return None if value == "" else value

    return look_up


def _any(steps: tuple[Step, ...]) -> Evaluate:
    many = any(isinstance(step, tuple) for step in steps)

    def look_up(scope: Mapping[str, Any]) -> object:
        values = [value for value in _found(scope, steps) if value is not None and value != ""]
        if many:
            return values or None
        return values[0] if values else None

    return look_up


def _found(value: object, steps: tuple[Step, ...]) -> Iterator[object]:
    """Yield what is at a path: nothing, one value, or one for each element of a list."""
    for number, step in enumerate(steps):
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return
            value = value[step]
        elif not isinstance(value, list):
            return
        elif isinstance(step, tuple):
            rest = steps[number + 1 :]
            for element in value:
                yield from _found(element, rest)
            return
        else:
            if step >= len(value):
                return
            value = value[step]
    yield value

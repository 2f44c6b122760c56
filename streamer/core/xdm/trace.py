"""What each rule made of one event: for people who change a mapping, and want to see why.

The mapper itself keeps no such record, since it maps thousands of events a second. Here every
rule is evaluated again by itself, on the same scope and for the same fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from streamer.core.event import StoredEvent
from streamer.core.selection import Selection
from streamer.core.xdm.language.expression import compile_expression
from streamer.core.xdm.mapper import Mapper
from streamer.core.xdm.rule import Rule

Fate = Literal["written", "overruled", "unfit", "no value"]
"""What became of a rule's value: it is in the entity, a later rule's is there instead, its field
does not take it, or there was none."""

_KINDS: dict[type, str] = {
    str: "text", int: "integer", float: "number", bool: "boolean", list: "list", dict: "object",
}  # fmt: skip


class Traced(msgspec.Struct, frozen=True):
    """One rule, and what it gave."""

    rule: Rule
    kind: str
    """Of its value, such as ``text``; empty if it gave none. Never the value itself."""
    fate: Fate


def trace(mapper: Mapper, event: StoredEvent, body: bytes) -> tuple[Traced, ...]:
    """Evaluate every rule that is for events of this type, in order; none if there is no body."""
    scope = mapper.scope_of(event, body)
    if scope is None:
        return ()
    traced: list[Traced] = []
    written: set[str] = set()
    for rule in reversed(rules_for(mapper.rules, event.object_type, event.metric)):
        value = compile_expression(rule.source)(scope)
        fate: Fate = "written"
        if value is None:
            fate = "no value"
        elif mapper.field_of(rule).fit()(value) is None:
            fate = "unfit"
        elif rule.destination in written:
            fate = "overruled"
        else:
            written.add(rule.destination)
        traced.append(Traced(rule, "" if value is None else _KINDS[type(value)], fate))
    return tuple(reversed(traced))


def rules_for(
    rules: Iterable[Rule], object_type: str | None, metric: str | None
) -> tuple[Rule, ...]:
    """Return those of the rules that are for events of one type."""
    return tuple(
        rule
        for rule in rules
        if Selection(include=rule.types, exclude=()).matches(object_type, metric)
    )

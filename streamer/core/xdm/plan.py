"""Rules made ready for one type of event: the shape of its entity, and what fills it.

Most of an entity is the same for every event of a type, so it is put together
once: constants go into templates, and only what depends on the event is worked
out for each. A part that is constant as a whole is shared by all entities and
must never be changed.

Of several rules for one path, the last that gives a value wins. A built-in rule
whose value does not fit its field gives none. A user's rule that does so is an
error of the user's, and so is an object without a field that it requires.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from streamer.core.xdm.fields import Field, in_tenants_name
from streamer.core.xdm.kinds import Fit
from streamer.core.xdm.language.expression import Evaluate
from streamer.core.xdm.rule import BUILT_IN, Rule

_LITERAL = re.compile(r'"[^"\\]*"|-?\d+(?:\.\d+)?|true|false')
"""Sources that give the same for every event."""

_COPY = re.compile(r"data\.([A-Za-z_]\w*)", re.ASCII)
"""Sources that take one field of the event's data over; most of them do."""


class Unfit(Exception):
    """An entity cannot be made; a signal inside this package, answered by the mapper."""

    def __init__(self, *, path: str, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.path = path
        self.rule = rule
        self.detail = detail


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, ready to be applied."""

    path: str
    """In the tenant's name."""
    evaluate: Evaluate
    fit: Fit
    kind: str
    constant: object
    """The value, if it is the same for every event and fits; else None."""
    label: str
    """Names the rule to its author; empty for a built-in one, which may give what does not fit."""
    copied: str
    """The name in the event's data, if that is all there is to it; else empty."""


def step(rule: Rule, field: Field, evaluate: Evaluate, tenant: str) -> Step:
    """Make a rule ready."""
    fit = field.fit()
    constant = evaluate({}) if _LITERAL.fullmatch(rule.source) else None
    copy = _COPY.fullmatch(rule.source)
    return Step(
        path=in_tenants_name(rule.destination, tenant),
        evaluate=evaluate,
        fit=fit,
        kind=_said(field),
        constant=None if constant is None else fit(constant),
        label="" if rule.origin == BUILT_IN else f"{rule.origin}: {rule.destination}",
        copied=copy[1] if copy else "",
    )


def _said(field: Field) -> str:
    if field.values:
        return f"one of {', '.join(field.values)}"
    if field.characters_max is not None:
        return f"text of up to {field.characters_max} characters"
    return field.kind


_Leaf = tuple[str, Evaluate, Fit, Step]


class Node:
    """One object of an entity, and what it is made of."""

    __slots__ = ("_children", "_constants", "_copies", "_is_root", "_leaves", "_required")

    def __init__(
        self, draft: Mapping[str, Any], required: Mapping[str, Sequence[str]], path: str = ""
    ) -> None:
        """Freeze a draft, whose values are lists of steps, or drafts of inner objects.

        ``required`` is by path of the object: the names it must have.
        """
        self._constants: dict[str, object] = {}
        self._leaves: list[_Leaf] = []
        self._copies: dict[str, tuple[tuple[str, Fit], ...]] = {}
        self._children: list[tuple[str, Node]] = []
        self._is_root = not path
        self._required = tuple((name, path + name) for name in required.get(path, ()))
        for name, inner in draft.items():
            if isinstance(inner, dict):
                self._add_child(name, Node(inner, required, f"{path}{name}."))
            else:
                self._add_leaf(name, inner)

    def _add_child(self, name: str, child: Node) -> None:
        if child.is_constant:
            self._constants[name] = child._constants
        else:
            self._children.append((name, child))

    def _add_leaf(self, name: str, steps: Sequence[Step]) -> None:
        if len(steps) == 1 and steps[0].copied and not steps[0].label:
            copied = steps[0].copied
            self._copies[copied] = (*self._copies.get(copied, ()), (name, steps[0].fit))
            return
        for made in steps:
            if made.constant is None:
                self._leaves.append((name, made.evaluate, made.fit, made))
            else:
                self._leaves = [leaf for leaf in self._leaves if leaf[0] != name]
                self._constants[name] = made.constant

    @property
    def is_constant(self) -> bool:
        """Say whether this object is the same, and complete, for every event."""
        complete = all(name in self._constants for name, _ in self._required)
        varies = self._leaves or self._copies or self._children
        return bool(self._constants) and complete and not varies

    def build(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """Make the object; it is empty when nothing gave a value.

        Raises:
            Unfit: A user's rule gave what does not fit, or what is required is missing.
        """
        made = self._constants.copy()
        if self._copies:
            self._copy(scope.get("data"), made)
        for name, evaluate, fit, rule in self._leaves:
            value = evaluate(scope)
            if value is None:
                continue
            fitted = fit(value)
            if fitted is not None:
                made[name] = fitted
            elif rule.label:
                raise _misfit(rule)
        for name, child in self._children:
            inner = child.build(scope)
            if inner:
                made[name] = inner
        if made or self._is_root:
            for name, path in self._required:
                if name not in made:
                    raise _missing(path, self._leaves)
        return made

    def _copy(self, data: object, made: dict[str, Any]) -> None:
        """Take over what is there, instead of asking for everything that could be."""
        if not isinstance(data, dict):
            return
        copies = self._copies
        for name, value in data.items():
            if name in copies and value is not None:
                for ours, fit in copies[name]:
                    fitted = fit(value)
                    if fitted is not None:
                        made[ours] = fitted


def draft_of(steps: Iterable[Step]) -> dict[str, Any]:
    """Sort steps, the earliest first, into the objects that their paths name."""
    draft: dict[str, Any] = {}
    for made in steps:
        *outer, last = made.path.split(".")
        inner = draft
        for name in outer:
            inner = inner.setdefault(name, {})
        inner.setdefault(last, []).append(made)
    return draft


def required_names(fields: Iterable[Field], tenant: str) -> dict[str, list[str]]:
    """Return, by path of an object with a full stop behind it, the names that it must have."""
    required: dict[str, list[str]] = {}
    for field in fields:
        if field.required:
            outer, _, name = in_tenants_name(field.path, tenant).rpartition(".")
            _add(required, f"{outer}." if outer else "", name)
            if field.required == "always":
                _add_way(required, outer)
    return required


def _add_way(required: dict[str, list[str]], path: str) -> None:
    """Require every object on the way to a path as well."""
    while path:
        path, _, name = path.rpartition(".")
        _add(required, f"{path}." if path else "", name)


def _add(required: dict[str, list[str]], path: str, name: str) -> None:
    names = required.setdefault(path, [])
    if name not in names:
        names.append(name)


def _misfit(rule: Step) -> Unfit:
    return Unfit(
        path=rule.path, rule=rule.label, detail=f"its value does not fit: it takes {rule.kind}"
    )


def _missing(path: str, leaves: Sequence[_Leaf]) -> Unfit:
    user = next((rule.label for _, _, _, rule in leaves if rule.label), "")
    return Unfit(path=path, rule=user, detail="it is required, and no rule gives it a value")

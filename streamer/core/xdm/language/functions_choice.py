"""The functions that choose: they evaluate no more of their arguments than they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streamer.core.xdm.language.function import Argument, Function
from streamer.core.xdm.language.paths import Evaluate, is_there
from streamer.core.xdm.language.tokens import ExpressionError
from streamer.core.xdm.language.values import equal, truth


def nothing(_: Mapping[str, Any]) -> object:
    """Evaluate to no value."""
    return None


def _iif(arguments: Sequence[Argument]) -> Evaluate:
    condition, value, otherwise = (argument.evaluate for argument in arguments)

    def evaluate(scope: Mapping[str, Any]) -> object:
        return value(scope) if truth(condition(scope)) else otherwise(scope)

    return evaluate


def _coalesce(arguments: Sequence[Argument]) -> Evaluate:
    parts = [argument.evaluate for argument in arguments]

    def evaluate(scope: Mapping[str, Any]) -> object:
        for part in parts:
            value = part(scope)
            if value is not None:
                return value
        return None

    return evaluate


def _decode(arguments: Sequence[Argument]) -> Evaluate:
    key, *options = arguments
    if len(options) < 2:
        raise ExpressionError(
            "decode needs a key, and pairs of what it may be and what then comes of it",
            key.position,
        )
    default = options.pop().evaluate if len(options) % 2 else nothing
    known, values = options[0::2], [option.evaluate for option in options[1::2]]
    slow = _look_at_each(key.evaluate, [one.evaluate for one in known], values, default)
    names = [one.literal for one in known]
    if not all(isinstance(name, str) for name in names):
        return slow
    # The first of two equal keys wins, as when they are looked at in order.
    table = dict(zip(reversed(names), reversed(values), strict=True))
    key_of = key.evaluate

    def evaluate(scope: Mapping[str, Any]) -> object:
        found = key_of(scope)
        return table.get(found, default)(scope) if isinstance(found, str) else slow(scope)

    return evaluate


def _look_at_each(
    key: Evaluate, known: Sequence[Evaluate], values: Sequence[Evaluate], default: Evaluate
) -> Evaluate:
    pairs = list(zip(known, values, strict=True))

    def evaluate(scope: Mapping[str, Any]) -> object:
        found = key(scope)
        for one, value in pairs:
            if equal(found, one(scope)):
                return value(scope)
        return default(scope)

    return evaluate


def _contains_key(arguments: Sequence[Argument]) -> Evaluate:
    (path,) = arguments
    if not path.steps:
        raise ExpressionError(
            "contains_key needs a path", path.position, 'Write `contains_key("data.href")`.'
        )
    return is_there(path.steps)


def _nullify(_: Sequence[Argument]) -> Evaluate:
    return nothing


CHOICES = (
    Function(
        name="iif",
        arguments=("condition", "value", "otherwise"),
        summary="`value` if the condition holds, else `otherwise`.",
        examples=(
            ('iif("s".equalsIgnoreCase("S"), "True", "False")', "True"),
            ('iif(data.machine, "bot", "person")', "person"),
        ),
        build=_iif,
    ),
    Function(
        name="decode",
        arguments=("key", "known…"),
        summary="What stands behind the first of the pairs whose first half equals the key; a last "
        "one without a partner is for every other key.",
        examples=(
            ('decode(metric, "clicked", "click", "opened", "open", "other")', "click"),
            ('decode("x", "a", 1)', None),
        ),
        build=_decode,
    ),
    Function(
        name="coalesce",
        arguments=("value…",),
        summary="The first that is not missing.",
        examples=(('coalesce(null, null, null, "first", null, "second")', "first"),),
        build=_coalesce,
    ),
    Function(
        name="contains_key",
        arguments=("path",),
        summary="Whether the event has a path, given as a text or as it is, be its value null.",
        examples=(
            ('contains_key("data.href")', True),
            ("contains_key(data.no_such_field)", False),
        ),
        build=_contains_key,
    ),
    Function(
        name="nullify",
        arguments=(),
        summary="No value.",
        examples=(('iif(metric eq "clicked", nullify(), metric)', None),),
        build=_nullify,
    ),
)

"""What a function of the mapping language is, and the ways that functions meet missing values.

A function is built once for each place that it is called at, and from then on only evaluated.
Whatever goes wrong while it is evaluated means that there is no value; what can be seen to be
wrong before, such as a pattern that could take for ever, is refused while it is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from streamer.core.mapping_limits import MADE_TEXT_CHARACTERS_MAX
from streamer.core.xdm.language.paths import Evaluate
from streamer.core.xdm.language.safe_regex import UnsafePattern
from streamer.core.xdm.language.tokens import ExpressionError, Step

FAILURES = (TypeError, ValueError, ArithmeticError, LookupError, RecursionError)
"""What a function may raise for values that it is not made for; it then gives no value."""


class Argument(msgspec.Struct, frozen=True, kw_only=True):
    """What a function is called with, at one place."""

    evaluate: Evaluate
    position: int
    literal: str | int | float | bool | None = None
    """The value that is written there; None for anything that is none, and for null."""
    steps: tuple[Step, ...] = ()
    """The path that is written there, if it is one."""


Build = Callable[[Sequence[Argument]], Evaluate]


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """One function: how it is called, what it does, and how it is built."""

    name: str
    arguments: tuple[str, ...]
    """Names; one that ends in ``?`` may be left out, one that ends in ``…`` comes once or more."""
    summary: str
    """What it gives, for the table in the documents."""
    examples: tuple[tuple[str, object], ...]
    """Expressions, and what they give."""
    build: Build
    alias: str = ""
    group: str = ""

    @property
    def least(self) -> int:
        """How many arguments it needs."""
        return sum(not name.endswith("?") for name in self.arguments)

    @property
    def most(self) -> int | None:
        """How many it takes; None: any number."""
        endless = self.arguments and self.arguments[-1].endswith("…")
        return None if endless else len(self.arguments)

    @property
    def signature(self) -> str:
        """How it is called, as in ``explode(text, [pattern])``."""
        names = (
            f"[{name[:-1]}]" if name.endswith("?") else name.replace("…", ", …")
            for name in self.arguments
        )
        return f"{self.name}({', '.join(names)})"


def strict(call: Callable[..., object]) -> Build:
    """Build a function that gives no value if one of its arguments has none."""

    def build(arguments: Sequence[Argument]) -> Evaluate:
        match [argument.evaluate for argument in arguments]:
            case [only]:
                return _of_one(call, only)
            case [first, second]:
                return _of_two(call, first, second)
            case several:
                return _of_several(call, several)

    return build


def lenient(call: Callable[..., object]) -> Build:
    """Build a function that is told of missing values, as None."""

    def build(arguments: Sequence[Argument]) -> Evaluate:
        parts = [argument.evaluate for argument in arguments]

        def evaluate(scope: Mapping[str, Any]) -> object:
            try:
                return call(*[part(scope) for part in parts])
            except FAILURES:
                return None

        return evaluate

    return build


def prepared(prepare: Callable[..., Callable[..., object]], *, literals: slice) -> Build:
    """Build a function some of whose arguments must be written out, and are read only once.

    ``prepare`` gets the values of ``literals`` and returns what takes the remaining arguments;
    its ValueError is the reason why they cannot be.
    """

    def build(arguments: Sequence[Argument]) -> Evaluate:
        fixed = arguments[literals]
        for argument in fixed:
            if not isinstance(argument.literal, str):
                raise ExpressionError(
                    "this must be a text in quotation marks",
                    argument.position,
                    "It is read once and not from each event, since events are strangers'.",
                )
        try:
            call = prepare(*[argument.literal for argument in fixed])
        except ValueError as error:
            hint = error.hint if isinstance(error, UnsafePattern) else ""
            raise ExpressionError(str(error), fixed[0].position, hint) from None
        remaining = list(arguments)
        del remaining[literals]
        return strict(call)(remaining)

    return build


def _of_one(call: Callable[..., object], only: Evaluate) -> Evaluate:
    def evaluate(scope: Mapping[str, Any]) -> object:
        value = only(scope)
        if value is None:
            return None
        try:
            return call(value)
        except FAILURES:
            return None

    return evaluate


def _of_two(call: Callable[..., object], first: Evaluate, second: Evaluate) -> Evaluate:
    def evaluate(scope: Mapping[str, Any]) -> object:
        left, right = first(scope), second(scope)
        if left is None or right is None:
            return None
        try:
            return call(left, right)
        except FAILURES:
            return None

    return evaluate


def _of_several(call: Callable[..., object], several: Sequence[Evaluate]) -> Evaluate:
    def evaluate(scope: Mapping[str, Any]) -> object:
        values = [part(scope) for part in several]
        if None in values:
            return None
        try:
            return call(*values)
        except FAILURES:
            return None

    return evaluate


def whole_number(value: object) -> int:
    """Return a whole number from 0, as places and counts are; raises ValueError if it is none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("not a whole number from 0")
    return value


def short_enough(characters: int) -> None:
    """Raise ValueError if a text that is to be made would be too long."""
    if characters > MADE_TEXT_CHARACTERS_MAX:
        raise ValueError("the text would be too long")

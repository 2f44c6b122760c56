"""The language of a mapping's sources: a part of Adobe's Data Prep, compiled once to closures.

An expression is read by precedence climbing, and each thing read becomes a function of the
event's scope, so that evaluating walks no tree. What is wrong with it is found while it is
read, with the place: a name that no event has, an unknown function, a wrong number of
arguments. What then goes wrong with an event's values is no value, and never an exception.

Nothing here looks at a clock or at chance: the same event always gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from streamer.core.mapping_limits import EXPRESSION_CHARACTERS_MAX, EXPRESSION_DEPTH_MAX
from streamer.core.xdm.language.function import Argument, Function
from streamer.core.xdm.language.functions import FUNCTIONS
from streamer.core.xdm.language.functions_choice import nothing
from streamer.core.xdm.language.names import (
    function_of,
    require_count,
    require_known,
    suggestion,
)
from streamer.core.xdm.language.operators import between, negation
from streamer.core.xdm.language.paths import Evaluate, follow
from streamer.core.xdm.language.tokens import ExpressionError, Step, Token, tokens

__all__ = [
    "Evaluate",
    "Expression",
    "ExpressionError",
    "compile_expression",
    "read_expression",
]

_METHODS = ("equals", "equalsIgnoreCase")

_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}

_STRENGTH: dict[str, int] = {
    sign: strength
    for strength, signs in enumerate(("||", "&&", "== !=", "< > <= >=", "+ -", "* / %"))
    for sign in signs.split()
}
"""How much each operator binds that stands between two values."""


class Expression(msgspec.Struct, frozen=True):
    """An expression that is right."""

    evaluate: Evaluate
    paths: frozenset[tuple[Step, ...]]
    """Every path that it can look at."""


class _Node(Argument, frozen=True, kw_only=True):
    """A part of an expression that has been read, fit to be an argument of what is around it."""

    depth: int = 1
    """How many calls and operators stand within each other in it."""


def compile_expression(text: str) -> Evaluate:
    """Compile an expression.

    The result is a function of an event's scope; None is no value, as is an empty text.

    Raises:
        ExpressionError: It means nothing, or nothing that is allowed.
    """
    return read_expression(text).evaluate


def read_expression(text: str) -> Expression:
    """Compile an expression, and tell what it looks at.

    Raises:
        ExpressionError: It means nothing, or nothing that is allowed.
    """
    if len(text) > EXPRESSION_CHARACTERS_MAX:
        raise ExpressionError(
            f"an expression has at most {EXPRESSION_CHARACTERS_MAX:,} characters",
            EXPRESSION_CHARACTERS_MAX,
        )
    reader = _Reader(text)
    node = reader.whole()
    evaluate = node.evaluate if node.steps else _without_empty_text(node.evaluate)
    return Expression(evaluate, frozenset(reader.paths))


def _without_empty_text(evaluate: Evaluate) -> Evaluate:
    def value_of(scope: Mapping[str, Any]) -> object:
        value = evaluate(scope)
        return None if value == "" else value

    return value_of


class _Reader:
    """Reads one expression from its tokens."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(tokens(text))
        self._index = 0
        self._open = 0
        self.paths: set[tuple[Step, ...]] = set()

    def whole(self) -> _Node:
        """Read all of it."""
        node = self._binary(0)
        if self._next.kind != "end":
            raise self._unexpected()
        return node

    @property
    def _next(self) -> Token:
        return self._tokens[self._index]

    def _take(self) -> Token:
        token = self._next
        self._index += 1
        return token

    def _takes(self, sign: str) -> bool:
        found = self._next.kind == "operator" and self._next.text == sign
        self._index += found
        return found

    def _require(self, sign: str) -> None:
        if not self._takes(sign):
            raise self._unexpected(f"Write `{sign}` here.")

    def _unexpected(self, hint: str = "") -> ExpressionError:
        token = self._next
        if token.kind == "end":
            return ExpressionError("the expression ends too early", token.position, hint)
        return ExpressionError(f"`{token.text}` makes no sense here", token.position, hint)

    def _binary(self, least: int) -> _Node:
        """Read values with operators between them that bind at least so much."""
        node = self._unary()
        while (strength := self._strength()) >= least:
            operator = self._take()
            other = self._binary(strength + 1)
            if operator.text in "+-*/%":
                _require_no_texts(node, other)
            node = self._node(
                between(operator.text, node.evaluate, other.evaluate), node.position, [node, other]
            )
        return node

    def _strength(self) -> int:
        """Return how much the operator binds that comes next; -1 if none does."""
        return _STRENGTH.get(self._next.text, -1) if self._next.kind == "operator" else -1

    def _unary(self) -> _Node:
        position = self._next.position
        if self._takes("!"):
            inner = self._deeper(self._unary, position)
            return self._node(negation(inner.evaluate), position, [inner])
        if self._takes("-"):
            inner = self._deeper(self._unary, position)
            _require_no_texts(inner)
            return self._node(between("-", _constant(0), inner.evaluate), position, [inner])
        return self._called(self._primary())

    def _deeper(self, read: Callable[[], _Node], position: int) -> _Node:
        """Read what is inside of something, as far as the stack allows."""
        self._open += 1
        if self._open > EXPRESSION_DEPTH_MAX:
            raise _too_deep(position)
        node = read()
        self._open -= 1
        return node

    def _primary(self) -> _Node:
        token = self._next
        if token.kind in {"number", "text"}:
            self._take()
            return _literal(token.value, token.position)
        if token.kind == "path":
            return self._path_or_call()
        if self._takes("("):
            node = self._deeper(self._inside, token.position)
            self._require(")")
            return node
        if self._takes("["):
            elements = [] if self._takes("]") else self._listed("]")
            return self._build(
                FUNCTIONS["to_array"], [_literal(True, token.position), *elements], token.position
            )
        raise self._unexpected()

    def _inside(self) -> _Node:
        return self._binary(0)

    def _listed(self, closing: str) -> list[_Node]:
        """Read values with commas between them, and the bracket behind them."""
        nodes = [self._deeper(self._inside, self._next.position)]
        while self._takes(","):
            nodes.append(self._deeper(self._inside, self._next.position))
        self._require(closing)
        return nodes

    def _path_or_call(self) -> _Node:
        token = self._take()
        is_call = token.plain and self._next.kind == "operator" and self._next.text == "("
        if is_call and len(token.steps) == 1:
            function = function_of(token)
            self._take()
            return self._call(function, [] if self._takes(")") else self._listed(")"), token)
        if token.plain and token.text in _LITERALS:
            return _literal(_LITERALS[token.text], token.position)
        if is_call and len(token.steps) > 1:
            subject = self._path(token, token.steps[:-1])
            self._take()
            return self._method(subject, str(token.steps[-1]), token)
        return self._path(token, token.steps)

    def _path(self, token: Token, steps: tuple[Step, ...]) -> _Node:
        require_known(token, steps, behind_minus=self._text[: token.position].endswith("-"))
        self.paths.add(steps)
        return _Node(evaluate=follow(steps), position=token.position, steps=steps)

    def _called(self, node: _Node) -> _Node:
        """Read the methods that are called on a value."""
        while self._takes("."):
            token = self._take()
            if token.kind != "path" or not token.plain or len(token.steps) != 1:
                raise ExpressionError("the name of a method must follow", token.position)
            self._require("(")
            node = self._method(node, token.text, token)
        return node

    def _method(self, subject: _Node, name: str, token: Token) -> _Node:
        """Read the arguments of a method, whose opening bracket has been read."""
        if name not in _METHODS:
            raise ExpressionError(
                f"there is no method `{name}`", token.position, suggestion(name, _METHODS)
            )
        arguments = [] if self._takes(")") else self._listed(")")
        return self._call(FUNCTIONS[name], [subject, *arguments], token)

    def _call(self, function: Function, nodes: Sequence[_Node], token: Token) -> _Node:
        require_count(function, len(nodes), token.position)
        if function.name == "contains_key":
            nodes = [self._as_path(nodes[0])]
        return self._build(function, nodes, token.position)

    def _build(self, function: Function, nodes: Sequence[_Node], position: int) -> _Node:
        evaluate = function.build(nodes)
        return self._node(evaluate, position, nodes)

    def _as_path(self, node: _Node) -> _Node:
        """Read the path that a text names."""
        if not isinstance(node.literal, str):
            return node
        try:
            path, *rest = tokens(node.literal)
        except ExpressionError as error:
            raise ExpressionError(error.message, node.position, error.hint) from None
        if path.kind != "path" or len(rest) != 1:
            raise ExpressionError("this text names no path", node.position)
        return self._path(msgspec.structs.replace(path, position=node.position), path.steps)

    def _node(self, evaluate: Evaluate, position: int, parts: Sequence[_Node]) -> _Node:
        depth = 1 + max((part.depth for part in parts), default=0)
        if depth > EXPRESSION_DEPTH_MAX:
            raise _too_deep(position)
        return _Node(evaluate=evaluate, position=position, depth=depth)


def _too_deep(position: int) -> ExpressionError:
    return ExpressionError(
        f"more than {EXPRESSION_DEPTH_MAX} calls and operators stand within each other", position
    )


def _literal(value: str | int | float | bool | None, position: int) -> _Node:
    return _Node(evaluate=_constant(value), position=position, literal=value)


def _constant(value: str | int | float | bool | None) -> Evaluate:
    if value is None:
        return nothing
    return lambda _: value


def _require_no_texts(*nodes: _Node) -> None:
    for node in nodes:
        if isinstance(node.literal, str):
            raise ExpressionError(
                "texts cannot be calculated with", node.position, "Join them with `concat(…)`."
            )

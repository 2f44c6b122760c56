"""Cuts an expression into tokens, each with its place, and knows what a path looks like.

A path is one token, whatever names and indices it is made of. Escapes are undone here: what
comes after works with names and texts as they are meant. Whether a name means anything is not
known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

EACH = "*"
"""The step that stands for every element of a list, unlike a name that is an asterisk."""

Step = str | int | tuple[Literal["*"]]
"""A name, the index of a list's element from 0, or `EACH` in a tuple."""

ALL_OF_LIST: tuple[Literal["*"]] = ("*",)

Kind = Literal["number", "text", "path", "operator", "end"]

RESERVED = frozenset({
    "new", "mod", "or", "break", "var", "lt", "for", "false", "while", "eq", "gt", "div", "not",
    "null", "continue", "else", "and", "ne", "true", "le", "if", "ge", "return", "_errors", "do",
    "function", "empty", "size",
})  # fmt: skip
"""Adobe's list: a field of such a name is written ``${…}``."""

WORD_OPERATORS = {
    "eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">=",
    "and": "&&", "or": "||", "not": "!", "div": "/", "mod": "%",
}  # fmt: skip
"""Operators that are words, and the sign that means the same."""

_MISTAKEN = {
    "=": "Compare with `==`.",
    "&": "Write `&&`, or `and`.",
    "|": "Write `||`, or `or`.",
    "?": "Write `iif(CONDITION, VALUE, OTHERWISE)`.",
}

_BLANKS = re.compile(r"\s*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?![\w.])", re.ASCII)
_TEXT = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)
_OPERATOR = re.compile(r"==|!=|<=|>=|&&|\|\||[-+*/%<>!(),\[\].]")
_NAME = re.compile(r"(?:[^\W\d]|\$(?!\{))(?:[\w$]|\\\.)*")
_QUOTED = re.compile(r"\$\{((?:[^\\}]|\\.)+)\}", re.DOTALL)
_INDEX = re.compile(r"\[\s*(\d{1,9}|\*)\s*\]", re.ASCII)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_UNESCAPED_STOP = re.compile(r"(?:[^\\.]|\\.)+", re.DOTALL)
_IN_TEXT = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "t": "\t", "r": "\r"}


class ExpressionError(ValueError):
    """An expression that means nothing: what is wrong, where, and what to write instead."""

    def __init__(self, message: str, position: int, hint: str = "") -> None:
        super().__init__(f"{message} (at character {position + 1})")
        self.message = message
        self.position = position
        """Of the first character that is wrong, from 0."""
        self.hint = hint


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One word or sign."""

    kind: Kind
    position: int
    text: str
    """As written; of an operator the sign, whichever way it was written."""
    value: str | int | float | None = None
    """Of a number or a text."""
    steps: tuple[Step, ...] = ()
    """Of a path."""
    plain: bool = False
    """Of a path: its last name was written without ``${…}``, so it can name a function."""


def tokens(text: str) -> Iterator[Token]:
    """Cut an expression; the last token is the end.

    Raises:
        ExpressionError: Something in it begins no token.
    """
    position = _skip_blanks(text, 0)
    while position < len(text):
        token, position = _token(text, position)
        yield token
        position = _skip_blanks(text, position)
    yield Token(kind="end", position=position, text="")


def _skip_blanks(text: str, position: int) -> int:
    found = _BLANKS.match(text, position)
    assert found is not None, "the pattern fits everywhere"
    return found.end()


def _token(text: str, position: int) -> tuple[Token, int]:
    if found := _NUMBER.match(text, position):
        return _number(found[0], position), found.end()
    if found := _TEXT.match(text, position):
        value = _ESCAPE.sub(_unescaped_in_text, found[0][1:-1])
        return Token(kind="text", position=position, text=found[0], value=value), found.end()
    if _NAME.match(text, position) or text.startswith("${", position):
        return _path(text, position)
    if found := _OPERATOR.match(text, position):
        return Token(kind="operator", position=position, text=found[0]), found.end()
    raise _unexpected(text, position)


def _number(text: str, position: int) -> Token:
    value = float(text) if "." in text else int(text)
    if abs(value) >= 2**63:
        raise ExpressionError("this number is larger than any that Adobe stores", position)
    return Token(kind="number", position=position, text=text, value=value)


def _unescaped_in_text(escape: re.Match[str]) -> str:
    """Keep the backslash of what is no escape of ours: a pattern's need not be doubled."""
    return _IN_TEXT.get(escape[1], escape[0])


def _path(text: str, start: int) -> tuple[Token, int]:
    steps: list[Step] = []
    position, plain = start, False
    while True:
        names, plain, position = _names(text, position)
        steps += names
        while found := _INDEX.match(text, position):
            steps.append(ALL_OF_LIST if found[1] == EACH else int(found[1]))
            position, plain = found.end(), False
        if not text.startswith(".", position):
            break
        position += 1
    written = text[start:position]
    if len(steps) == 1 and plain and (sign := WORD_OPERATORS.get(written)):
        return Token(kind="operator", position=start, text=sign), position
    return (
        Token(kind="path", position=start, text=written, steps=tuple(steps), plain=plain),
        position,
    )


def _names(text: str, position: int) -> tuple[list[str], bool, int]:
    """Read one name, or the names between the braces of ``${…}``."""
    if found := _QUOTED.match(text, position):
        names = _UNESCAPED_STOP.findall(found[1])
        return [_ESCAPE.sub(r"\1", name) for name in names], False, found.end()
    if found := _NAME.match(text, position):
        return [found[0].replace("\\.", ".")], True, found.end()
    if text.startswith("${", position):
        raise ExpressionError("this ${ has no } that ends it, or nothing between", position)
    raise ExpressionError(
        "a name must follow the full stop", position, "Write a name of other signs as `${…}`."
    )


def _unexpected(text: str, position: int) -> ExpressionError:
    sign = text[position]
    if sign in "\"'":
        return ExpressionError("this text has no closing quotation mark", position)
    if sign.isdigit():
        return ExpressionError(
            "this is no number", position, "Write a name that begins with a digit as `${…}`."
        )
    return ExpressionError(f"{sign!r} means nothing here", position, _MISTAKEN.get(sign, ""))

"""What values mean to each other: truth, equality, order, arithmetic, and the text of a value.

The rules are those of Data Prep's language as far as they are known: a number and a text that
is one are equal, a division of whole numbers is whole. What is not known is decided for safety:
a missing value makes a sum missing and not too small. Every function here answers for any two
values of JSON and never raises, but for `text_of`.
"""

from __future__ import annotations

import math
import re

LONG_MAX = 2**63 - 1
"""The largest whole number of Data Prep, whose ``long`` is Java's. What a schema takes is less:
`streamer.core.xdm.kinds.EXACT_INTEGER_MAX`."""

_NUMERIC = re.compile(r"-?\d{1,19}(?:\.\d{1,30})?", re.ASCII)

_TRUE = frozenset({"y", "yes", "on", "true"})
_FALSE = frozenset({"n", "no", "off", "false"})


def truth(value: object) -> bool:
    """Say whether a condition holds: true, a number but nought, or a text such as ``yes``."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value != 0
    return isinstance(value, str) and value.lower() in _TRUE


def equal(left: object, right: object) -> bool:
    """Compare; a number or a truth value equals a text that says the same."""
    if isinstance(left, str) is isinstance(right, str):
        return _same(left, right)
    text, other = (left, right) if isinstance(left, str) else (right, left)
    assert isinstance(text, str)
    if isinstance(other, bool):
        return text.lower() in (_TRUE if other else _FALSE)
    if isinstance(other, int | float):
        return number(text) == other
    return False


def _same(left: object, right: object) -> bool:
    # Python takes True for 1, which no reader of a mapping does.
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    try:
        return bool(left == right)
    except RecursionError:  # objects a thousand levels deep
        return False


def order(left: object, right: object) -> int | None:
    """Return a number below, at or above 0 as ``left`` is; None if the two have no order."""
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    first, second = number(left), number(right)
    if first is None or second is None:
        return None
    return (first > second) - (first < second)


def number(value: object) -> int | float | None:
    """Return a number, or the one that a text says."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and _NUMERIC.fullmatch(value):
        return float(value) if "." in value else int(value)
    return None


def in_range(value: int | float) -> int | float | None:
    """Return a result, if Adobe can store it."""
    if isinstance(value, int):
        return value if -LONG_MAX - 1 <= value <= LONG_MAX else None
    return value if math.isfinite(value) else None


def calculate(sign: str, left: object, right: object) -> int | float | None:
    """Add, subtract, multiply, divide, or take the rest of a division."""
    first, second = number(left), number(right)
    if first is None or second is None:
        return None
    try:
        return in_range(_calculate(sign, first, second))
    except (ArithmeticError, ValueError):  # nothing divides by nought
        return None


def _calculate(sign: str, left: int | float, right: int | float) -> int | float:
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    if sign == "*":
        return left * right
    if isinstance(left, float) or isinstance(right, float):
        return left / right if sign == "/" else math.fmod(left, right)
    whole = abs(left) // abs(right)
    if (left < 0) is not (right < 0):
        whole = -whole
    return whole if sign == "/" else left - whole * right


def text_of(value: object) -> str:
    """Return the text of a text, a number or a truth value.

    Raises:
        TypeError: It is a list or an object.
        ValueError: It is a number of thousands of digits.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise TypeError("a list or an object has no text")

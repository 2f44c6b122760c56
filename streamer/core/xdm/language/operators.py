"""What an operator becomes: a function of the event's scope."""

from __future__ import annotations

from streamer.core.xdm.language.paths import Evaluate
from streamer.core.xdm.language.values import calculate, equal, order, truth


def negation(inner: Evaluate) -> Evaluate:
    """Return the function that says whether a condition does not hold."""
    return lambda scope: not truth(inner(scope))


def between(sign: str, left: Evaluate, right: Evaluate) -> Evaluate:
    """Return the function that does what an operator says with the values beside it."""
    match sign:
        case "||":
            return lambda scope: truth(left(scope)) or truth(right(scope))
        case "&&":
            return lambda scope: truth(left(scope)) and truth(right(scope))
        case "==":
            return lambda scope: equal(left(scope), right(scope))
        case "!=":
            return lambda scope: not equal(left(scope), right(scope))
        case "<" | ">" | "<=" | ">=":
            return _ordering(sign, left, right)
    return lambda scope: calculate(sign, left(scope), right(scope))


_HOLDS: dict[str, frozenset[int]] = {
    "<": frozenset({-1}),
    ">": frozenset({1}),
    "<=": frozenset({-1, 0}),
    ">=": frozenset({1, 0}),
}


def _ordering(sign: str, left: Evaluate, right: Evaluate) -> Evaluate:
    holds = _HOLDS[sign]
    return lambda scope: order(left(scope), right(scope)) in holds

"""Which names there are in an expression, and what to write instead of one that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from streamer.core.xdm.language.function import Function
from streamer.core.xdm.language.functions import FUNCTIONS, NOT_OFFERED, REFUSED
from streamer.core.xdm.language.paths import NAMES, OURS
from streamer.core.xdm.language.tokens import RESERVED, ExpressionError, Step, Token


def function_of(token: Token) -> Function:
    """Return the function of a name, or say why there is none."""
    name = token.text
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if reason := REFUSED.get(name):
        raise ExpressionError(
            f"{name}() is not offered: it {reason}",
            token.position,
            "An event that is sent again must be the same event. Use event_id, or streamer.time.",
        )
    if name in NOT_OFFERED:
        raise ExpressionError(
            f"{name}() is one of Adobe's functions that is not offered here", token.position
        )
    raise ExpressionError(
        f"there is no function {name}()", token.position, suggestion(name, FUNCTIONS)
    )


def require_count(function: Function, count: int, position: int) -> None:
    """Refuse a wrong number of arguments."""
    if function.least <= count and (function.most is None or count <= function.most):
        return
    given = "1 argument" if count == 1 else f"{count} arguments"
    raise ExpressionError(
        f"{function.name}() does not take {given}", position, f"Write `{function.signature}`."
    )


def require_known(token: Token, steps: tuple[Step, ...], *, behind_minus: bool) -> None:
    """Refuse a path that no event can have."""
    first, *rest = steps
    if token.text.split(".", 1)[0] in RESERVED:
        raise ExpressionError(
            f"`{first}` is a reserved word", token.position, f"Write the field as `${{{first}}}`."
        )
    if first not in NAMES:
        near = [f"data.{first}"] if isinstance(first, str) else []
        raise ExpressionError(
            f"no event has `{first}` at its top",
            token.position,
            "Write a name with a hyphen as `${…}`."
            if behind_minus
            else suggestion(str(first), NAMES, otherwise=near),
        )
    if first == "streamer" and rest[:1] and rest[0] not in OURS:
        raise ExpressionError(
            f"there is no `streamer.{rest[0]}`",
            token.position,
            suggestion(str(rest[0]), OURS, before="streamer."),
        )


def suggestion(
    word: str, known: Iterable[str], *, before: str = "", otherwise: Sequence[str] = ()
) -> str:
    """Return a suggestion as a sentence, or list what there is when nothing is near."""
    choices = sorted(known)
    near = difflib.get_close_matches(word, choices, n=1) or list(otherwise)
    if near:
        return f"Did you mean `{before}{near[0]}`?"
    return "Known: " + ", ".join(f"`{before}{choice}`" for choice in choices) + "."

"""Whom an entity is about, as Adobe wants to know it: the map of identities.

Which values stand for a person, and in which namespace, is the user's to say.
The first that has a value is the primary one. A value that cannot be what its
form says is left out: a wrong identity would join two people's profiles, and
nothing undoes that.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streamer.core.errors import ConfigurationError
from streamer.core.selection import Selection
from streamer.core.xdm.kinds import fit_email, fit_text
from streamer.core.xdm.language.expression import Evaluate, ExpressionError, compile_expression
from streamer.core.xdm.settings import Identity

IDENTITY_CHARACTERS_MAX = 1_024
"""Adobe's own limit on the value of an identity."""

_HASH = re.compile(r"[0-9a-f]{64}")
_PHONE = re.compile(r"(?:\+|00)([1-9]\d{6,14})", re.ASCII)
_BETWEEN_DIGITS = re.compile(r"\(0\)|[\s().\-/\u2010-\u2015]")
"""A nought in brackets is dialled at home only, and is no part of the number."""


Source = tuple[str, str, Evaluate]
"""Namespace, form, and how the value is found."""


class _Ready(msgspec.Struct, frozen=True):
    identity: Identity
    evaluate: Evaluate
    selection: Selection


class Identities:
    """The identities that a destination writes, made ready once."""

    __slots__ = ("_every",)

    def __init__(self, identities: Sequence[Identity]) -> None:
        """Compile their sources.

        Raises:
            ConfigurationError: One of them means nothing.
        """
        self._every = tuple(map(_ready, identities))

    def of_type(self, object_type: str | None, metric: str | None) -> tuple[Source, ...]:
        """Return where the identities of one type of event come from, in order."""
        return tuple(
            (ready.identity.namespace, ready.identity.form, ready.evaluate)
            for ready in self._every
            if ready.selection.matches(object_type, metric)
        )


def identity_map(
    sources: Sequence[Source], scope: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Return the map of identities of one event; empty when it names nobody."""
    found: dict[str, list[dict[str, Any]]] = {}
    for namespace, form, evaluate in sources:
        value = evaluate(scope)
        if value is None:
            continue
        text = in_form(value, form)
        if text is None:
            continue
        entry: dict[str, Any] = {"id": text, "authenticatedState": "ambiguous"}
        if not found:
            entry["primary"] = True
            found[namespace] = [entry]
        elif namespace not in found:
            found[namespace] = [entry]
        elif all(other["id"] != text for other in found[namespace]):
            found[namespace].append(entry)
    return found


def _ready(identity: Identity) -> _Ready:
    try:
        evaluate = compile_expression(identity.source)
    except ExpressionError as error:
        raise ConfigurationError(
            f"the identity {identity.namespace} has a source that cannot be read: {error}",
            hint=error.hint,
        ) from error
    return _Ready(identity, evaluate, Selection(include=identity.types, exclude=()))


def in_form(value: object, form: str) -> str | None:
    """Return a value as an identity of this form; None if it cannot be one."""
    text = fit_text(value)
    text = text.strip() if text is not None else ""
    if not 0 < len(text) <= IDENTITY_CHARACTERS_MAX:
        return None
    match form:
        case "email":
            return fit_email(text.lower())
        case "email_sha256":
            return _hashed(text.lower())
        case "phone":
            return _e164(text)
    return text


def _hashed(text: str) -> str | None:
    """Hash an address; what a privacy rule has hashed before stays as it is."""
    if _HASH.fullmatch(text):
        return text
    address = fit_email(text)
    return None if address is None else hashlib.sha256(address.encode()).hexdigest()


def _e164(text: str) -> str | None:
    """Write a number with its country's code as ``+`` and digits; without one it is nobody's."""
    found = _PHONE.fullmatch(_BETWEEN_DIGITS.sub("", text))
    return f"+{found[1]}" if found else None

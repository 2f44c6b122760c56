"""Keeping fields from a destination: dropped, or replaced by their SHA-256.

A path is names joined by full stops, below the event's ``data``. A list on the
way, or at the end, means each of its elements. A path that an event lacks is no
error, since most fields belong to a few types only. Of two rules that meet,
dropping wins. What no rule names stays as it was, numbers to the last digit.

At a hash path every text, number and truth value becomes 64 hexadecimal digits,
however deep inside an object or list it is: an object keeps its names, and
dropping is there for whoever minds them. Null stays null, so that a missing
value is still seen to be missing. Text with an ``@`` in it is trimmed and
lower-cased first, which makes one person's address one hash everywhere.

Of a name that comes twice in one object, the last counts and the earlier are
left out, as nearly every reader of JSON has it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import msgspec

from streamer.core.errors import ConfigurationError, StreamerError


class UnredactableBody(StreamerError):
    """A body that cannot be read, and so cannot be made fit for the destination."""


class _Number:
    """A number of a body, kept as its text: no float holds 1e999, and none tells 1.10 from 1.1."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class _Rules:
    """What the rules say of one place, and of the names below it."""

    __slots__ = ("below", "dropped", "hashed")

    def __init__(self) -> None:
        self.below: dict[str, _Rules] = {}
        self.dropped = False
        self.hashed = False

    def at(self, path: str) -> _Rules:
        """Return the rules for a path, making room for it."""
        here = self
        for name in path.split("."):
            here = here.below.setdefault(name, _Rules())
        return here


_NO_RULES = _Rules()


class Redactor:
    """The rules of one destination, made ready once."""

    __slots__ = ("_rules",)

    def __init__(
        self,
        *,
        drop: Sequence[str],
        hash: Sequence[str],  # noqa: A002 - the word that the configuration uses
    ) -> None:
        """Compile the rules.

        Raises:
            ConfigurationError: a path could never match, see `validate_path`.
        """
        self._rules = _Rules()
        for path in _checked(hash):
            self._rules.at(path).hashed = True
        for path in _checked(drop):
            self._rules.at(path).dropped = True

    def apply(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return ``data`` as the destination may see it.

        The argument is not changed; the result shares with it what no rule touches.

        Raises:
            UnredactableBody: what is to be hashed is nested too deep.
        """
        try:
            return _redacted_object(data, self._rules, hashing=False)
        except RecursionError:
            pass
        raise _unredactable()

    def redact_body(self, body: bytes) -> bytes:
        """Return a webhook's body with its ``data`` as the destination may see it.

        Without a rule this is the body itself; else it is written anew, without blanks.

        Raises:
            UnredactableBody: it is not a JSON object in UTF-8, or nested too deep. The body is
                then not fit to be delivered, since nothing is known to be gone from it.
        """
        if not self._rules.below:
            return body
        redacted = self._redacted_quickly(body)
        if redacted is None:
            redacted = self._redacted_leniently(body)
        if redacted is None:
            raise _unredactable()
        return redacted

    def _redacted_quickly(self, body: bytes) -> bytes | None:
        try:
            return _ENCODER.encode(self._event(_DECODER.decode(body)))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None

    def _redacted_leniently(self, body: bytes) -> bytes | None:
        """Read what msgspec will not: integers of thousands of digits, and half surrogates."""
        try:
            event = json.loads(
                body.decode(), parse_int=_Number, parse_float=_Number, parse_constant=_refuse
            )
            return _json_text(self._event(event)).encode() if isinstance(event, dict) else None
        except (ValueError, RecursionError):
            return None

    def _event(self, event: dict[str, Any]) -> dict[str, Any]:
        if "data" not in event:
            return event
        return {**event, "data": _redacted(event["data"], self._rules, hashing=False)}


def validate_path(path: str) -> str | None:
    """Say what keeps a path from ever matching, or None: a rule without effect is a leak."""
    if not all(path.split(".")):
        return "a path is names joined by single full stops"
    if any(mark in path for mark in "[]*$"):
        return "a path needs no marks: a list means each of its elements"
    if path.partition(".")[0] == "data":
        return "a path begins below data, so leave data out"
    return None


def _checked(paths: Sequence[str]) -> Iterable[str]:
    for path in paths:
        problem = validate_path(path)
        if problem is not None:
            raise ConfigurationError(
                f"the privacy rule {path!r} cannot match: {problem}",
                hint="write paths like identifiers.email or recipients.device_id",
            )
        yield path


def _redacted(value: object, rules: _Rules, *, hashing: bool) -> object:
    hashing = hashing or rules.hashed
    if not hashing and not rules.below:
        return value
    if isinstance(value, dict):
        return _redacted_object(value, rules, hashing=hashing)
    if isinstance(value, list):
        return [_redacted(element, rules, hashing=hashing) for element in value]
    return _hashed(value) if hashing else value


def _redacted_object(value: dict[str, Any], rules: _Rules, *, hashing: bool) -> dict[str, Any]:
    ruled = ((name, inner, rules.below.get(name, _NO_RULES)) for name, inner in value.items())
    return {
        name: _redacted(inner, below, hashing=hashing)
        for name, inner, below in ruled
        if not below.dropped
    }


def _hashed(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else _json_text(value)
    if "@" in text:
        text = text.strip().lower()
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _json_text(value: object) -> str:
    """Write JSON in ASCII, with numbers as they came; slower than msgspec, and takes more."""
    if isinstance(value, _Number):
        return value.text
    if isinstance(value, dict):
        pairs = (f"{json.dumps(name)}:{_json_text(inner)}" for name, inner in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json_text, value)) + "]"
    return json.dumps(value)


def _number_as_it_came(value: object) -> msgspec.Raw:
    assert isinstance(value, _Number), "a decoded body holds nothing else of ours"
    return msgspec.Raw(value.text.encode())


def _refuse(constant: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _unredactable() -> UnredactableBody:
    # Raised away from its cause: a decoder's exception may hold the whole body.
    return UnredactableBody(
        "the event cannot be read, so its private fields cannot be taken out",
        hint="look at it with `streamer events show`; it is not sent as it is",
    )


_DECODER = msgspec.json.Decoder(dict[str, Any], float_hook=_Number)
_ENCODER = msgspec.json.Encoder(enc_hook=_number_as_it_came)

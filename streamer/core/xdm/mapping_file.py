"""Reads a mapping file: an operator's rules, layered over the built-in mapping.

The file is TOML. Everything that is wrong with it is found at once and told
with its line, so that a file that was taken is a mapping that can be applied:
its expressions are compiled, its destinations are paths that the schema has.
What cannot be told from the file alone, such as whether the schema of this
destination has an optional field group, is the mapper's to say.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import TypeGuard

import msgspec

from streamer.core.errors import ConfigurationError
from streamer.core.mapping_limits import MAPPING_RULES_MAX
from streamer.core.selection import Selection, validate_pattern
from streamer.core.xdm.language.expression import Expression, ExpressionError, read_expression
from streamer.core.xdm.language.names import suggestion
from streamer.core.xdm.mapping_lines import MappingLines, Place
from streamer.core.xdm.mapping_paths import (
    check_constant,
    check_destination,
    check_field,
    check_removal,
)
from streamer.core.xdm.rule import Rule, quoted

_TOP = ("rules", "remove", "fields")
_RULE = ("destination", "source", "constant", "types", "note")

_IDS = frozenset({("event_id",), ("streamer", "event_id")})
"""Of the paths that name an event, those that are the same for each repeat and for no other."""


class MappingProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake, or one warning."""

    line: int
    """From 1."""
    key: str
    """Such as ``rules[0].source``."""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        subject = f"line {self.line}, {self.key}" if self.key else f"line {self.line}"
        return f"{subject}: {self.message}" + (f"\n    {self.hint}" if self.hint else "")


class MappingErrors(ConfigurationError):
    """All mistakes of one mapping file."""

    def __init__(self, problems: Sequence[MappingProblem], *, origin: str) -> None:
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        lines = "\n".join(f"  {line}" for problem in problems for line in str(problem).splitlines())
        super().__init__(
            f"{count} in the mapping file {origin}:\n{lines}",
            hint="Mend what is listed and look again with `streamer check`.",
        )
        self.problems = list(problems)
        self.origin = origin


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """What a mapping file adds to the mapping below it, and takes from it."""

    rules: tuple[Rule, ...] = ()
    remove: tuple[str, ...] = ()
    """Destinations, or objects that hold some, whose built-in rules are dropped."""
    fields: Mapping[str, str] = {}
    """Further paths of the tenant's own group, and the kind of each."""
    warnings: tuple[MappingProblem, ...] = ()
    """What is allowed and probably not meant."""


def read_mapping(text: str, *, origin: str) -> Layer:
    """Read a mapping file, which errors and the rules' origins name as ``origin``.

    Raises:
        MappingErrors: With everything that is wrong.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise MappingErrors([_syntax_problem(error)], origin=origin) from None
    return _Reading(document, MappingLines(text), origin).layer()


def literal(value: str | int | float | bool) -> str:
    """Write a value, of numbers a finite one, as an expression that gives it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        digits = format(Decimal(repr(value)), "f")  # the language has no exponents
        return digits if "." in digits else f"{digits}.0"
    if isinstance(value, int):
        return str(value)
    return quoted(value)


def _is_constant(value: object) -> TypeGuard[str | int | float | bool]:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int) and value != ""


def _syntax_problem(error: Exception) -> MappingProblem:
    message, line = str(error), 1
    if isinstance(error, RecursionError):
        message = "nested too deeply"
    elif "set_int_max_str_digits" in message:  # Python's own limit, which is none of TOML
        message = "a number has thousands of digits"
    if place := re.search(r" \(at line (\d+), column \d+\)$", message):
        message, line = message[: place.start()], int(place[1])
    return MappingProblem(line=line, key="", message=f"not valid TOML: {message}")


class _Reading:
    """One pass over one file."""

    def __init__(self, document: Mapping[str, object], lines: MappingLines, origin: str) -> None:
        self._document = document
        self._lines = lines
        self._origin = origin
        self._fields: dict[str, str] = {}
        self._declared: frozenset[str] = frozenset()
        """Those that are wrong as well, so that a rule for one is not complained of again."""
        self._problems: list[MappingProblem] = []
        self._warnings: list[MappingProblem] = []

    def layer(self) -> Layer:
        """Read everything."""
        self._unknown_keys(self._document, _TOP, ())
        self._read_fields()
        rules = self._rules()
        remove = self._remove({rule.destination for rule in rules})
        if self._problems:
            by_line = sorted(self._problems, key=lambda problem: problem.line)
            raise MappingErrors(by_line, origin=self._origin)
        return Layer(
            rules=rules, remove=remove, fields=self._fields, warnings=tuple(self._warnings)
        )

    def _read_fields(self) -> None:
        raw = self._document.get("fields", {})
        if not isinstance(raw, dict):
            self._complain(
                ("fields",), "must be a table", 'Write `[fields]`, and `"PATH" = "text"`.'
            )
            return
        for path, kind in raw.items():
            if not isinstance(kind, str):
                self._complain(
                    ("fields", path),
                    "must be the name of a kind, such as `text`",
                    "Put a path with full stops in quotation marks."
                    if isinstance(kind, dict)
                    else "",
                )
            elif problem := check_field(path, kind, raw.keys() - {path}):
                self._complain(("fields", path), *problem)
            else:
                self._fields[path] = kind
        self._declared = frozenset(raw)

    def _rules(self) -> tuple[Rule, ...]:
        raw = self._document.get("rules", [])
        if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
            self._complain(("rules",), "must be tables", "Write `[[rules]]` above each rule.")
            return ()
        if len(raw) > MAPPING_RULES_MAX:
            self._complain(("rules",), f"must not be more than {MAPPING_RULES_MAX:,}")
            return ()
        made = [self._rule(one, ("rules", index)) for index, one in enumerate(raw)]
        return tuple(rule for rule in made if rule is not None)

    def _rule(self, raw: Mapping[str, object], place: Place) -> Rule | None:
        before = len(self._problems)
        self._unknown_keys(raw, _RULE, place)
        destination = self._destination(raw, place)
        source = self._source(raw, place)
        if destination and source:
            self._across(destination, source, raw, place)
        types = self._types(raw, place)
        note = self._text(raw, "note", place)
        if len(self._problems) > before:
            return None
        return Rule(
            destination=destination,
            source=source,
            types=types,
            note=note,
            origin=f"{self._origin}:{self._lines.line_of(place)}",
        )

    def _destination(self, raw: Mapping[str, object], place: Place) -> str:
        if "destination" not in raw:
            self._complain(place, "has no `destination`")
            return ""
        destination = self._text(raw, "destination", place)
        if destination and (problem := check_destination(destination, self._declared)):
            self._complain((*place, "destination"), *problem)
            return ""
        return destination

    def _source(self, raw: Mapping[str, object], place: Place) -> str:
        """Return the source, or the constant as one; empty if something is wrong."""
        if ("source" in raw) is ("constant" in raw):
            self._complain(
                place,
                "must have either `source` or `constant`",
                "`source` is an expression such as `data.href`, `constant` a value as it is.",
            )
            return ""
        if "source" in raw:
            source = self._text(raw, "source", place)
            key = "source"
        else:
            constant = raw["constant"]
            if not _is_constant(constant):
                self._complain((*place, "constant"), "must be a text, a number, or true or false")
                return ""
            source, key = literal(constant), "constant"
        return source if self._read(source, (*place, key)) else ""

    def _read(self, source: str, place: Place) -> Expression | None:
        if not source:
            return None
        try:
            return read_expression(source)
        except ExpressionError as error:
            self._complain(place, str(error), error.hint)
            return None

    def _across(
        self, destination: str, source: str, raw: Mapping[str, object], place: Place
    ) -> None:
        """Check what a source must be because of where it goes."""
        paths = read_expression(source).paths
        here = (*place, "constant" if "constant" in raw else "source")
        if destination == "_id" and not paths & _IDS:
            self._complain(
                here,
                "gives several events one `_id`, and Adobe keeps but the first of them",
                'Make it of `event_id`, such as `concat("cio-", event_id)`.',
            )
        elif destination == "timestamp" and not paths:
            self._complain(here, "gives every event the same time")
        elif "constant" in raw and (
            problem := check_constant(destination, raw["constant"], self._fields)
        ):
            self._complain(here, *problem)

    def _types(self, raw: Mapping[str, object], place: Place) -> tuple[str, ...]:
        here = (*place, "types")
        patterns = self._texts(raw.get("types", []), here, '`types = ["email.*"]`')
        try:
            Selection(include=patterns, exclude=())
        except ConfigurationError as error:
            self._complain(here, str(error), error.hint)
            return ()
        for pattern in patterns:
            if odd := validate_pattern(pattern):
                self._warnings.append(self._problem(here, odd, ""))
        return patterns

    def _remove(self, replaced: Collection[str]) -> tuple[str, ...]:
        remove = self._texts(
            self._document.get("remove", []), ("remove",), '`remove = ["directMarketing.linkURL"]`'
        )
        for path in remove:
            if problem := check_removal(path, replaced):
                self._complain(("remove",), *problem)
        return remove

    def _texts(self, raw: object, place: Place, example: str) -> tuple[str, ...]:
        if isinstance(raw, list) and all(isinstance(one, str) and one for one in raw):
            return tuple(raw)
        hint = f"Write {example}."
        if place == ("remove",):
            hint += " It stands at the top of the file, before the first rule."
        self._complain(place, "must be a list of texts", hint)
        return ()

    def _text(self, raw: Mapping[str, object], key: str, place: Place) -> str:
        value = raw.get(key, "")
        if isinstance(value, str) and (value or key not in raw or key == "note"):
            return value
        self._complain((*place, key), "must be a text, and not empty")
        return ""

    def _unknown_keys(self, raw: Mapping[str, object], known: Sequence[str], place: Place) -> None:
        for key in raw:
            if key not in known:
                hint = suggestion(key, known)
                if place and key in _TOP:
                    hint = f"`{key}` stands at the top of the file, before the first table."
                self._complain((*place, key), "is not a known key", hint)

    def _complain(self, place: Place, message: str, hint: str = "") -> None:
        self._problems.append(self._problem(place, message, hint))

    def _problem(self, place: Place, message: str, hint: str) -> MappingProblem:
        return MappingProblem(
            line=self._lines.line_of(place), key=_dotted(place), message=message, hint=hint
        )


def _dotted(place: Place) -> str:
    """Write a key as people do: ``rules[0].source``."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("_", "").isalnum():
            text += f".{part}" if text else part
        else:
            text += f'."{part}"' if text else f'"{part}"'
    return text

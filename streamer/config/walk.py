"""Turns a document into a `Config`, or into everything that is wrong with it.

msgspec stops at the first error and hides the names of tables, so the types
are walked here, setting by setting, and msgspec converts one value at a time.
Values from the environment are text and are read leniently; those of the file
are not.
"""

from __future__ import annotations

import datetime
import enum
import json
import re
import typing
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from streamer.config import formats, rules
from streamer.config.environment import Overrides
from streamer.config.model import NAME_PATTERN, Config
from streamer.config.problems import KeyPath, Problem, did_you_mean, dotted, nearest
from streamer.config.settings import (
    KIND,
    Setting,
    as_table,
    element_of,
    named_of,
    setting,
    settings_of,
    variants_of,
    wanted,
)
from streamer.destinations.common_options import Secret

_LITERAL_HINT = (
    'Write where it is: `{ credential = "NAME" }`, `{ file = "PATH" }` or `{ env = "VARIABLE" }`.'
)


class _Wrong(enum.Enum):
    """Stands for a value whose problem has been reported."""

    WRONG = enum.auto()


WRONG = _Wrong.WRONG


class Walk:
    """One pass over one document."""

    def __init__(self, *, overrides: Overrides, file_base: Path, environment_base: Path) -> None:
        self.problems: list[tuple[KeyPath, Problem]] = []
        """What is wrong, with its key path once more for whoever looks for its line."""
        self.warnings: list[tuple[KeyPath, Problem]] = []
        """The same for what is allowed and probably not meant, once nothing is wrong."""
        self.values: dict[KeyPath, object] = {}
        """Every value that is right by itself, defaults included."""
        self.secret_variables: set[str] = set()
        """The variables that secrets are read from."""
        self._overrides = overrides
        self._file_base = file_base
        self._environment_base = environment_base

    def config(self, document: Mapping[str, object]) -> Config | None:
        """Check the whole document; return None if there are problems."""
        config = self._table(Config, document, ())
        for path, complaint in rules.across(self.values):
            self._complain(path, complaint.message, complaint.hint)
        if self.problems or not isinstance(config, Config):
            return None
        self.warnings = [
            (path, self._problem(path, doubt.message, doubt.hint))
            for path, doubt in rules.doubts(self.values)
        ]
        return config

    def _table(self, table: type[msgspec.Struct], raw: object, path: KeyPath) -> object:
        if not isinstance(raw, dict):
            return self._complain(path, f"must be a table, not {_name_of(raw)}")
        items = settings_of(table)
        known = {item.name for item in items}
        if table.__struct_config__.tag_field is not None:
            known.add(KIND)
        self._unknown_keys(raw, known, path)
        values = {item.name: self._setting(item, raw, path) for item in items}
        right = self._obeys_rules(table, values, path)
        return table(**values) if right and WRONG not in values.values() else WRONG

    def _unknown_keys(
        self, raw: Mapping[object, object], known: Collection[str], path: KeyPath
    ) -> None:
        top = {item.name for item in settings_of(Config)}
        for key in map(str, raw):
            if key in known:
                continue
            hint = did_you_mean(key, known)
            if path and key in top:
                hint = f"`{key}` stands at the top of the file, before the first `[table]`."
            self._complain((*path, key), "is not a known key", hint)

    def _obeys_rules(
        self, table: type[msgspec.Struct], values: Mapping[str, object], path: KeyPath
    ) -> bool:
        right = True
        for rule in rules.rules_of(table):
            arguments = [values[key] for key in rule.keys]
            complaint = None if WRONG in arguments else rule.check(*arguments)
            if complaint is not None:
                where = (*path, complaint.key) if complaint.key else path
                self._complain(where, complaint.message, complaint.hint)
                right = False
        return right

    def _setting(self, item: Setting, raw: Mapping[str, object], path: KeyPath) -> object:
        here = (*path, item.name)
        if item.name in raw:
            value = self._value(item, raw[item.name], here)
        elif item.required:
            return self._complain(here, f"is missing: must be {wanted(item)}")
        elif not item.optional and (as_table(item.type) or named_of(item.type)):
            value = self._value(item, {}, here)
        else:
            value = self._placed(item, item.default, here)
        if value is not WRONG:
            self.values[here] = value
        return value

    def _value(self, item: Setting, raw: object, path: KeyPath) -> object:
        if item.optional and raw is None:
            return None
        raw = self._opened(item.type, raw, path)
        return WRONG if raw is WRONG else self._typed(item, raw, path)

    def _typed(self, item: Setting, raw: object, path: KeyPath) -> object:
        kind = item.type
        if kind is Secret:
            return self._secret(raw, path)
        if variants := variants_of(kind):
            return self._variant(variants, raw, path)
        if table := as_table(kind):
            return self._table(table, raw, path)
        if (named := named_of(kind)) is not None:
            return self._named(setting(named), raw, path)
        if (element := element_of(kind)) is not None:
            return self._list(item, setting(element), raw, path)
        return self._leaf(item, raw, path)

    def _opened(self, kind: object, raw: object, path: KeyPath) -> object:
        """Read the text of a variable as JSON, or as a list parted by commas, where that is due."""
        is_list = typing.get_origin(kind) is list
        if path not in self._overrides or not isinstance(raw, str):
            return raw
        if not is_list and typing.get_origin(kind) is not dict:
            return raw
        if raw.lstrip().startswith(("[", "{")):
            try:
                return json.loads(raw)
            except (ValueError, RecursionError):
                return self._complain(path, "is not valid JSON")
        return [part.strip() for part in raw.split(",") if part.strip()] if is_list else raw

    def _secret(self, raw: object, path: KeyPath) -> object:
        if not isinstance(raw, dict):
            return self._complain(
                path, "must say where the secret is, and never be the secret itself", _LITERAL_HINT
            )
        overridden = {key: raw[key] for key in raw if (*path, key) in self._overrides}
        secret = self._table(Secret, overridden or raw, path)
        if isinstance(secret, Secret) and secret.env is not None:
            self.secret_variables.add(secret.env)
        return secret

    def _variant(
        self, variants: Mapping[str, type[msgspec.Struct]], raw: object, path: KeyPath
    ) -> object:
        if not isinstance(raw, dict):
            return self._complain(path, f"must be a table, not {_name_of(raw)}")
        kind = raw.get(KIND)
        if isinstance(kind, str) and kind in variants:
            return self._table(variants[kind], raw, path)
        choices = " or ".join(f'"{choice}"' for choice in sorted(variants))
        if near := nearest(str(kind), variants):
            self._table(variants[near], raw, path)  # What else is wrong, if that was meant.
        missing = "is missing: " if kind is None else ""
        hint = f'Did you mean "{near}"?' if near else ""
        return self._complain((*path, KIND), f"{missing}must be {choices}", hint)

    def _named(self, item: Setting, raw: object, path: KeyPath) -> object:
        if not isinstance(raw, dict):
            return self._complain(
                path,
                f"must be tables with names, not {_name_of(raw)}",
                f"Write `[{path[-1]}.NAME]`.",
            )
        named = {str(name): self._entry(item, str(name), raw[name], path) for name in raw}
        return WRONG if WRONG in named.values() else named

    def _entry(self, item: Setting, name: str, raw: object, path: KeyPath) -> object:
        value = self._value(item, raw, (*path, name))
        if re.fullmatch(NAME_PATTERN, name):
            return value
        return self._complain(
            (*path, name),
            "cannot be a name",
            "A name has up to 63 of a-z, 0-9, `-` and `_`, and begins with a letter or digit.",
        )

    def _list(self, item: Setting, element: Setting, raw: object, path: KeyPath) -> object:
        if not isinstance(raw, list):
            return self._complain(path, f"must be a list, not {_name_of(raw)}")
        if len(raw) < (item.bound("min_length") or 0):
            return self._complain(path, "must not be empty")
        values = [self._value(element, part, (*path, index)) for index, part in enumerate(raw)]
        return WRONG if WRONG in values else values

    def _leaf(self, item: Setting, raw: object, path: KeyPath) -> object:
        if item.format == "start" and isinstance(raw, datetime.date):
            raw = raw.isoformat()  # TOML has times without quotes.
        lenient = self._variable_of(path) is not None
        try:
            value = msgspec.convert(raw, item.annotation, strict=not lenient)
        except msgspec.ValidationError:
            hint = ""
            if isinstance(raw, str) and typing.get_origin(item.type) is typing.Literal:
                hint = did_you_mean(raw, map(str, typing.get_args(item.type)))
            return self._complain(path, f"must be {wanted(item)}, not {_name_of(raw)}", hint)
        return self._placed(item, value, path)

    def _placed(self, item: Setting, value: object, path: KeyPath) -> object:
        """Check the form of a text, and make a path absolute."""
        if item.format is None or not isinstance(value, str):
            return value
        try:
            formats.check(item.format, value)
        except ValueError as error:
            return self._complain(path, str(error))
        if item.format != formats.PATH:
            return value
        from_environment = self._variable_of(path) is not None
        return formats.absolute(
            value, self._environment_base if from_environment else self._file_base
        )

    def _complain(self, path: KeyPath, message: str, hint: str = "") -> _Wrong:
        self.problems.append((path, self._problem(path, message, hint)))
        return WRONG

    def _problem(self, path: KeyPath, message: str, hint: str) -> Problem:
        where = self._variable_of(path) or ""
        return Problem(path=dotted(path), message=message, hint=hint, where=where)

    def _variable_of(self, path: KeyPath) -> str | None:
        """Name the variable that a value came from: the whole of it, or what contains it."""
        prefixes = (path[:length] for length in range(len(path), 0, -1))
        return next(
            (self._overrides[prefix] for prefix in prefixes if prefix in self._overrides), None
        )


def _name_of(raw: object) -> str:
    """Say what a value is; numbers are shown, and texts are not, for one could be a secret."""
    if isinstance(raw, bool | float):
        return str(raw).lower()
    if isinstance(raw, int):
        return str(raw) if abs(raw) < 2**63 else "a number that large"
    nouns: dict[type, str] = {str: "a text", list: "a list", dict: "a table"}
    return nouns.get(type(raw), "a time")

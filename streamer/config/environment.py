"""Settings from the environment: ``STREAMER_SERVER__BIND`` is the key ``bind`` in ``[server]``.

Two underscores part tables from keys. A variable without them is a top-level
key or nothing of ours: orchestrators set such variables on their own
(``STREAMER_PORT``), and a secret's variable may be called anything. The names
of sources and destinations may contain ``-``, which a variable cannot: an
existing table that differs only in ``-`` and ``_`` is meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping

from streamer.config.model import Config
from streamer.config.problems import KeyPath, Problem, did_you_mean, dotted
from streamer.config.settings import as_table, named_of, settings_of

PREFIX = "STREAMER_"
SEPARATOR = "__"
FILE_VARIABLE = "STREAMER_CONFIG"

Overrides = dict[KeyPath, str]
"""The variable that each overridden key came from."""


class _NoPlaceError(Exception):
    """A variable that belongs nowhere in the document."""


def overlay(
    document: dict[str, object], environ: Mapping[str, str]
) -> tuple[Overrides, list[Problem]]:
    """Write the environment's settings into a document, as text; report those without a place."""
    overrides: Overrides = {}
    problems: list[Problem] = []
    for variable, path in _variables(environ):
        try:
            place = _resolve(document, path)
            _put(document, place, environ[variable])
        except _NoPlaceError as error:
            problems.append(
                Problem(path=dotted(path), message=str(error), where=variable, hint=_hint(path))
            )
        else:
            overrides[place] = variable
    return overrides, problems


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    scalars = {item.name for item in settings_of(Config) if item.type is str}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        path = tuple(variable.removeprefix(PREFIX).lower().split(SEPARATOR))
        if len(path) > 1 or path[0] in scalars:
            yield variable, path


def _resolve(document: Mapping[str, object], path: tuple[str, ...]) -> tuple[str, ...]:
    """Find the table that a variable means; or say why that cannot be told."""
    known = {item.name: item for item in settings_of(Config)}
    if path[0] not in known or not all(path):
        raise _NoPlaceError("is no setting")
    tables = document.get(path[0])
    if not named_of(known[path[0]].type) or not isinstance(tables, dict):
        return path
    same = [name for name in tables if str(name).replace("-", "_") == path[1].replace("-", "_")]
    if len(same) > 1:
        names = " and ".join(f"`{name}`" for name in sorted(same))
        raise _NoPlaceError(f"could mean {names}")
    return (path[0], str(same[0]), *path[2:]) if same else path


def _put(document: dict[str, object], path: tuple[str, ...], text: str) -> None:
    table = document
    for depth, key in enumerate(path[:-1], start=1):
        below = table.setdefault(key, {})
        if not isinstance(below, dict):
            raise _NoPlaceError(f"`{dotted(path[:depth])}` is no table")
        table = below
    table[path[-1]] = text


def _hint(path: tuple[str, ...]) -> str:
    known = [item.name for item in settings_of(Config)]
    return "" if path[0] in known else did_you_mean(path[0], known)


def near_misses(environ: Mapping[str, str], *, in_use: Collection[str]) -> list[Problem]:
    """Warn of variables that look like a misspelt setting and are none.

    ``in_use`` are the variables that secrets are read from.
    """
    names = list(setting_names())
    ours = {variable for variable, _ in _variables(environ)} | {FILE_VARIABLE, *in_use}
    warnings = []
    for variable in sorted(set(environ) - ours):
        near = difflib.get_close_matches(variable, names, n=1, cutoff=0.93)
        if variable.startswith(PREFIX) and near:
            warnings.append(
                Problem(
                    path="",
                    message="is not a setting and was ignored",
                    hint=f"Did you mean `{near[0]}`?",
                    where=variable,
                )
            )
    return warnings


def setting_names() -> Iterator[str]:
    """Name the variable of each setting outside sources and destinations."""
    for item in settings_of(Config):
        table = as_table(item.type)
        if table is not None:
            yield from (variable_name(item.name, key.name) for key in settings_of(table))
        elif not named_of(item.type):
            yield variable_name(item.name)


def variable_name(*path: str) -> str:
    """Name the variable that overrides a key."""
    return PREFIX + SEPARATOR.join(path).upper().replace("-", "_")

"""Writes the configuration reference from the types, so that it cannot say anything else.

``python -m streamer.config.reference`` rewrites ``docs/configuration.md``; a
test fails when the committed file is another.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from streamer.config.environment import variable_name
from streamer.config.model import Config
from streamer.config.settings import (
    Setting,
    as_table,
    bounds,
    element_of,
    named_of,
    number,
    setting,
    settings_of,
    variants_of,
)
from streamer.destinations.common_options import CommonOptions, Secret

DOCUMENT = Path("docs") / "configuration.md"

_INTRODUCTION = """\
# Configuration

<!-- Written by `python -m streamer.config.reference`; do not edit by hand. -->

streamer reads one TOML file: the one named with `--config`, else `$STREAMER_CONFIG`, else
`./streamer.toml`, else `/etc/streamer/streamer.toml`. Without any it listens on loopback, keeps its
data in `./streamer-data`, makes up a signing key for one source `customerio` (printed once, kept in
the data directory) and writes events to files.

`streamer init` writes a commented file to start from; `streamer check` reports everything that is
wrong at once. Unknown keys are errors. Relative paths are relative to the file they stand in, or to
the working directory when they come from the environment.

## Environment

`STREAMER_` and the key path in capitals, parted by two underscores, overrides the file:
`STREAMER_SERVER__BIND`, `STREAMER_DESTINATIONS__HOOK__URL`. A `-` in a name is written `_`. Lists
are parted by commas or written as JSON; tables of texts are written as JSON. A secret is moved to
another place with one more part, as in `STREAMER_ADMIN__TOKEN__FILE`.

## Reload and restart

`SIGHUP` reads the file again. If anything in it is wrong, the running configuration stays. What is
marked *restart* below is taken over at the next start only. So is a secret whose place becomes a
credential or an environment variable: both are fixed for the life of a process.

## Secrets

A secret never stands in the file. Its setting is a table with exactly one of these keys, such as
`{ credential = "hook-key" }`. One line break at the end of its value is ignored.
"""

_NAMES = """\
Names of sources and destinations have up to 63 of `a-z`, `0-9`, `-` and `_`, and begin with a
letter or digit.
"""


def render() -> str:
    """Return the whole page."""
    return "\n".join(_sections()).rstrip("\n") + "\n"


def _sections() -> Iterator[str]:
    yield _INTRODUCTION
    yield _table(settings_of(Secret))
    yield "## Top level\n"
    yield _table([item for item in settings_of(Config) if item.type is str], prefix=())
    for item in settings_of(Config):
        table, named = as_table(item.type), named_of(item.type)
        if table is not None:
            yield f"## `[{item.name}]`\n\n{_doc(table)}\n"
            yield _table(settings_of(table), prefix=(item.name,))
        elif named is not None:
            yield from _named_section(item.name, named)


def _named_section(name: str, kinds: object) -> Iterator[str]:
    yield f"## `[{name}.NAME]`\n\n{_NAMES}"
    common: tuple[Setting, ...] = ()
    if name == "destinations":
        common = settings_of(CommonOptions)
        yield f"### Every kind\n\n{_doc(CommonOptions)}\n"
        yield _table(common)
        yield from _subtables(common)
    for kind, table in variants_of(kinds).items():
        own = [item for item in settings_of(table) if item not in common]
        yield f'### `kind = "{kind}"`\n\n{_doc(table)}\n'
        yield _table(own) if own else "No settings of its own.\n"
        yield from _subtables(own)


def _subtables(items: Iterable[Setting]) -> Iterator[str]:
    for item in items:
        table = as_table(element_of(item.type) or item.type)
        if table not in {None, Secret}:
            assert table is not None
            yield f"#### `{item.name}`\n\n{_doc(table)}\n"
            yield _table(settings_of(table))


def _doc(table: type[msgspec.Struct]) -> str:
    return inspect.cleandoc(table.__doc__ or "").replace("``", "`")


def _table(items: Iterable[Setting], prefix: tuple[str, ...] | None = None) -> str:
    """Draw the keys of a table; with ``prefix``, name the variable of each of them too."""
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for item in items:
        key = f"`{item.name}`"
        if prefix is not None:
            key += f"<br>`{variable_name(*prefix, item.name)}`"
        meaning = item.description + (" *Restart.*" if item.restart else "")
        lines.append(f"| {key} | {_type(item)} | {_default(item)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _type(item: Setting) -> str:
    if item.type is Secret:
        return "secret"
    if typing.get_origin(item.type) is typing.Literal:
        return ", ".join(f'`"{choice}"`' for choice in typing.get_args(item.type))
    if (element := element_of(item.type)) is not None:
        return f"list of {_type(setting(element))}s"
    if typing.get_origin(item.type) is dict:
        return "table of texts"
    if as_table(item.type):
        return "table"
    noun = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    return f"{noun[typing.cast('type', item.type)]} {bounds(item)}".rstrip()


def _default(item: Setting) -> str:
    if item.required:
        return "*required*"
    value = item.default
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, msgspec.Struct) or value == {}:
        return "empty"
    return f"`{msgspec.json.encode(value).decode()}`"


if __name__ == "__main__":
    DOCUMENT.write_text(render())

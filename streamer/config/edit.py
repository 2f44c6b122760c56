"""Writes settings into a configuration file and leaves everything else as people wrote it.

Comments, order, quoting and line ends stay. A key that is there changes in its
place; a new one goes below the last of its table, or below the comment that
shows it, as the file of ``streamer init`` does; a new table goes to the end of
the file. What would come out is read again before it is written: it must say
what the file said before, with these changes and no other, or nothing happens.

The file is replaced in one step, so that nobody ever reads a half of it. It must
not know what a setting means; `streamer.config.load` says whether it is right.
"""

from __future__ import annotations

import copy
import stat
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Comment, InlineTable, Item, Key, Table

from streamer.config.locate import Lines
from streamer.config.problems import ConfigurationErrors, KeyPath, Problem, dotted
from streamer.config.toml_file import TomlFile, read_toml
from streamer.core.errors import ConfigurationError, StreamerError
from streamer.disk import replace_file

TablePath = tuple[str, ...]
Body = list[tuple[Key | None, Item]]


def set_table(
    file: Path,
    path: tuple[str, ...],
    values: Mapping[str, object],
    *,
    remove: Collection[str] = (),
) -> bool:
    """Set keys of the table at ``path``, which is made if missing; say whether anything changed.

    ``values`` may hold dictionaries, which become inline tables, and lists; a key that has its
    value already is left as it is written. Keys in ``remove`` are taken out. An empty ``path``
    means the top of the file.

    Raises:
        ConfigurationErrors: the file is missing or no TOML, or what is at ``path`` is no table.
        StreamerError: the file cannot be written, or not without changing more than was asked for.
    """
    before = read_toml(file)
    _require_tables(before, path)
    expected = _expected(before.tables, path, values, remove)
    if _same(before.tables, expected):
        return False
    text = _edited(before.text, path, values, remove)
    if not _says(text, expected):
        where = f"[{dotted(path)}]" if path else "the top"
        keys = ", ".join(sorted({*values, *remove}))
        raise ConfigurationError(
            f"{file} is written in a way that cannot be changed without risk",
            hint=f"Change it by hand, in {where}: {keys}.",
        )
    _replace(file.resolve(), text.encode())
    return True


def _require_tables(before: TomlFile, path: TablePath) -> None:
    """Refuse a path that leads through something other than a table."""
    there: object = before.tables
    for depth, name in enumerate(path, start=1):
        if not isinstance(there, dict) or name not in there:
            return
        there = there[name]
        if not isinstance(there, dict):
            place: KeyPath = path[:depth]
            line = Lines(before.text).line_of(place)
            raise ConfigurationErrors(
                [
                    Problem(
                        path=dotted(place),
                        message="is not a table",
                        where=f"{before.path}:{line}" if line else str(before.path),
                    )
                ],
                path=before.path,
            )


def _expected(
    tables: Mapping[str, object],
    path: TablePath,
    values: Mapping[str, object],
    remove: Collection[str],
) -> dict[str, object]:
    """Return the document as it is to be read afterwards."""
    document: dict[str, Any] = copy.deepcopy(dict(tables))
    table = document
    if not values and not _at(document, path):
        return document  # nothing is taken out of a table that is not there
    for name in path:
        table = table.setdefault(name, {})
    for key in remove:
        table.pop(key, None)
    table.update(copy.deepcopy(dict(values)))
    return document


def _at(document: Mapping[str, Any], path: TablePath) -> Any:  # noqa: ANN401 - whatever is there
    there: Any = document
    for name in path:
        there = there.get(name, {})
    return there


def _same(one: object, other: object) -> bool:
    """Compare as TOML does: ``1``, ``1.0`` and ``true`` are three values, ``nan`` is itself."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and (one == other or repr(one) == repr(other))


def _says(text: str, expected: Mapping[str, object]) -> bool:
    try:
        return _same(tomllib.loads(text), expected)
    except (ValueError, RecursionError):
        return False


def _edited(
    text: str, path: TablePath, values: Mapping[str, object], remove: Collection[str]
) -> str:
    """Return the text with the changes, as far as they can be made."""
    ending = "\r\n" if "\r\n" in text else "\n"
    if text and not text.endswith("\n"):
        text += ending
    try:
        document = tomlkit.parse(text)
        fragments = list(_fragments(document, path))
        for key in remove:
            for fragment in _holding(fragments, key):
                del fragment[key]
        added: dict[str, object] = {}
        for key, value in values.items():
            holding = _holding(fragments, key)
            if not holding:
                added[key] = value
            elif not _same(holding[0][key].unwrap(), value):
                holding[0][key] = _item(value)
        appended = _add(document, fragments, path, added, ending) if added else ""
        return tomlkit.dumps(document) + appended
    except (TOMLKitError, RecursionError, ValueError, TypeError, KeyError):
        return text  # which does not say what is expected


Fragment = Any
"""A part of a document that holds keys of one table: tomlkit has no common type for them."""


def _fragments(container: Fragment, path: TablePath) -> Iterator[Fragment]:
    """Find every place of the file where something stands about the table at ``path``."""
    if not path:
        yield container
        return
    for key, item in _body(container):
        if key is not None and key.key == path[0] and isinstance(item, Table | InlineTable):
            yield from _fragments(item, path[1:])


def _takes_keys(fragment: Fragment) -> bool:
    """Tell whether keys can be added: not where only the header of a table below it stands."""
    if not isinstance(fragment, Table) or not fragment.is_super_table():
        return True
    return any(key is not None and key.is_dotted() for key, _ in _body(fragment)) or any(
        key is not None and not isinstance(item, Table | AoT) for key, item in _body(fragment)
    )


def _body(container: Fragment) -> Body:
    inner = container if isinstance(container, Container) else container.value
    return inner.body


def _holding(fragments: Sequence[Fragment], key: str) -> list[Fragment]:
    return [fragment for fragment in fragments if key in fragment]


def _add(
    document: Fragment,
    fragments: Sequence[Fragment],
    path: TablePath,
    values: Mapping[str, object],
    ending: str,
) -> str:
    """Add keys that the table lacks, in the document or as text to go behind it."""
    for fragment in fragments:
        if _takes_keys(fragment):
            for key, value in values.items():
                _add_key(fragment, key, value, ending)
            return ""
    for depth in range(len(path) - 1, 0, -1):
        for fragment in _fragments(document, path[:depth]):
            if isinstance(fragment, InlineTable):  # which no header can add to
                fragment[path[depth]] = _item(_nested(path[depth + 1 :], values))
                return ""
    return _as_new_table(path, values).replace("\n", ending)


def _nested(path: TablePath, values: Mapping[str, object]) -> Mapping[str, object]:
    for name in reversed(path):
        values = {name: values}
    return values


def _add_key(fragment: Fragment, key: str, value: object, ending: str) -> None:
    item = _item(value)
    fragment.add(key, item)
    if isinstance(fragment, InlineTable):
        return
    item.trivia.trail = ending
    body = _body(fragment)
    now = next(place for place, (name, _) in enumerate(body) if name and name.key == key)
    new = body.pop(now)
    body.insert(_place_for(key, body), new)


def _place_for(key: str, body: Body) -> int:
    """Return where in a table a new key is to stand: never below what belongs to the next one."""
    own = next(
        (
            place
            for place, (name, item) in enumerate(body)
            if isinstance(item, Table | AoT) and name is not None and not name.is_dotted()
        ),
        len(body),
    )
    place = 0
    for index, (name, item) in enumerate(body[:own]):
        if isinstance(item, Comment) and _shows(key, item):
            return index + 1
        if name is not None:
            place = index + 1
    while place < own and isinstance(body[place][1], Comment):
        place += 1
    return place


def _shows(key: str, comment: Comment) -> bool:
    """Tell whether a comment is the key's own line, commented out."""
    text = comment.as_string().strip().removeprefix("#")
    return text.startswith(key) and text.removeprefix(key).lstrip().startswith("=")


def _as_new_table(path: TablePath, values: Mapping[str, object]) -> str:
    lines = [f"{_name(key)} = {_written(value)}" for key, value in values.items()]
    return "\n".join(["", f"[{'.'.join(map(_name, path))}]", *lines, ""])


def _item(value: object) -> Item:
    """Make a value as it is written: what has parts stands on one line."""
    return tomlkit.value(_written(value))


def _written(value: object) -> str:
    if isinstance(value, Mapping):
        members = (f"{_name(key)} = {_written(member)}" for key, member in value.items())
        return f"{{ {', '.join(members)} }}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return tomlkit.item(value).as_string()


def _name(key: str) -> str:
    return tomlkit.key(key).as_string().strip()


def _replace(path: Path, content: bytes) -> None:
    """Put new content in a file's place, with the mode and the owner of the old."""
    try:
        old = path.stat()
        replace_file(path, content, mode=stat.S_IMODE(old.st_mode), owner=old)
    except OSError as error:
        raise StreamerError(
            f"{path} cannot be written: {error.strerror}",
            hint="Run the command as the file's owner, or as root.",
        ) from error

"""Finds the configuration, reads it and checks all of it.

The file named on the command line wins, then ``$STREAMER_CONFIG``, then the
first that exists of `SEARCH`; without any the built-in default is used, which
needs nothing. The environment then overrides single keys. Relative paths are
relative to the file that they stand in, or to the working directory when they
come from the environment or the default. Secrets are not read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from streamer.config import environment
from streamer.config.default import default_document
from streamer.config.locate import Lines
from streamer.config.model import Config
from streamer.config.problems import ConfigurationErrors, KeyPath, Problem
from streamer.config.toml_file import MissingFileError, read_toml
from streamer.config.walk import Walk

SEARCH = (Path("streamer.toml"), Path("/etc/streamer/streamer.toml"))
"""Looked at in this order when no file is named."""

Origin = Literal["argument", "environment", "search", "default"]
"""How the file was found; ``default`` when there is none."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that is right, and where it came from."""

    config: Config
    origin: Origin
    path: Path | None
    """The file, absolute; None for the built-in default."""
    warnings: list[Problem]
    """What is allowed and probably not meant."""


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document before it is checked."""

    tables: dict[str, object]
    base: Path
    origin: Origin
    path: Path | None = None
    text: str = ""


def load(
    file: Path | None,
    *,
    environ: Mapping[str, str],
    working_directory: Path,
    search: Sequence[Path] = SEARCH,
) -> Loaded:
    """Load the configuration, from ``file`` if one is named.

    Raises:
        ConfigurationErrors: With everything that is wrong.
    """
    document = _read(file, environ=environ, working_directory=working_directory, search=search)
    overrides, misplaced = environment.overlay(document.tables, environ)
    walk = Walk(
        overrides=overrides, file_base=document.base, environment_base=working_directory.absolute()
    )
    config = walk.config(document.tables)
    if config is None or misplaced:
        raise ConfigurationErrors(
            [*misplaced, *_located(walk.problems, document)],
            subject=_subject(document),
            path=document.path,
        )
    warnings = [
        *_located(walk.warnings, document),
        *environment.near_misses(environ, in_use=walk.secret_variables),
    ]
    return Loaded(config=config, origin=document.origin, path=document.path, warnings=warnings)


def _read(
    file: Path | None,
    *,
    environ: Mapping[str, str],
    working_directory: Path,
    search: Sequence[Path],
) -> _Document:
    named = environ.get(environment.FILE_VARIABLE)
    if file is not None:
        return _parsed((working_directory / file).absolute(), "argument")
    if named:
        return _parsed((working_directory / named).absolute(), "environment")
    for candidate in search:
        path = (working_directory / candidate).absolute()
        try:
            return _parsed(path, "search")
        except MissingFileError:
            continue
    data_dir = environ.get(environment.variable_name("data_dir")) or "streamer-data"
    base = working_directory.absolute()
    return _Document(tables=default_document(base / data_dir), base=base, origin="default")


def _parsed(path: Path, origin: Origin) -> _Document:
    file = read_toml(path)
    return _Document(tables=file.tables, base=path.parent, origin=origin, path=path, text=file.text)


def _located(found: Sequence[tuple[KeyPath, Problem]], document: _Document) -> list[Problem]:
    """Add the file's line to the problems that did not come from the environment, in that order."""
    lines = Lines(document.text)
    found = sorted(found, key=lambda entry: lines.line_of(entry[0]) or 0)
    return [
        problem
        if problem.where
        else msgspec.structs.replace(problem, where=_place(path, lines, document))
        for path, problem in found
    ]


def _place(path: KeyPath, lines: Lines, document: _Document) -> str:
    line = lines.line_of(path)
    if document.path is None:
        return ""
    return f"{document.path}:{line}" if line else str(document.path)


def _subject(document: _Document) -> str:
    return str(document.path) if document.path else "the built-in configuration"

"""One TOML file, read whole, and what is wrong with it said with its place.

Reading is bounded, and everything that can be wrong with a file as such, from a
missing one to a bracket too few, becomes a `ConfigurationErrors`. What the
settings in it mean is not known here.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from streamer.config.problems import ConfigurationErrors, Problem
from streamer.core.limits import CONFIG_FILE_BYTES_MAX


class TomlFile(msgspec.Struct, frozen=True):
    """A file and what it says."""

    path: Path
    text: str
    tables: dict[str, object]


class MissingFileError(ConfigurationErrors):
    """There is no such file."""


def read_toml(path: Path) -> TomlFile:
    """Read a file.

    Raises:
        MissingFileError: There is none.
        ConfigurationErrors: It cannot be read, or is not TOML.
    """
    text = _text_of(path)
    try:
        return TomlFile(path, text, tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        raise _syntax_error(path, error) from None


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_FILE_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        missing = _file_problem(path, "does not exist", "`streamer init` writes one.")
        raise MissingFileError([missing], path=path) from None
    except OSError as error:
        raise _unusable(
            path,
            path,
            f"cannot be read: {error.strerror}",
            "Run the command as the service's user, or name another file with `--config`.",
        ) from error
    if len(content) > CONFIG_FILE_BYTES_MAX:
        raise _unusable(path, path, "is larger than a configuration can be")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unusable(path, f"{path}:{line}", "is not UTF-8 text") from None


def _unusable(path: Path, where: Path | str, message: str, hint: str = "") -> ConfigurationErrors:
    return ConfigurationErrors([_file_problem(where, message, hint)], path=path)


def _file_problem(where: Path | str, message: str, hint: str = "") -> Problem:
    return Problem(path="", message=message, hint=hint, where=str(where))


def _syntax_error(path: Path, error: Exception) -> ConfigurationErrors:
    """Turn tomllib's complaint, which ends in its place, into a problem with that place."""
    message, where = str(error), str(path)
    if isinstance(error, RecursionError):
        message = "nested too deeply"
    elif "set_int_max_str_digits" in message:  # Python's own limit, which is none of TOML
        message = "a number has thousands of digits"
    if place := re.search(r" \(at line (\d+), column (\d+)\)$", message):
        message, where = message[: place.start()], f"{path}:{place[1]}:{place[2]}"
    return _unusable(path, where, f"not valid TOML: {message}")

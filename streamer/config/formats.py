"""The forms that a text can have beyond being a text, by the name that the model marks them with.

Each check raises ValueError with what the text must be, without repeating it.
Paths are no check but a change: see `absolute`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamer.config.address import check_url, is_host, parse_bind
from streamer.config.start import parse_start
from streamer.core.privacy import validate_path

PATH = "path"


def check(form: str, text: str) -> None:
    """Raise ValueError unless a text has the named form."""
    if not text:
        raise ValueError("must not be empty")
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    _CHECKS[form](text)


def absolute(text: str, base: Path) -> str:
    """Make a path absolute: below the directory of whatever it was written in."""
    return str((base / text).absolute())


def _check_path(_text: str) -> None:
    """Any text that is not empty can be a path."""


def _check_bind(text: str) -> None:
    parse_bind(text)


def _check_start(text: str) -> None:
    parse_start(text)


def _check_event_types(text: str) -> None:
    if not text.isprintable() or " " in text:
        raise ValueError("must be a pattern such as `email.*`, without blanks")


def _check_field_path(text: str) -> None:
    complaint = validate_path(text)
    if complaint is not None:
        raise ValueError(f"can never match: {complaint}")


def _check_host(text: str) -> None:
    if not is_host(text):
        raise ValueError("must be a host name alone, without scheme, port or path")


_CHECKS: dict[str, Callable[[str], None]] = {
    PATH: _check_path,
    "bind": _check_bind,
    "event_types": _check_event_types,
    "field_path": _check_field_path,
    "host": _check_host,
    "start": _check_start,
    "url": check_url,
}

"""The two keys of a webhook: taken from a file, a variable or a person.

What a person types is never shown. It must not know what a key is for.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from pathlib import Path

from streamer.config.secrets import CREDENTIALS_DIRECTORY, resolve
from streamer.core.errors import ConfigurationError, UsageError
from streamer.destinations.common_options import Secret

APP_API_KEY_VARIABLE = "STREAMER_CUSTOMERIO_APP_API_KEY"
SIGNING_KEY_VARIABLE = "STREAMER_CUSTOMERIO_SIGNING_KEY"


def given(file: Path | None, variable: str, environ: Mapping[str, str]) -> str | None:
    """Return the key in a file that was named, or in a variable that is set."""
    if file is not None:
        return _clean(resolve(Secret(file=str(file.absolute())), environ), str(file))
    if environ.get(variable):
        return _clean(environ[variable], variable)
    return None


def prompt(question: str) -> str | None:
    """Ask a person, without showing what is typed; None when nobody is there or nothing typed."""
    if not sys.stdin.isatty():
        return None
    try:
        typed = getpass.getpass(f"{question}: ")
    except EOFError:
        return None
    return _clean(typed, "what was typed") if typed.strip() else None


def configured(secret: Secret | None, environ: Mapping[str, str]) -> str | None:
    """Return the key that a setting points at; None when there is none, or none to be seen."""
    try:
        return None if secret is None else resolve(secret, environ)
    except ConfigurationError:
        return None


def place_of(secret: Secret, environ: Mapping[str, str]) -> Path | None:
    """Return the file in which a setting's key is kept; None when that is not known here."""
    if secret.file is not None:
        return Path(secret.file)
    directory = environ.get(CREDENTIALS_DIRECTORY)
    if secret.credential is not None and directory:
        return Path(directory) / secret.credential
    return None


def _clean(text: str, where: str) -> str:
    key = text.strip()
    if not key or len(key.split()) > 1 or not key.isprintable():
        raise UsageError(f"{where} is no key", hint="A key is one word, on one line.")
    return key

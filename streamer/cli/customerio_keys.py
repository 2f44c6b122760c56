"""The two keys of a webhook: taken from a file, a variable or a person, and kept in files.

What a person types is never shown, and what is kept is readable for its owner
alone. It must not know what a key is for.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from streamer.config.secrets import CREDENTIALS_DIRECTORY, resolve
from streamer.core.errors import ConfigurationError, StreamerError, UsageError
from streamer.destinations.common_options import Secret
from streamer.disk import make_directory, sync_directory

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


def keep(path: Path, key: str) -> None:
    """Write a key to a file of its own, whole or not at all, for its owner alone.

    What root writes belongs to whom the directory belongs: the service has to read it.
    """
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        make_directory(path.parent)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
                file.write(key + "\n")
                file.flush()
                owner = path.parent.stat()
                if os.geteuid() == 0 and owner.st_uid != 0:
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
                os.fsync(descriptor)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise StreamerError(
            f"{path} cannot be written: {error.strerror}",
            hint="Run the command as the user that streamer runs as, or as root.",
        ) from error


def _clean(text: str, where: str) -> str:
    key = text.strip()
    if not key or len(key.split()) > 1 or not key.isprintable():
        raise UsageError(f"{where} is no key", hint="A key is one word, on one line.")
    return key

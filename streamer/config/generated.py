"""Secrets that streamer makes up itself, so that a first start needs no account.

Each is a file in the data directory with mode 0600. It appears whole or not
at all, and of several processes that start at once all get the same one. Once
made it is never changed: delete the file to have another.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from streamer.core.errors import ConfigurationError
from streamer.core.limits import SECRET_BYTES_MAX
from streamer.disk import create_file, make_directory

SIGNING_KEY_FILE = "signing-key"
ADMIN_TOKEN_FILE = "admin-token"  # noqa: S105 - the name of a file

_KEY_BYTES = 32
"""As long as the digest that the key is used for; Customer.io's keys have the same length."""


def ensure_generated_key(data_dir: Path) -> tuple[str, bool]:
    """Return the signing key of the default configuration, and whether it was made just now."""
    return _ensure(data_dir / SIGNING_KEY_FILE)


def ensure_admin_token(data_dir: Path) -> tuple[str, bool]:
    """Return the admin API's token when none is configured, and whether it was made just now."""
    return _ensure(data_dir / ADMIN_TOKEN_FILE)


def _ensure(path: Path) -> tuple[str, bool]:
    try:
        make_directory(path.parent)
        existing = _read(path)
        return (existing, False) if existing is not None else _create(path)
    except OSError as error:
        raise ConfigurationError(
            f"The file {path} can be neither read nor made: {error.strerror}.",
            hint="Let the data directory belong to the user that streamer runs as.",
        ) from error


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            content = file.read(SECRET_BYTES_MAX).decode("ascii").strip()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        content = ""
    if not content:
        raise ConfigurationError(
            f"The file {path} holds no key.", hint="Delete it and another is made."
        )
    return content


def _create(path: Path) -> tuple[str, bool]:
    """Write a fresh key, unless another process was quicker; return the one that is there now."""
    key = os.urandom(_KEY_BYTES).hex()
    with contextlib.suppress(FileExistsError):
        create_file(path, f"{key}\n".encode())
    kept = _read(path)
    assert kept is not None
    return kept, kept == key

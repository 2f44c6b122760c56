"""Keeps a secret that somebody gave, in a file of its own for its owner alone.

It appears whole or not at all. It must not know what the secret is for.
"""

from __future__ import annotations

import os
from pathlib import Path

from streamer.core.errors import StreamerError
from streamer.disk import make_directory, replace_file


def keep_secret(path: Path, value: str) -> None:
    """Write a secret to a file, in place of what was there.

    What root writes belongs to whom the directory belongs: the service has to read it.

    Raises:
        StreamerError: it cannot be written here, or not by this user.
    """
    try:
        make_directory(path.parent)
        owner = path.parent.stat() if os.geteuid() == 0 else None
        replace_file(path, f"{value}\n".encode(), owner=owner)
    except OSError as error:
        raise StreamerError(
            f"{path} cannot be written: {error.strerror}",
            hint="Run the command as the user that streamer runs as, or as root.",
        ) from error

"""The claim on a directory: a small file in it that says who writes there.

A path does not name a directory for good: a disk is mounted over it, another
one is put in its place, the setting is changed. Whoever begins to write in a
directory therefore claims it, with a text that nobody else has, and remembers
that text. Finding it there again shows that this is the very directory,
wherever it was moved to; not finding it shows that somebody else's files may
be in it. A second claim takes the first one's place.

All of this blocks, and knows nothing of segments.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from streamer.disk import sync_directory

_CLAIM_BYTES = 16

_READ_BYTES_MAX = 256
"""Far more than a claim has, and nothing to be afraid of when somebody put another file there."""


def claim_path(directory: Path, name: str) -> Path:
    """Return the claim's file; its name is hidden, so that ``*`` names events only."""
    return directory / f".{name}.claim"


def read_claim(directory: Path, name: str) -> str:
    """Return what the directory was claimed with last; empty when it never was. Raises OSError.

    Its time of change becomes the present: whoever deletes old segments by
    their age would take the claim with them.
    """
    try:
        file = os.open(claim_path(directory, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    try:
        # As new as what it stands for: who deletes old files must not hit it.
        with suppress(OSError):
            os.utime(file)
        return os.read(file, _READ_BYTES_MAX).decode("ascii", "replace").strip()
    finally:
        os.close(file)


def stake_claim(directory: Path, name: str) -> str:
    """Claim the directory, durably, and return with what. Raises OSError."""
    claim = secrets.token_hex(_CLAIM_BYTES)
    path = claim_path(directory, name)
    partial = path.with_name(f"{path.name}.tmp")
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    line = f"{claim}\n".encode()
    try:
        if os.pwrite(file, line, 0) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    finally:
        os.close(file)
    partial.rename(path)
    sync_directory(directory)
    return claim

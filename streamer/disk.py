"""Directories and syncing, so that what was made stays made after a power loss.

A new file or directory is an entry in the directory above it, and is there for
good only when that one was synced too. All of this blocks. It knows nothing of
what is kept where.
"""

from __future__ import annotations

import os
from pathlib import Path


def make_directory(path: Path) -> None:
    """Make a directory and those above it that are missing, durably and for the owner alone.

    Each one that is made is synced into the one above it. Raises OSError.
    """
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Wait until a directory's entries are on the disk. Raises OSError."""
    _sync(path, os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Wait until what was written to a file, by whomever, is on the disk. Raises OSError."""
    _sync(path, 0)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Directories, whole files and syncing, so that what was made stays made after a power loss.

A new file or directory is an entry in the directory above it, and is there for
good only when that one was synced too. A file that others read is written as a
draft beside its place and put there in one step, so that nobody ever reads a
half of it. All of this blocks. It knows nothing of what is kept where.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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


def replace_file(
    path: Path, content: bytes, *, mode: int = 0o600, owner: os.stat_result | None = None
) -> None:
    """Put content in a file's place, durably: a reader meets all of the old or all of the new.

    The file belongs to whom ``owner`` says, or else to whoever runs this. Raises OSError, and
    then nothing was changed.
    """
    with _draft(path, content, mode=mode, owner=owner) as draft:
        draft.replace(path)
    sync_directory(path.parent)


def create_file(path: Path, content: bytes) -> None:
    """Write a file that is not there yet, durably, whole and for its owner alone.

    Raises FileExistsError if there is one, which is then durable too, and OSError.
    """
    try:
        with _draft(path, content, mode=0o600, owner=None) as draft:
            path.hardlink_to(draft)  # which, unlike renaming, never replaces a file
    finally:
        sync_directory(path.parent)


@contextmanager
def _draft(
    path: Path, content: bytes, *, mode: int, owner: os.stat_result | None
) -> Iterator[Path]:
    """Write a draft for the length of the block, unless it is put elsewhere in it."""
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - pathlib opens no descriptors
            file.write(content)
            file.flush()
            made = os.fstat(descriptor)
            if owner and (made.st_uid, made.st_gid) != (owner.st_uid, owner.st_gid):
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.fchmod(descriptor, mode)  # after the owner, whose change takes bits away
            os.fsync(descriptor)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

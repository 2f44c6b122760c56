"""Keeps account of what a power cut would take: files and directories changed and not synced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Identity = tuple[int, int]
"""The device and the inode."""


def watch_syncs(patch: pytest.MonkeyPatch) -> set[Identity]:
    """Return the set of what is not synced, which changes as the functions of `os` are called."""
    unsynced: set[Identity] = set()
    for name in ("pwrite", "ftruncate"):
        _after_looking_at_file(patch, name, unsynced.add)
    for name in ("fsync", "fdatasync"):
        _after_looking_at_file(patch, name, unsynced.discard)
    for name in ("open", "mkdir", "unlink", "rename"):
        _after_looking_at_directory(patch, name, unsynced.add)
    return unsynced


def _after_looking_at_file(
    patch: pytest.MonkeyPatch, name: str, look: Callable[[Identity], None]
) -> None:
    original = getattr(os, name)

    def call(file: int, *args: object) -> object:
        look(_identity(os.fstat(file)))
        return original(file, *args)

    patch.setattr(os, name, call)


def _after_looking_at_directory(
    patch: pytest.MonkeyPatch, name: str, look: Callable[[Identity], None]
) -> None:
    original = getattr(os, name)

    def call(path: str | Path, *args: object, **kwargs: object) -> object:
        if name != "open" or (isinstance(args[0], int) and args[0] & os.O_CREAT):
            look(_identity(Path(path).parent.stat()))
        return original(path, *args, **kwargs)

    patch.setattr(os, name, call)


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino

"""Who owns the data, and who else can read it.

The data directory's owner counts as the service's user. Files of another
owner are what a command run as root leaves behind, and what the service then
cannot open.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from streamer.cli.looks.finding import Finding, failed, ok, warning

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file or directory as far as permissions go."""

    path: Path
    owner: int
    mode: int


def entry_of(path: Path) -> Entry:
    """Look at one entry."""
    status = path.stat()
    return Entry(path=path, owner=status.st_uid, mode=stat.S_IMODE(status.st_mode))


def owner_of(directory: Path) -> int | None:
    """Return whose the data is; None while there is none."""
    try:
        return directory.stat().st_uid
    except OSError:
        return None


def user(directory: Path) -> list[Finding]:
    """Say so when the command runs as somebody who sees other things than the service does."""
    owner = owner_of(directory)
    if owner is None or owner == os.geteuid():
        return []
    name = name_of(owner)
    detail = f"this is {name_of(os.geteuid())}, the data belongs to {name}"
    hint = f"What follows may differ for the service: sudo -u {name} streamer doctor"
    return [warning("user", "the command does not run as the service's user", detail, hint)]


def data_files(directory: Path) -> list[Finding]:
    """Look at the data directory and what lies in it."""
    if not directory.exists():
        return []
    inside = sorted(path for path in directory.iterdir() if not path.is_symlink())
    return judge_entries(entry_of(directory), [entry_of(path) for path in inside])


def judge_entries(top: Entry, inside: Iterable[Entry]) -> list[Finding]:
    """Judge the data directory and its entries."""
    inside = list(inside)
    findings = []
    if top.mode & _OTHERS:
        findings.append(_judge_open_directory(top))
    findings += [
        failed(
            "permissions.owner",
            f"{entry.path.name} does not belong to the service's user",
            f"it belongs to {name_of(entry.owner)}",
            f"chown {name_of(top.owner)}: {entry.path}",
        )
        for entry in inside
        if entry.owner != top.owner
    ]
    findings += [
        warning(
            "permissions.file",
            f"{entry.path.name} is open to others",
            f"mode {entry.mode:04o}",
            f"chmod go= {entry.path}",
        )
        for entry in inside
        if entry.mode & _OTHERS
    ]
    return findings or [
        ok("permissions", "only the service's user can read the data", str(top.path))
    ]


def _judge_open_directory(top: Entry) -> Finding:
    writable = top.mode & (stat.S_IWGRP | stat.S_IWOTH)
    return (failed if writable else warning)(
        "permissions.directory",
        f"{top.path} is open to others",
        f"mode {top.mode:04o}",
        f"chmod 700 {top.path}",
    )


def name_of(uid: int) -> str:
    """Return a user's name, or the number of one without."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

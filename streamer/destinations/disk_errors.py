"""What an error of the disk means to whoever runs the service, and what to do about it.

Only what is known to have one cause has words of its own; of anything else the
system's words are handed on.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec


class Trouble(msgspec.Struct, frozen=True):
    """One error, in words."""

    reason: str
    """A short stable code, which ``docs/destinations.md`` lists."""
    what: str
    """What happened, without a full stop."""
    hint: str
    """What to do next, as a sentence."""


_FULL = ("disk_full", "Make room; delivery goes on by itself.")
_DENIED = ("permission_denied", "Let the service's user write there.")
_OBSTACLE = ("not_a_directory", "Move it away, or set another `directory`.")

_KNOWN = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: ("read_only", "Mount it for writing, or see to `ReadWritePaths` of the unit."),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EEXIST: _OBSTACLE,
    errno.ENOTDIR: _OBSTACLE,
    errno.ELOOP: (
        "symbolic_link",
        "Put the file itself there, or remove the link; then a new segment is begun.",
    ),
}
_UNKNOWN = ("disk_error", "Look at the kernel's log.")

# Where the system's own words say what it cannot do, and not what is wrong.
_OURS = {
    "not_a_directory": "it is in the way: a directory should be there",
    "symbolic_link": "it is a symbolic link, and nothing is written through one",
}


def explain(error: OSError, directory: Path) -> Trouble:
    """Say what an error means that was met in or on the way to ``directory``."""
    reason, hint = _KNOWN.get(error.errno or 0, _UNKNOWN)
    said = _OURS.get(reason) or error.strerror or type(error).__name__
    where = directory if error.filename is None else os.fsdecode(error.filename)
    return Trouble(reason, f"{where}: {said}", hint)

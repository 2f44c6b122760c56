"""The program's own exceptions: what happened, whose fault it is, what to do next.

A foreign exception (sqlite3, aiohttp, OSError) is turned into one of these at
the edge where it was met, with its cause kept; none of them leaves ``store/``
or ``destinations/``.
"""

from __future__ import annotations


class StreamerError(Exception):
    """Something that an operator can act on.

    ``hint`` is the next thing to do, as a sentence; ``exit_code`` is what a
    command answers when the error ends it.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigurationError(StreamerError):
    """The configuration is wrong: the operator's to mend, and a restart will not help."""

    exit_code = 78


class UsageError(StreamerError):
    """The command was called in a way that makes no sense."""

    exit_code = 2


class StoreError(StreamerError):
    """The database cannot do what was asked of it."""


class StoreBusy(StoreError):
    """Another process holds the database's write lock."""


class StoreDamaged(StoreError):
    """The database file, or the disk under it, is failing."""

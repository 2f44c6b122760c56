"""What one setting demands of another.

A table of settings carries its rules in ``RULES``, beside the settings they
speak of. A rule sees the values of the settings it names, and only once each
of them is right by itself, so one mistake is never reported twice.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Complaint(msgspec.Struct, frozen=True):
    """What a rule found."""

    key: str
    """The setting to change; empty when it is the table as a whole."""
    message: str
    hint: str = ""


class Rule(msgspec.Struct, frozen=True):
    """One demand between settings of one table."""

    keys: tuple[str, ...]
    check: Callable[..., Complaint | None]
    """Called with the values of ``keys``, in that order."""

"""What a mapping file may say of paths: those it writes to, takes away, and declares."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

TENANT = "_{tenant}"
"""Stands for the tenant's name with the underscore in front, so that a file suits any sandbox."""

REQUIRED = frozenset({"_id", "timestamp"})
"""Without them an event is none to Adobe."""

Fault = tuple[str, str]
"""What is wrong, and what to write instead."""

_PATH = re.compile(r"(?:_\{tenant\}|[A-Za-z_]\w*)(?:\.[A-Za-z_]\w*)*", re.ASCII)


def check_destination(path: str, fields: Mapping[str, str]) -> Fault | None:
    """Say what is wrong with a path that a rule writes to; ``fields`` are the file's own."""
    if path in fields:
        return None
    if not _PATH.fullmatch(path):
        return (
            "is no path",
            f"Write names with full stops between, such as `{TENANT}.customerio.x`.",
        )
    if path.partition(".")[0] == "identityMap":
        return (
            "is not written by rules",
            "Say in the destination's `identities` whom an event is about.",
        )
    return None


def check_removal(path: str, replaced: Collection[str]) -> Fault | None:
    """Say what is wrong with a path whose built-in rules go; ``replaced`` have a rule instead."""
    if path in REQUIRED and path not in replaced:
        return f"`{path}` cannot be done without", "Give it another rule instead."
    return None


def check_field(path: str, kind: str) -> Fault | None:
    """Say what is wrong with a field that a file declares."""
    return None

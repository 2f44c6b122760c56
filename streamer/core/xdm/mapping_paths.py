"""What a mapping file may say of paths: those it writes to, takes away, and declares.

Adobe refuses what its schema does not have, long after it has accepted it; so a path that no
schema of ours can have is a mistake of the file, and is told before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from streamer.core.xdm.fields import (
    CONSENT_GROUPS,
    EVENT_GROUPS,
    Field,
    fields_of,
    find_field,
    near_path,
)
from streamer.core.xdm.tenant_group import PREFIX, check_extra_field

REQUIRED = frozenset({"_id", "timestamp", "extSourceSystemAudit.lastUpdatedDate"})
"""Without them Adobe refuses the whole entity."""

Fault = tuple[str, str]
"""What is wrong, and what to write instead."""

_PATH = re.compile(r"(?:_\{tenant\}|[A-Za-z_]\w*)(?:\.\w[\w-]*)*", re.ASCII)
_OF_A_TENANT = re.compile(r"_[^.{]+\.customerio\.", re.ASCII)
_TOPICS = "consents.marketing.email.subscriptions."
"""The setting ``topics`` says which fields there are below it."""


def check_destination(path: str, fields: Collection[str]) -> Fault | None:
    """Say what is wrong with a path that a rule writes to; ``fields`` are the file's own."""
    if path in fields or find_field(path) is not None or path.startswith(_TOPICS):
        return None
    if path.partition(".")[0] == "identityMap":
        return (
            "is not written by rules",
            "Say in the destination's `identities` whom an event is about.",
        )
    if not _PATH.fullmatch(path):
        return "is no path", f"Write names with full stops between, such as `{PREFIX}href`."
    if _OF_A_TENANT.match(path):
        own = _OF_A_TENANT.sub(lambda _: PREFIX, path, count=1)
        return "names a tenant", f"Write `{own}`; the destination says which tenant."
    return "is not in the schema", _instead(path, fields)


def _instead(path: str, fields: Collection[str]) -> str:
    near = near_path(path, fields)
    meant = f"Did you mean `{near}`?" if near else ""
    if path.startswith(PREFIX):
        return f'{meant} To add it, write `"{path}" = "text"` below `[fields]`.'.strip()
    return meant or "docs/mapping.md lists the paths; your own lie below " + f"`{PREFIX[:-1]}`."


def check_constant(path: str, value: object, fields: Mapping[str, str]) -> Fault | None:
    """Say why a value can never stand at a path that is right."""
    kind = fields.get(path)
    field = find_field(path) if kind is None else Field(path=path, kind=kind)  # type: ignore[arg-type]  # one of the kinds, by `check_field`
    if field is None or field.fit()(value) is not None:
        return None
    return f"does not fit `{path}`", f"It takes {_said(field)}."


def _said(field: Field) -> str:
    if field.values:
        return "one of " + ", ".join(field.values)
    return f"a value of the kind `{field.kind}`"


def check_removal(path: str, replaced: Collection[str]) -> Fault | None:
    """Say what is wrong with a path whose built-in rules go; ``replaced`` have a rule instead."""
    if path in REQUIRED and path not in replaced:
        return f"`{path}` cannot be done without", "Give it another rule instead."
    every = fields_of((*EVENT_GROUPS, *CONSENT_GROUPS), {})
    if path.startswith(_TOPICS) or any(f"{known}.".startswith(f"{path}.") for known in every):
        return None
    near = near_path(path)
    return f"`{path}` is not in the schema", f"Did you mean `{near}`?" if near else ""


def check_field(path: str, kind: str, others: Collection[str]) -> Fault | None:
    """Say what is wrong with a field that a file declares beside others."""
    if problem := check_extra_field(path, kind):
        return problem, f'Write such as `"{PREFIX}region" = "text"`.'
    for other in others:
        if other.startswith(f"{path}.") or path.startswith(f"{other}."):
            return f"cannot be beside `{other}`", "One of them would be a value and an object."
    return None

"""What schemas and mappings are made of, for one organisation.

The field groups are those that the mapping writes to, so that an entity never
has a path that its schema lacks. Two of Adobe's groups are not offered to
every organisation; the mapping can do without them, and then leaves out what
it would write there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from streamer.core.errors import StreamerError
from streamer.core.xdm import builtin
from streamer.core.xdm.fields import FieldGroup, field_groups, fields_of, in_tenants_name
from streamer.core.xdm.rule import Rule
from streamer.core.xdm.settings import MappingSettings
from streamer.core.xdm.tenant_group import PREFIX, tenant_group_schema
from streamer.provision.aep_plan import Content
from streamer.provision.aep_platform import Platform
from streamer.provision.aep_registry import missing_groups

OFFLINE_TENANT = "TENANT"
"""Stands for the tenant's name when nobody is asked for it."""

_PATH = re.compile(r"[A-Za-z$_][\w$]*(\.[A-Za-z$_][\w$]*)*")
_OURS = re.compile(r"\bstreamer\.")

_STRUCTURED = frozenset({"recipients", "headers"})
"""Fields whose source is an object or a list of them. We rename what is inside, or write it as
text; a line of a mapping set does neither, and what does not fit is null."""

_FIXED_MAPPINGS = {
    "_id": "event_id",
    "timestamp": """dformat(timestamp * 1000, "yyyy-MM-dd'T'HH:mm:ss'Z'")""",
    "eventType": 'concat("customerio.", object_type, ".", metric)',
}
"""What an ExperienceEvent needs, in Data Prep's language: seconds become a time."""


class Discovered(msgspec.Struct, frozen=True, kw_only=True):
    """What the organisation's schemas can have."""

    content: Content
    left_out: list[str]
    """Titles of the optional field groups that are not offered."""

    @property
    def email_details(self) -> bool:
        """Tell whether the mapping can write the details of clicks and bounces."""
        return not self.left_out


async def discover(
    platform: Platform | None,
    *,
    tenant: str,
    journey_optimizer: bool,
    consent: bool,
    extra_fields: Mapping[str, str],
) -> Discovered:
    """Find out which field groups there are; without a platform, all are taken to be there.

    Raises:
        StreamerError: a field group that cannot be done without is not offered.
    """
    settings = MappingSettings(tenant=tenant, journey_optimizer=journey_optimizer)
    wanted = [group for group in field_groups(settings)[1:] if group.id]
    consents = field_groups(msgspec.structs.replace(settings, produces="consent"))[1:]
    asked = [group.id for group in [*wanted, *(consents if consent else ())]]
    missing = set(await missing_groups(platform, asked)) if platform is not None else set()
    _require([*wanted, *consents], missing)
    schema = tenant_group_schema(tenant, extra_fields)
    content = Content(
        groups=[group.id for group in wanted if group.id not in missing],
        consent_groups=[group.id for group in consents],
        fields=schema["definitions"]["customFields"]["properties"],
        mappings=mappings_of(builtin.rules(settings), tenant),
    )
    return Discovered(
        content=content, left_out=[group.title for group in wanted if group.id in missing]
    )


def _require(groups: Iterable[FieldGroup], missing: set[str]) -> None:
    lacking = [group for group in groups if group.id in missing and group.need != "email_details"]
    if not lacking:
        return
    needs_optimizer = any(group.need == "journey_optimizer" for group in lacking)
    raise StreamerError(
        "the organisation is not offered the field group "
        + ", ".join(f"{group.title} ({group.id})" for group in lacking),
        hint="Leave out --journey-optimizer: its field groups come with that product."
        if needs_optimizer
        else "Ask Adobe about the licence; the events cannot be kept without it.",
    )


def mappings_of(rules: Iterable[Rule], tenant: str) -> list[dict[str, str]]:
    """Write the mapping's rules for Adobe's Data Prep, as far as they hold for every event.

    Left out is what depends on the type of event, and what only streamer knows, such as the
    position in its outbox.
    """
    mappings = [_mapping(source, destination) for destination, source in _FIXED_MAPPINGS.items()]
    for rule in rules:
        if _holds_in_adobe(rule):
            mappings.append(_mapping(rule.source, in_tenants_name(rule.destination, tenant)))
    return mappings


def _holds_in_adobe(rule: Rule) -> bool:
    own = rule.destination.startswith(PREFIX)
    name = rule.destination.removeprefix(PREFIX)
    return own and name not in _STRUCTURED and not rule.types and not _OURS.search(rule.source)


def _mapping(source: str, destination: str) -> dict[str, str]:
    kind = "ATTRIBUTE" if _PATH.fullmatch(source) else "EXPRESSION"
    return {"sourceType": kind, "source": source, "destination": destination}


def written_paths(settings: MappingSettings, extra_fields: Mapping[str, str]) -> list[str]:
    """List every path that a mapping with these settings may write, in the tenant's name."""
    fields = fields_of(field_groups(settings), extra_fields)
    return sorted(in_tenants_name(path, settings.tenant) for path in fields)


def paths_in(schema: Mapping[str, Any]) -> set[str]:
    """List every path of a full schema, in wire form, with those of objects above it."""
    found: set[str] = set()
    _collect(schema, "", found)
    return found


def _collect(schema: Mapping[str, Any], front: str, found: set[str]) -> None:
    for part in schema.get("allOf") or []:
        _collect(part, front, found)
    for name, inside in (schema.get("properties") or {}).items():
        path = f"{front}{name}"
        found.add(path)
        _collect(inside, f"{path}.", found)

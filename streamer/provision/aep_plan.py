"""Which resources a set-up consists of, in the order in which they are made.

Everything is named after one name, so that the same name finds it again; two
set-ups in one sandbox are kept apart by two names. The consent dataset and
Adobe's own Customer.io source stand beside the events, with keys and names
that begin or end differently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streamer.provision.aep_catalog import Dataset
from streamer.provision.aep_flows import (
    AS_XDM,
    FROM_CUSTOMERIO,
    WITH_MAPPING,
    Connection,
    Dataflow,
    MappingSet,
    SourceConnection,
    TargetConnection,
)
from streamer.provision.aep_registry import FieldGroup, ProfileSchema, Schema
from streamer.provision.aep_step import Resource

EVENT_CLASS = "https://ns.adobe.com/xdm/context/experienceevent"
PROFILE_CLASS = "https://ns.adobe.com/xdm/context/profile"

DEFAULT_NAME = "Customer.io events (streamer)"

CONSENT = "consent_"
ADOBE_SOURCE = "adobe_"
"""What the keys of the further parts begin with."""


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted."""

    name: str = DEFAULT_NAME
    profile: bool = False
    """The profile is to read the datasets."""
    raw: bool = False
    """Adobe is to map the webhooks, instead of us."""
    consent: bool = False
    adobe_source: bool = False


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What schemas and mappings consist of; it depends on the tenant and on what there is."""

    groups: Sequence[str]
    """``$id`` of the standard field groups of an event."""
    consent_groups: Sequence[str]
    """The same, of a record of consent."""
    fields: Mapping[str, Any]
    """Our own fields, as properties in JSON schema, from ``_{tenant}`` on."""
    mappings: Sequence[Mapping[str, str]]
    """How Adobe maps a raw webhook."""


def resources_for(wishes: Wishes, content: Content) -> list[Resource]:
    """List the steps."""
    steps: list[Resource] = [
        FieldGroup(
            "field_group",
            f"{wishes.name} - fields",
            classes=[EVENT_CLASS],
            fields=content.fields,
        ),
        Schema(
            "schema",
            wishes.name,
            xdm_class=EVENT_CLASS,
            groups=content.groups,
            own_group="field_group",
        ),
    ]
    if wishes.profile:
        steps.append(ProfileSchema("profile_schema", wishes.name, schema="schema"))
    steps += _events(wishes, content)
    if wishes.consent:
        steps += _consent(wishes, content)
    if wishes.adobe_source:
        steps += _adobe_source(wishes, content)
    return steps


def everything(name: str) -> list[list[Resource]]:
    """List all that any set-up of a name may have made, for taking it down; contents do not matter.

    Raw and mapped events are different things of different names, so each is a list of its own.
    """
    nothing = Content(groups=[], consent_groups=[], fields={}, mappings=[])
    whole = Wishes(name=name, consent=True, adobe_source=True)
    return [
        resources_for(Wishes(name=name, raw=True), nothing),
        resources_for(whole, nothing),
    ]


def _events(wishes: Wishes, content: Content) -> list[Resource]:
    name = f"{wishes.name} - raw" if wishes.raw else wishes.name
    dataset = Dataset("dataset", name, schema="schema", profile=wishes.profile)
    if not wishes.raw:
        return [dataset, *_way("", name, data_type="xdm")]
    mapping = MappingSet("mapping_set", name, schema="schema", mappings=content.mappings)
    return [dataset, mapping, *_way("", name, data_type="raw", mapping="mapping_set")]


def _consent(wishes: Wishes, content: Content) -> list[Resource]:
    name, schema = f"{wishes.name} - consent", f"{CONSENT}schema"
    steps: list[Resource] = [
        Schema(schema, name, xdm_class=PROFILE_CLASS, groups=content.consent_groups)
    ]
    if wishes.profile:
        steps.append(ProfileSchema(f"{CONSENT}profile_schema", name, schema=schema))
    dataset = Dataset(f"{CONSENT}dataset", name, schema=schema, profile=wishes.profile)
    return [*steps, dataset, *_way(CONSENT, name, data_type="xdm", schema=schema)]


def _way(
    prefix: str, name: str, *, data_type: str, schema: str = "schema", mapping: str = ""
) -> list[Resource]:
    """List what leads from an inlet of our own to a dataset."""
    source, target = f"{prefix}source", f"{prefix}target"
    return [
        Connection(f"{prefix}connection", name, data_type=data_type),
        SourceConnection(source, name, connection=f"{prefix}connection"),
        TargetConnection(target, name, schema=schema, dataset=f"{prefix}dataset"),
        Dataflow(
            f"{prefix}flow",
            name,
            spec=WITH_MAPPING if mapping else AS_XDM,
            source=source,
            target=target,
            mapping=mapping,
        ),
    ]


def _adobe_source(wishes: Wishes, content: Content) -> list[Resource]:
    name, prefix = f"{wishes.name} - Adobe source", ADOBE_SOURCE
    dataset, source, target = f"{prefix}dataset", f"{prefix}source", f"{prefix}target"
    mapping = f"{prefix}mapping_set"
    return [
        Dataset(dataset, name, schema="schema", profile=wishes.profile),
        MappingSet(mapping, name, schema="schema", mappings=content.mappings),
        SourceConnection(source, name),
        TargetConnection(target, name, schema="schema", dataset=dataset),
        Dataflow(
            f"{prefix}flow",
            name,
            spec=FROM_CUSTOMERIO,
            source=source,
            target=target,
            mapping=mapping,
        ),
    ]

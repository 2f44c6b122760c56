"""The field group of the tenant's own: everything of an event that Adobe has no field for.

Its fields lie below ``_{tenant}.customerio``, so that nothing of an event is
lost in the mapping to Adobe's own fields. All ids are text, since Customer.io
sends one and the same as a number, as text and as null.

Adobe knows the group by the JSON schema that is made here. A published group
can only grow, so a name or a kind once used stays.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from streamer.core.errors import ConfigurationError
from streamer.core.xdm.kinds import DEVICE_FIELDS, EXACT_INTEGER_MAX, TENANT_KINDS, Kind

TENANT = "_{tenant}"
"""Stands in a path for the tenant's name with an underscore in front."""

PREFIX = f"{TENANT}.customerio."
"""What the path of each field begins with."""

GROUP_TITLE = "Customer.io Event Details"
EXPERIENCE_EVENT_CLASS = "https://ns.adobe.com/xdm/context/experienceevent"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
"""One name in the path of a user's own field."""


class OwnField(msgspec.Struct, frozen=True):
    """One field of the group."""

    name: str
    kind: Kind
    title: str
    description: str


def _rows(kind: Kind, table: dict[str, tuple[str, str]]) -> tuple[OwnField, ...]:
    return tuple(OwnField(name, kind, *words) for name, words in table.items())


OWN_FIELDS: tuple[OwnField, ...] = (
    *_rows(
        "text",
        {
            "objectType": ("Object type", "Kind of message, or customer"),
            "metric": ("Metric", "What happened, in Customer.io's own word"),
            "eventID": ("Event ID", "Names the event; repeats of it carry the same"),
            "sentTimestamp": (
                "Original timestamp",
                "The event's own time, if it could not be used and the time of receipt stands "
                "in its place",
            ),
            "deliveryID": ("Delivery ID", "Names one message to one person"),
            "campaignID": ("Campaign ID", "The campaign that sent the message"),
            "broadcastID": ("Broadcast ID", "The API-triggered broadcast that sent the message"),
            "newsletterID": ("Newsletter ID", "The newsletter that sent the message"),
            "contentID": ("Content ID", "The variant of a newsletter"),
            "transactionalMessageID": ("Transactional message ID", "The transactional template"),
            "actionID": ("Action ID", "The step of the workflow that sent the message"),
            "parentActionID": ("Parent action ID", "The step above it, such as a random split"),
            "journeyID": ("Journey ID", "One person's way through a campaign or broadcast"),
            "triggerID": ("Trigger ID", "The call that triggered the broadcast"),
            "triggerEventID": ("Trigger event ID", "The event that triggered the campaign"),
            "personID": ("Person ID", "The person's id in the workspace"),
            "cioID": ("Customer.io ID", "The person's id that Customer.io gave"),
            "customerID": ("Customer ID", "The person's id in the older form; deprecated"),
            "recipient": ("Recipient", "The address that the message went to"),
            "emailAddress": ("E-mail address", "The address of the person whose consent changed"),
            "subject": ("Subject", "The message's subject"),
            "href": ("Link", "The link that was used"),
            "linkID": ("Link ID", "Names the link in Customer.io"),
            "trackedResponse": ("Tracked response", "The name of the in-app action"),
            "failureMessage": ("Failure", "Why the message was not delivered"),
            "inboundEventID": ("Inbound event ID", "Names the reply"),
            "replyTo": ("Reply to", "Our number that the person replied to"),
            "raw": ("Event", "The whole event as JSON text"),
        },
    ),
    *_rows(
        "json",
        {
            "subscriptionTopics": ("Subscription topics", "The new preferences as JSON text"),
            "content": ("Content", "The message's body, if Customer.io sends it and it is small"),
            "headers": ("Headers", "The message's headers as JSON text"),
        },
    ),
    *_rows(
        "boolean",
        {
            "proxied": ("Proxied", "Opened through a proxy"),
            "prefetched": ("Prefetched", "Opened by a machine, before any person"),
            "synthetic": ("Synthetic", "Concluded from another event"),
            "machine": ("Machine", "The link was used by a machine"),
        },
    ),
    OwnField(
        "sequence",
        "integer",
        "Sequence",
        "Grows in the order of receipt; tells events of one second apart",
    ),
    OwnField("recipients", "devices", "Devices", "The devices that a push message went to"),
)

_OWN_NAMES = frozenset(field.name for field in OWN_FIELDS)
_DEVICE_TITLES = {
    "deviceID": "Device ID",
    "devicePlatform": "Device platform",
    "failureMessage": "Failure",
}


def check_extra_field(path: str, kind: str, others: Iterable[str] = ()) -> str | None:
    """Say why a user's own field cannot be, or None; ``others`` are the paths beside it."""
    if not path.startswith(PREFIX):
        return f"your own fields lie below {PREFIX[:-1]}"
    names = path.removeprefix(PREFIX).split(".")
    if not all(map(_NAME.fullmatch, names)):
        return "a name is letters, digits and underscores, and begins with a letter"
    if names[0] in _OWN_NAMES:
        return f"{names[0]} is there already"
    if any(other.startswith(f"{path}.") for other in others):
        return "it is an object too, since another field lies below it"
    if kind not in TENANT_KINDS:
        near = difflib.get_close_matches(kind, TENANT_KINDS, n=1)
        return f"{kind!r} is no kind of field: " + (
            f"did you mean {near[0]}?" if near else f"kinds are {', '.join(TENANT_KINDS)}"
        )
    return None


def require_extra_fields(fields: Mapping[str, str]) -> None:
    """Check a user's own fields, by path, and their kinds.

    Raises:
        ConfigurationError: One of them cannot be.
    """
    for path, kind in fields.items():
        problem = check_extra_field(path, kind, fields)
        if problem is not None:
            raise ConfigurationError(
                f"the field {path} cannot be added: {problem}",
                hint="mend the mapping file that names it",
            )


def tenant_group_schema(tenant: str, extra_fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the field group as a body for Adobe's Schema Registry.

    ``tenant`` is without the underscore in front; ``extra_fields`` are the paths of a user's own
    fields, which begin with `PREFIX`, and their kinds.

    Raises:
        ConfigurationError: A field of the user's cannot be.
    """
    require_extra_fields(extra_fields)
    properties = {field.name: _property(field) for field in OWN_FIELDS}
    for path, kind in extra_fields.items():
        _add(properties, path, kind)
    group = _object("Customer.io", properties)
    return {
        "type": "object",
        "title": GROUP_TITLE,
        "description": "What Customer.io reports of a message or a person, without loss.",
        "meta:extensible": True,
        "meta:abstract": True,
        "meta:intendedToExtend": [EXPERIENCE_EVENT_CLASS],
        "definitions": {
            "customFields": {
                "type": "object",
                "properties": {
                    f"_{tenant}": {"type": "object", "properties": {"customerio": group}}
                },
            }
        },
        "allOf": [{"$ref": "#/definitions/customFields"}],
    }


def _add(properties: dict[str, Any], path: str, kind: str) -> None:
    *outer, last = path.removeprefix(PREFIX).split(".")
    for name in outer:
        properties = properties.setdefault(name, _object(name, {}))["properties"]
    properties[last] = {"title": last, **_json_type(kind)}


def _property(field: OwnField) -> dict[str, Any]:
    return {"title": field.title, "description": field.description, **_json_type(field.kind)}


def _object(title: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "title": title, "properties": properties}


def _json_type(kind: str) -> dict[str, Any]:
    """Write a kind as Adobe writes its own: a ``long`` is an integer with these bounds."""
    match kind:
        case "integer":
            return {"type": "integer", "minimum": -EXACT_INTEGER_MAX, "maximum": EXACT_INTEGER_MAX}
        case "number" | "boolean":
            return {"type": kind}
        case "date-time":
            return {"type": "string", "format": "date-time"}
        case "array":
            return {"type": "array", "items": {"type": "string"}}
        case "devices":
            parts = {
                name: {"title": _DEVICE_TITLES[name], "type": "string"}
                for name in DEVICE_FIELDS.values()
            }
            return {"type": "array", "items": {"type": "object", "properties": parts}}
    return {"type": "string"}

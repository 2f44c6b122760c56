"""The catalogue for other programs: as JSON Schema, and as an AsyncAPI document.

Both are made of the open types, so that they allow what the types allow: every
field but those by which event and type are known may be absent or null, and
there may be others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streamer.core.catalogue.types import EventType, struct_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "Customer.io reporting webhooks"

_TEXT = (
    "What Customer.io is known to send, one event in each call. New types and fields come without "
    "notice: allow for them. Every field but those that name event and type may be absent or null."
)
_ADDRESS = "/webhooks/{source}"
_SIGNED = (
    "The hexadecimal HMAC-SHA256, under the signing key, of `v0:`, X-CIO-Timestamp, `:` and the "
    "raw body."
)
_CALL_HEADERS = {
    "type": "object",
    "properties": {
        "X-CIO-Timestamp": {"type": "string", "description": "Unix seconds of the signing."},
        "X-CIO-Signature": {"type": "string", "description": _SIGNED},
    },
    "required": ["X-CIO-Timestamp", "X-CIO-Signature"],
}


def json_schema(types: Sequence[EventType]) -> dict[str, Any]:
    """Write types as JSON Schema 2020-12: a document is valid if it is an event of one of them."""
    refs, definitions = _schemas(types, "#/$defs/{name}")
    return {
        "$schema": DIALECT,
        "title": TITLE,
        "description": _TEXT,
        "anyOf": list(refs.values()),
        "$defs": definitions,
    }


def asyncapi(types: Sequence[EventType], *, version: str) -> dict[str, Any]:
    """Write types as an AsyncAPI 3.0 document: the webhook is a channel, each type a message.

    ``version`` is that of the program whose catalogue it is.
    """
    refs, schemas = _schemas(types, "#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {"title": TITLE, "version": version, "description": _TEXT},
        "defaultContentType": "application/json",
        "channels": {
            "webhook": {
                "address": _ADDRESS,
                "description": "Where Customer.io posts every event to, one in each call.",
                "parameters": {"source": {"description": "A name under [sources]."}},
                "messages": {title: {"$ref": f"#/components/messages/{title}"} for title in refs},
            }
        },
        "operations": {
            "receiveEvent": {
                "action": "receive",
                "channel": {"$ref": "#/channels/webhook"},
                "summary": "Receive one event.",
                "bindings": {"http": {"method": "POST"}},
                "messages": [{"$ref": f"#/channels/webhook/messages/{title}"} for title in refs],
            }
        },
        "components": {
            "messages": {
                one.title: _message(one, payload)
                for one, payload in zip(types, refs.values(), strict=True)
            },
            "schemas": {**schemas, "CallHeaders": _CALL_HEADERS},
        },
    }


def _message(event_type: EventType, payload: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": event_type.name,
        "title": event_type.title,
        "summary": event_type.meaning.capitalize() + ".",
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/CallHeaders"},
        "payload": payload,
    }


def _schemas(
    types: Sequence[EventType], template: str
) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
    """Return a reference to each type's schema by its title, and the schemas."""
    refs, schemas = msgspec.json.schema_components(map(struct_of, types), ref_template=template)
    return dict(zip((one.title for one in types), refs, strict=True)), schemas

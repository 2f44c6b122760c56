"""What each field is: what may stand in it, what it means, and what is odd about it.

A field is said once, whatever types carry it. What may stand in it is what
Customer.io has been seen to send, not only what its schema says: ids come as
text and as numbers, and every field may be absent or null, since the word
"required" in the published schema does not keep its promise. Whatever else
stands in a field is no error; it is told as drift.
"""

from __future__ import annotations

import enum

import msgspec


class Kind(enum.Enum):
    """What may stand in a field, beside null; the value is how people are told."""

    TEXT = "text"
    ID = "text or a whole number"
    SECONDS = "a whole number"
    FLAG = "true or false"
    IDENTIFIERS = "an object with fields of its own"
    DEVICES = "a list of objects with fields of their own"
    HEADERS = "an object with a list of texts under any name"
    DATA = "an object"


class Field(msgspec.Struct, frozen=True):
    """One field, wherever it stands."""

    kind: Kind
    meaning: str
    oddity: str = ""
    """What surprises those who read only the published schema."""

    @property
    def description(self) -> str:
        """All that is known of it, as sentences."""
        return f"{self.meaning} {self.oddity}".rstrip()


ENVELOPE: dict[str, Field] = {
    "event_id": Field(
        Kind.ID,
        "Id of this reporting event; a repeat of the call carries it again.",
        "A ULID of 26 characters today; older ones were UUIDs or 20 hexadecimal digits. Every "
        "test event carries the same one.",
    ),
    "object_type": Field(
        Kind.TEXT,
        "The channel of the message, or the one that a change of consent is put down to.",
        "`customer` where the channel is not known. The published schema of a change of "
        "preferences lacks it.",
    ),
    "metric": Field(
        Kind.TEXT,
        "What happened.",
        "Shorter than, and for person events unlike, the event's name in the App API.",
    ),
    "timestamp": Field(Kind.SECONDS, "When it happened, in Unix seconds; not when it was sent."),
    "data": Field(Kind.DATA, "What it is about; its fields depend on object type and metric."),
}
"""What every event carries."""

MISPRINTS: dict[str, Field] = {
    "object_type_type": Field(
        Kind.TEXT,
        "The channel of a change of preferences.",
        "So printed in the schema of 2026, likely for `object_type`.",
    ),
    "delivery_type": Field(
        Kind.TEXT,
        "The channel of a change of preferences.",
        "So printed in the schema of 2025, likely for `object_type`.",
    ),
}
"""What may stand beside the envelope of a change of preferences alone."""

IDENTIFIERS: dict[str, Field] = {
    "id": Field(
        Kind.ID,
        "The person's id in your system.",
        "Null for somebody known by another identifier. Leading zeros count.",
    ),
    "email": Field(Kind.TEXT, "The person's e-mail address.", "Absent where people have ids only."),
    "cio_id": Field(
        Kind.ID,
        "Customer.io's own id of the person, which never changes.",
        "Absent where people have ids only.",
    ),
}

DEVICE: dict[str, Field] = {
    "device_id": Field(Kind.ID, "The device's token."),
    "device_platform": Field(Kind.TEXT, "`ios` or `android`.", "Not always there."),
    "failure_message": Field(
        Kind.TEXT,
        "Why this device got nothing.",
        "Of devices that failed; among those of `sent`, some may have.",
    ),
}

FIELDS: dict[str, Field] = {
    "identifiers": Field(
        Kind.IDENTIFIERS, "Whom it is about.", "Absent from events of before about 2021."
    ),
    "customer_id": Field(
        Kind.ID,
        "An older id of the person; deprecated.",
        "Blank for somebody deleted; can differ from `identifiers.id`.",
    ),
    "delivery_id": Field(
        Kind.ID,
        "Id of this message to this person.",
        "Opaque: base64 for URLs, with padding or without.",
    ),
    "email_address": Field(
        Kind.TEXT,
        "The person's e-mail address; what tells a person event from a message event.",
        "Null for somebody without one.",
    ),
    "campaign_id": Field(Kind.ID, "The campaign that sent it."),
    "broadcast_id": Field(Kind.ID, "The API-triggered broadcast that sent it."),
    "newsletter_id": Field(Kind.ID, "The newsletter that sent it."),
    "transactional_message_id": Field(
        Kind.ID,
        "The transactional message that it is an instance of.",
        "The published schema has it for email and push alone, and without a type.",
    ),
    "action_id": Field(Kind.ID, "The step of the workflow that sent it."),
    "parent_action_id": Field(
        Kind.ID, "The step that this step hangs below, such as a random split."
    ),
    "journey_id": Field(
        Kind.ID, "The person's way through the workflow.", "A ULID; one published example is a 15."
    ),
    "trigger_id": Field(
        Kind.ID,
        "Which triggering of the broadcast.",
        "Absent from published examples, though required.",
    ),
    "trigger_event_id": Field(Kind.ID, "The event that set the campaign off."),
    "content_id": Field(
        Kind.ID, "Which variant of the newsletter.", "Has been seen beside `campaign_id`."
    ),
    "subject": Field(Kind.TEXT, "The subject line of the e-mail."),
    "recipient": Field(
        Kind.TEXT,
        "Where it went.",
        "An e-mail address, a telephone number, a Slack channel or person, a webhook's URL, or in "
        "an app the person's id or address.",
    ),
    "recipients": Field(Kind.DEVICES, "The devices that a push message went to."),
    "to": Field(Kind.TEXT, "The number that was answered to: the sender of the first message."),
    "inbound_event_id": Field(Kind.ID, "Id of the person's answer."),
    "href": Field(
        Kind.TEXT, "Where the link leads.", "It may have an app's own scheme instead of https."
    ),
    "link_id": Field(Kind.ID, "Number of the tracked link."),
    "tracked_response": Field(Kind.TEXT, "Name of the action that was tapped in the app."),
    "failure_message": Field(Kind.TEXT, "Why not, in the words of Customer.io or the provider."),
    "content": Field(
        Kind.TEXT,
        "What was sent; of a change of preferences, JSON as text with the chosen topics.",
        "Only with Body Content switched on. Of push it is JSON as text too. It can be empty, or "
        "JSON that cannot be read.",
    ),
    "headers": Field(
        Kind.HEADERS,
        "The e-mail's own headers.",
        "Only with Body Content switched on, and only if it has any.",
    ),
    "proxied": Field(Kind.FLAG, "A proxy fetched the picture.", "That it is absent is no `false`."),
    "prefetched": Field(
        Kind.FLAG,
        "A mail program or a known machine opened it, not the person.",
        "That it is absent is no `false`.",
    ),
    "synthetic": Field(
        Kind.FLAG,
        "Nobody saw it opened; it was clicked, so it must have been.",
        "That it is absent is no `false`.",
    ),
    "machine": Field(Kind.FLAG, "A machine clicked.", "That it is absent is no `false`."),
}
"""What may stand in ``data``."""

INSIDES: dict[Kind, tuple[str, dict[str, Field]]] = {
    Kind.IDENTIFIERS: (".", IDENTIFIERS),
    Kind.DEVICES: ("[].", DEVICE),
}
"""What stands inside a field of some kinds, and how a path goes on there."""

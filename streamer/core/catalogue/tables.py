"""Which object types and metrics there are, what they mean, and which fields each carries.

Two families share the pair of object type and metric. A *message event* tells
what became of one delivery. A *person event* tells that somebody's consent
changed, and its object type is the channel that the change is put down to, or
``customer``. The pair (email, unsubscribed) belongs to both.
"""

from __future__ import annotations

import msgspec

PERSON = "person"
"""The form of a person event that no message caused; the others are named by their message."""

PREFERENCES = "cio_subscription_preferences_changed"
"""The one metric whose events may come without an object type."""

PERSON_METRICS = ("subscribed", "unsubscribed", PREFERENCES)


class Fields(msgspec.Struct, frozen=True):
    """Names of fields in the event's ``data``."""

    always: tuple[str, ...]
    sometimes: tuple[str, ...]


def _fields(names: str) -> Fields:
    """Read a row of the tables below, where ``?`` marks a field that is not always there."""
    every = names.split()
    return Fields(
        always=tuple(name for name in every if not name.endswith("?")),
        sometimes=tuple(name.removesuffix("?") for name in every if name.endswith("?")),
    )


def _rows(table: dict[str, str]) -> dict[str, Fields]:
    return {metric: _fields(names) for metric, names in table.items()}


MESSAGES: dict[str, dict[str, Fields]] = {
    "email": _rows(
        {
            "drafted": "subject recipient",
            "attempted": "failure_message",
            "sent": "subject recipient content? headers?",
            "delivered": "subject recipient",
            "opened": "recipient subject? proxied? prefetched? synthetic?",
            "clicked": "subject recipient href link_id machine?",
            "converted": "subject recipient",
            "unsubscribed": "subject recipient",
            "bounced": "subject recipient failure_message",
            "dropped": "subject recipient failure_message",
            "spammed": "subject recipient",
            "failed": "subject failure_message recipient?",
            "undeliverable": "subject recipient failure_message",
            "deferred": "subject recipient failure_message?",
        }
    ),
    "push": _rows(
        {
            "drafted": "",
            "attempted": "failure_message",
            "sent": "recipients content?",
            "delivered": "recipients",
            "opened": "recipients",
            "clicked": "recipients href link_id",
            "converted": "recipients",
            "bounced": "recipients",
            "dropped": "recipients",
            "failed": "failure_message",
            "undeliverable": "failure_message",
        }
    ),
    "sms": _rows(
        {
            "drafted": "",
            "attempted": "failure_message",
            "sent": "recipient content?",
            "delivered": "recipient",
            "clicked": "recipient href link_id",
            "converted": "recipient",
            "bounced": "recipient failure_message",
            "dropped": "recipient failure_message",
            "failed": "failure_message",
            "undeliverable": "failure_message",
            "replied": "recipient to inbound_event_id",
        }
    ),
    "whatsapp": _rows(
        {
            "drafted": "",
            "attempted": "failure_message",
            "sent": "recipient content?",
            "delivered": "recipient",
            "opened": "recipient",
            "clicked": "recipient href link_id",
            "converted": "recipient",
            "bounced": "recipient failure_message",
            "dropped": "recipient failure_message",
            "failed": "failure_message",
            "undeliverable": "failure_message",
            "replied": "recipient to inbound_event_id",
        }
    ),
    "slack": _rows(
        {
            "drafted": "",
            "attempted": "failure_message",
            "sent": "recipient content?",
            "clicked": "recipient href link_id",
            "converted": "recipient",
            "failed": "failure_message",
            "undeliverable": "failure_message",
        }
    ),
    "webhook": _rows(
        {
            "drafted": "",
            "attempted": "failure_message",
            "sent": "recipient content?",
            "clicked": "recipient href link_id",
            "converted": "recipient",
            "failed": "failure_message",
            "undeliverable": "failure_message",
        }
    ),
    "in_app": _rows(
        {
            "drafted": "",
            "attempted": "failure_message",
            "sent": "recipient content?",
            "opened": "",
            "clicked": "recipient href link_id tracked_response?",
            "converted": "recipient",
            "failed": "failure_message",
            "undeliverable": "failure_message",
        }
    ),
}
"""Object type, metric, and the fields that only this message event has."""

VARIANTS: dict[str, Fields] = {
    "campaign": _fields("campaign_id action_id journey_id parent_action_id? trigger_event_id?"),
    "broadcast": _fields("broadcast_id action_id trigger_id journey_id parent_action_id?"),
    "newsletter": _fields("newsletter_id content_id"),
    "transactional": _fields("transactional_message_id"),
}
"""What a message was sent by, and the fields that say so."""

COMMON = _fields("identifiers customer_id? delivery_id")
"""What every message event carries beside the fields of its variant and its own."""

PERSONS: dict[str, Fields] = {
    "subscribed": _fields("identifiers customer_id email_address"),
    "unsubscribed": _fields("identifiers customer_id email_address"),
    PREFERENCES: _fields("identifiers customer_id email_address delivery_id? content?"),
}
"""What a person event carries; a change of preferences may also have fields of a variant."""

PREFERENCES_VARIANTS = ("campaign", "broadcast", "newsletter")

MEANINGS: dict[str, str] = {
    "attempted": "the provider did not take it; it will be tried again",
    "bounced": "the provider could not deliver it; of push: one device token at least is invalid",
    "clicked": "a tracked link in it was used",
    "converted": "the person reached the goal that is put down to it",
    "deferred": "the provider cannot send it now and will try again",
    "delivered": "the provider, or the app, says that it was delivered",
    "drafted": "a draft of it was made",
    "dropped": "it was not sent: the recipient is suppressed, or a device token bounced before",
    "failed": "the provider did not take it, for good",
    "opened": "it was opened or read, by a person or by a machine",
    "replied": "the person answered within 72 hours, and the answer belongs to it",
    "sent": "it was handed to the provider",
    "spammed": "the recipient complained of it",
    "undeliverable": "a limit was reached, or its newsletter or the delivery was switched off",
    "unsubscribed": "the recipient unsubscribed through it",
}
"""Of each metric of a message event: what became of the message."""

PERSON_MEANINGS: dict[str, str] = {
    "subscribed": "the person may be written to again",
    "unsubscribed": "the person may not be written to any more",
    PREFERENCES: "the person's choice of topics changed",
}

GUESSED = frozenset(
    {("email", "deferred"), ("sms", "dropped"), ("slack", "converted"), ("webhook", "converted")}
)
"""Types that the App API lists and no published schema describes: their fields are a guess."""

LEGACY_TYPES = frozenset(
    {
        *("email_drafted", "email_sent", "email_delivered", "email_opened", "email_clicked"),
        *("email_converted", "email_bounced", "email_spammed", "email_dropped", "email_failed"),
        *("customer_subscribed", "customer_unsubscribed"),
    }
)
"""Values of ``event_type``, by which events of 2012 to about 2019 say what they are."""

OBJECT_TYPES = ("customer", *MESSAGES)

_MESSAGE_TYPES = tuple((kind, metric) for kind, metrics in MESSAGES.items() for metric in metrics)
_PERSON_TYPES = tuple((kind, metric) for kind in OBJECT_TYPES for metric in PERSON_METRICS)
_KNOWN_TYPES = frozenset(_MESSAGE_TYPES + _PERSON_TYPES)


def known_types() -> frozenset[tuple[str, str]]:
    """Return every (object type, metric) that is known to be sent."""
    return _KNOWN_TYPES


def pair(object_type: str | None, metric: str | None) -> tuple[str, str]:
    """Return the pair that an event belongs to: one metric may come without an object type."""
    if metric == PREFERENCES:
        return object_type or "customer", metric
    return object_type or "", metric or ""


def is_known(object_type: str | None, metric: str | None) -> bool:
    """Tell whether events of a type are known to be sent."""
    return pair(object_type, metric) in _KNOWN_TYPES


def type_names() -> tuple[str, ...]:
    """Return every known type as ``object_type.metric``, each once, in an order fit to read."""
    every = dict.fromkeys(_PERSON_TYPES[: len(PERSON_METRICS)] + _MESSAGE_TYPES + _PERSON_TYPES)
    return tuple(f"{object_type}.{metric}" for object_type, metric in every)


def variants(object_type: str, metric: str) -> tuple[str, ...]:
    """Return the forms in which a known type comes, the usual one first."""
    of_message = tuple(VARIANTS) if metric in MESSAGES.get(object_type, {}) else ()
    if metric not in PERSON_METRICS:
        return of_message
    if metric == PREFERENCES:
        return PERSON, *PREFERENCES_VARIANTS
    return (*of_message, PERSON)

"""What Customer.io is known to send: object types, metrics, and each one's own fields.

New object types, metrics and fields appear without notice, so nothing here may
decide whether an event is stored or delivered. The catalogue is for counting
what is new, for warning of a filter that matches nothing, and for samples.

Two families share the pair of object type and metric. A *message event* tells
what became of one delivery. A *person event* tells that somebody's consent
changed, and its object type is the channel that the change is put down to, or
``customer``. The pair (email, unsubscribed) belongs to both.
"""

from __future__ import annotations

import msgspec

PERSON = "person"
"""The form of a person event that no message caused; the others are named by their message."""

PERSON_METRICS = ("subscribed", "unsubscribed", "cio_subscription_preferences_changed")


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

OBJECT_TYPES = ("customer", *MESSAGES)

_MESSAGE_TYPES = tuple((kind, metric) for kind, metrics in MESSAGES.items() for metric in metrics)
_PERSON_TYPES = tuple((kind, metric) for kind in OBJECT_TYPES for metric in PERSON_METRICS)
_KNOWN_TYPES = frozenset(_MESSAGE_TYPES + _PERSON_TYPES)


def known_types() -> frozenset[tuple[str, str]]:
    """Return every (object type, metric) that is known to be sent."""
    return _KNOWN_TYPES


def type_names() -> tuple[str, ...]:
    """Return every known type as ``object_type.metric``, each once, in an order fit to read."""
    every = dict.fromkeys(_PERSON_TYPES[: len(PERSON_METRICS)] + _MESSAGE_TYPES + _PERSON_TYPES)
    return tuple(f"{object_type}.{metric}" for object_type, metric in every)


def variants(object_type: str, metric: str) -> tuple[str, ...]:
    """Return the forms in which a known type comes, the usual one first."""
    of_message = tuple(VARIANTS) if metric in MESSAGES.get(object_type, {}) else ()
    if metric not in PERSON_METRICS:
        return of_message
    if metric == "cio_subscription_preferences_changed":
        return PERSON, "campaign", "broadcast", "newsletter"
    return (*of_message, PERSON)

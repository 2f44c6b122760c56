"""A workspace: its reporting webhooks, and what the App API accepts as one.

Written from Customer.io's App API description alone. Where that says nothing, the reading that is
harder on a client was taken:

- ``PUT`` replaces: an optional field that is left out goes back to its default. All required
  fields are wanted, though the real one seems to take a part too (`Workspace.takes_parts`).
- A read-only field in a body is refused.
- The key that signs the calls belongs to one webhook, and no answer of the API carries it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

EVENTS = (
    "customer_subscribed", "customer_unsubscribed", "customer_subscription_preferences_changed",
    "email_drafted", "email_attempted", "email_sent", "email_delivered", "email_opened",
    "email_clicked", "email_converted", "email_bounced", "email_dropped", "email_deferred",
    "email_spammed", "email_failed", "email_unsubscribed", "email_undeliverable",
    "in_app_drafted", "in_app_attempted", "in_app_sent", "in_app_opened", "in_app_clicked",
    "in_app_converted", "in_app_failed", "in_app_undeliverable",
    "push_drafted", "push_attempted", "push_sent", "push_delivered", "push_opened",
    "push_clicked", "push_converted", "push_bounced", "push_dropped", "push_failed",
    "push_undeliverable",
    "slack_drafted", "slack_attempted", "slack_sent", "slack_clicked", "slack_converted",
    "slack_failed",
    "sms_drafted", "sms_attempted", "sms_sent", "sms_delivered", "sms_clicked", "sms_converted",
    "sms_bounced", "sms_dropped", "sms_failed", "sms_undeliverable", "sms_replied",
    "whatsapp_drafted", "whatsapp_attempted", "whatsapp_sent", "whatsapp_delivered",
    "whatsapp_opened", "whatsapp_clicked", "whatsapp_converted", "whatsapp_bounced",
    "whatsapp_dropped", "whatsapp_failed", "whatsapp_undeliverable", "whatsapp_replied",
    "webhook_drafted", "webhook_attempted", "webhook_sent", "webhook_clicked",
    "webhook_converted", "webhook_failed", "webhook_undeliverable",
)  # fmt: skip
"""Every value that ``events`` may hold. ``slack_undeliverable`` is sent by no webhook."""

REQUIRED = ("name", "endpoint", "events")
READ_ONLY = ("id", "type")
FLAGS = ("disabled", "full_resolution", "with_content")


class Problem(NamedTuple):
    """What is wrong with a body."""

    pointer: str
    """JSON pointer to the place."""
    detail: str


class Malformed(Exception):
    """A body that the API does not take."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(problem.detail for problem in problems))
        self.problems = problems


@dataclass
class Webhook:
    """One reporting webhook as its page in the product shows it."""

    id: int
    name: str
    endpoint: str
    events: list[str]
    disabled: bool = False
    full_resolution: bool = False
    with_content: bool = False
    type: str = "webhook"
    signing_key: str = field(default_factory=lambda: secrets.token_hex(32))
    """Text: its characters are the key. Only people see it."""

    def document(self) -> dict[str, Any]:
        """Return what the API shows of it."""
        shown = ("name", "id", "type", "endpoint", *FLAGS, "events")
        return {name: getattr(self, name) for name in shown}


class Workspace:
    """The reporting webhooks of one workspace."""

    def __init__(self) -> None:
        self.webhooks: dict[int, Webhook] = {}
        self.takes_parts = False
        """Whether ``PUT`` takes a part of the fields and keeps the others."""
        self._last_id = 0

    def create(self, body: object, *, kind: str = "webhook") -> Webhook:
        """Create a webhook.

        Raises:
            Malformed: the body breaks the schema.
        """
        fields = _checked(body, required=REQUIRED)
        self._last_id += 1
        webhook = Webhook(id=self._last_id, type=kind, **fields)
        self.webhooks[webhook.id] = webhook
        return webhook

    def replace(self, webhook: Webhook, body: object) -> None:
        """Replace all but the identity, the key and the queue of a webhook.

        Raises:
            Malformed: the body breaks the schema.
        """
        fields = _checked(body, required=() if self.takes_parts else REQUIRED)
        if not self.takes_parts:
            fields = dict.fromkeys(FLAGS, False) | fields
        for name, value in fields.items():
            setattr(webhook, name, value)


def _checked(body: object, *, required: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields that can be written; unknown ones are left out without a word."""
    if not isinstance(body, dict):
        raise Malformed([Problem("", "the body must be a JSON object")])
    problems = [Problem(f"/{name}", f"{name} is required") for name in required if name not in body]
    problems += [Problem(f"/{name}", f"{name} is read-only") for name in READ_ONLY if name in body]
    for name, value in body.items():
        problems += _problems_of(name, value)
    if problems:
        raise Malformed(problems)
    return {name: body[name] for name in (*REQUIRED, *FLAGS) if name in body}


def _problems_of(name: str, value: object) -> list[Problem]:
    pointer = f"/{name}"
    if name in FLAGS and not isinstance(value, bool):
        return [Problem(pointer, f"{name} must be a boolean")]
    if name in {"name", "endpoint"} and not (isinstance(value, str) and value):
        return [Problem(pointer, f"{name} must be a text that is not empty")]
    if name == "endpoint" and not _is_url(str(value)):
        return [Problem(pointer, "endpoint must be a URL")]
    return _problems_of_events(value) if name == "events" else []


def _problems_of_events(value: object) -> list[Problem]:
    if not isinstance(value, list):
        return [Problem("/events", "events must be a list")]
    if not value:
        return [Problem("/events", "events must hold at least one event")]
    return [
        Problem(f"/events/{index}", f"unknown event {event!r}")
        for index, event in enumerate(value)
        if event not in EVENTS
    ]


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def event_name(event: Mapping[str, Any]) -> str:
    """Return the name under which a webhook subscribes to an event.

    The pair (email, unsubscribed) has two: with an ``email_address`` it tells of a person, with
    a ``recipient`` of a message.
    """
    metric, data = event.get("metric"), event.get("data", {})
    if metric == "cio_subscription_preferences_changed":
        return "customer_subscription_preferences_changed"
    of_person = "email_address" in data or event.get("object_type") == "customer"
    if metric == "subscribed" or (metric == "unsubscribed" and of_person):
        return f"customer_{metric}"
    return f"{event.get('object_type')}_{metric}"

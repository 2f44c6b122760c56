"""What users decide about the mapping beyond its rules; `streamer.config` has checked it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

ENTITY_BYTES_MAX = 10_000
"""Adobe's Profile silently drops an event of more than 10 KB of JSON, whichever KB is meant."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One identity of a person: its namespace, and where its value comes from."""

    namespace: str
    """The namespace's code in Adobe, such as ``Email``; custom ones must be registered there."""
    source: str
    """An expression, such as ``coalesce(data.identifiers.email, data.email_address)``."""
    types: tuple[str, ...] = ()
    """Patterns of ``object_type.metric`` whose events it is read from; none: every event."""
    form: Literal["text", "email", "email_sha256", "phone"] = "text"
    """How the value is normalised: trimmed; and lower-cased; and hashed; or as ``+`` and digits."""


DEFAULT_IDENTITIES = (
    Identity(
        namespace="Email",
        source="coalesce(data.identifiers.email, data.email_address)",
        form="email",
    ),
    Identity(namespace="Email", source="data.recipient", types=("email.*",), form="email"),
    Identity(
        namespace="Phone", source="data.recipient", types=("sms.*", "whatsapp.*"), form="phone"
    ),
)
"""Standard namespaces alone: a custom one that is not registered makes Profile refuse the event."""


class MappingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How events become XDM entities."""

    tenant: str
    """The tenant's name, without the underscore in front."""
    produces: Literal["events", "consent"] = "events"
    """ExperienceEvents, or records of the profile's consent for a dataset of their own."""
    identities: tuple[Identity, ...] = DEFAULT_IDENTITIES
    """In order: the first that has a value is the primary one."""
    require_identity: bool = False
    """True: an event about nobody is a dead letter instead of an event without an identity."""
    email_details: bool = True
    """Write what the two optional field groups for e-mail take: link, bounce reason and code."""
    journey_optimizer: bool = False
    """Write the groups below ``_experience.customerJourneyManagement`` too."""
    soft_bounces: bool = False
    """Count a bounce with an SMTP code 4xx as temporary."""
    dismiss_actions: tuple[str, ...] = ()
    """Names of in-app actions that dismiss the message."""
    keep_raw: bool = False
    """Keep the whole event as JSON text in the tenant's group, as far as its size allows."""
    topics: Mapping[str, str] = {}
    """For consent: Customer.io's topic, and the name of the subscription in the profile."""
    entity_bytes_max: int = ENTITY_BYTES_MAX

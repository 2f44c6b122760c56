"""Whom an event is about: forms, namespaces, the primary one, and what is left out."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from streamer.core.xdm.identities import IDENTITY_CHARACTERS_MAX, in_form
from streamer.core.xdm.mapper import Mapper
from streamer.core.xdm.settings import Identity, MappingSettings
from tests.core.xdm.events import body_of, entity_of

HASH = hashlib.sha256(b"ann@example.com").hexdigest()


@pytest.mark.parametrize(
    ("form", "value", "identity"),
    [
        ("text", " 42 ", "42"),
        ("text", 42, "42"),
        ("text", True, None),
        ("text", "  ", None),
        ("text", {"id": 1}, None),
        ("text", ["42"], None),
        ("text", "x" * IDENTITY_CHARACTERS_MAX, "x" * IDENTITY_CHARACTERS_MAX),
        ("text", "x" * (IDENTITY_CHARACTERS_MAX + 1), None),
        ("email", " Ann@Example.COM\n", "ann@example.com"),
        ("email", "ann", None),
        ("email", "@example.com", None),
        ("email", "ann@", None),
        ("email", "ann@b@c", None),
        ("email", "ann smith@example.com", None),
        ("email", HASH, None),
        ("email_sha256", "Ann@example.com ", HASH),
        ("email_sha256", HASH, HASH),
        ("email_sha256", HASH.upper(), HASH),
        ("email_sha256", "no address", None),
        ("phone", "+447700900123", "+447700900123"),
        ("phone", "00447700900123", "+447700900123"),
        ("phone", "+44 (0)7700 900-123", "+447700900123"),
        ("phone", "+1 (415) 555.0123", "+14155550123"),
        ("phone", "07700900123", None),
        ("phone", "447700900123", None),
        ("phone", "+0447700900123", None),
        ("phone", "+123456", None),
        ("phone", "+1234567", "+1234567"),
        ("phone", "+123456789012345", "+123456789012345"),
        ("phone", "+1234567890123456", None),
        ("phone", "+44770090012x", None),
        ("phone", "+٤٤٧٧٠٠٩٠٠١٢٣", None),
        ("phone", "whatsapp:+447700900123", None),
    ],
)
def test_a_value_takes_its_form_or_is_no_identity(
    form: str, value: object, identity: str | None
) -> None:
    assert in_form(value, form) == identity


def identities_of(body: bytes, *identities: Identity) -> dict[str, Any] | None:
    settings = MappingSettings(tenant="acme", identities=identities)
    found: dict[str, Any] | None = entity_of(body, Mapper(settings)).get("identityMap")
    return found


ANN = body_of(
    "email",
    "sent",
    identifiers={"id": "42", "email": "ann@example.com", "cio_id": None},
    recipient="Work@example.com",
    email_address="ANN@example.com",
)
CIO = Identity(namespace="CustomerIO", source="data.identifiers.cio_id")
CRM = Identity(namespace="CRMID", source="data.identifiers.id")
EMAIL = Identity(namespace="Email", source="data.identifiers.email", form="email")
RECIPIENT = Identity(namespace="Email", source="data.recipient", form="email", types=("email.*",))
AGAIN = Identity(namespace="Email", source="data.email_address", form="email")


def test_the_first_that_has_a_value_is_the_primary_one_and_the_only_one() -> None:
    assert identities_of(ANN, CIO, CRM, EMAIL) == {
        "CRMID": [{"id": "42", "authenticatedState": "ambiguous", "primary": True}],
        "Email": [{"id": "ann@example.com", "authenticatedState": "ambiguous"}],
    }
    assert identities_of(ANN, CIO, EMAIL, CRM) == {
        "Email": [{"id": "ann@example.com", "authenticatedState": "ambiguous", "primary": True}],
        "CRMID": [{"id": "42", "authenticatedState": "ambiguous"}],
    }


def test_values_of_one_namespace_are_one_list_without_repeats() -> None:
    assert identities_of(ANN, EMAIL, RECIPIENT, AGAIN) == {
        "Email": [
            {"id": "ann@example.com", "authenticatedState": "ambiguous", "primary": True},
            {"id": "work@example.com", "authenticatedState": "ambiguous"},
        ]
    }


def test_an_identity_is_read_from_its_own_types_only() -> None:
    body = body_of("slack", "sent", recipient="#team@work")
    assert identities_of(body, RECIPIENT) is None
    assert identities_of(body) is None


def test_the_default_takes_an_address_from_emails_and_a_number_from_texts() -> None:
    for object_type, recipient, found in (
        ("email", "A@example.com", {"Email": "a@example.com"}),
        ("sms", "+447700900123", {"Phone": "+447700900123"}),
        ("whatsapp", "+447700900123", {"Phone": "+447700900123"}),
        ("webhook", "https://a@example.com", {}),
        ("in_app", "42", {}),
    ):
        identities = entity_of(body_of(object_type, "sent", recipient=recipient))
        ids = {name: one["id"] for name, (one,) in identities.get("identityMap", {}).items()}
        assert ids == found

"""The paths that there are, and what is said to somebody who wrote another."""

from __future__ import annotations

import pytest

from streamer.core.errors import ConfigurationError
from streamer.core.xdm.fields import (
    CONSENT_GROUPS,
    EVENT_GROUPS,
    FieldGroup,
    field_groups,
    find_field,
    in_tenants_name,
    near_path,
)
from streamer.core.xdm.settings import MappingSettings
from streamer.core.xdm.tenant_group import OWN_FIELDS, tenant_group_schema


@pytest.mark.parametrize("groups", [EVENT_GROUPS, CONSENT_GROUPS])
def test_one_path_is_of_one_kind_in_whichever_group(groups: tuple[FieldGroup, ...]) -> None:
    kinds: dict[str, object] = {}
    for group in groups:
        for field in group.fields:
            assert kinds.setdefault(field.path, field) == field


def test_no_path_is_a_value_and_an_object_at_once() -> None:
    paths = {field.path for group in (*EVENT_GROUPS, *CONSENT_GROUPS) for field in group.fields}
    for path in paths:
        names = path.split(".")
        assert not paths & {".".join(names[:count]) for count in range(1, len(names))}


def test_settings_decide_which_groups_the_schema_has() -> None:
    def titles(settings: MappingSettings) -> list[str]:
        return [group.title for group in field_groups(settings)]

    usual = titles(MappingSettings(tenant="acme"))
    assert usual[0] == "XDM ExperienceEvent"
    assert usual[-1] == "Customer.io Event Details"
    assert "Email Clicked" in usual
    assert not any("CJM" in title for title in usual)
    lean = titles(MappingSettings(tenant="acme", email_details=False, journey_optimizer=True))
    assert "Email Clicked" not in lean
    assert sum("CJM" in title for title in lean) == 4
    consent = titles(MappingSettings(tenant="acme", produces="consent"))
    assert consent[0] == "XDM Individual Profile"
    assert "Consent and Preference Details" in consent


def test_a_path_is_found_and_another_is_nearly() -> None:
    found = find_field("directMarketing.linkURL")
    assert found is not None
    assert found.kind == "text"
    assert find_field("directMarketing.linkurl") is None
    assert near_path("directMarketing.linkurl") == "directMarketing.linkURL"
    assert near_path("_{tenant}.customerio.colours", ["_{tenant}.customerio.colour"]) == (
        "_{tenant}.customerio.colour"
    )
    assert near_path("qqqqqq") is None


def test_a_path_is_told_in_the_tenants_name() -> None:
    assert in_tenants_name("_{tenant}.customerio.href", "acme") == "_acme.customerio.href"
    assert in_tenants_name("web.x", "acme") == "web.x"


def test_each_own_field_has_a_name_of_its_own_and_words_for_people() -> None:
    names = [field.name for field in OWN_FIELDS]
    assert len(set(names)) == len(names)
    for field in OWN_FIELDS:
        assert field.title[0].isupper()
        assert field.description
        assert not field.description.endswith(".")


def test_a_field_that_cannot_be_is_not_put_into_a_schema() -> None:
    with pytest.raises(ConfigurationError, match="href is there already"):
        tenant_group_schema("acme", {"_{tenant}.customerio.href": "text"})
    with pytest.raises(ConfigurationError, match=r"lie below _\{tenant\}.customerio"):
        tenant_group_schema("acme", {"web.colour": "text"})
    with pytest.raises(ConfigurationError, match="did you mean integer"):
        tenant_group_schema("acme", {"_{tenant}.customerio.mine": "intger"})


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        ("text", {"type": "string"}),
        ("integer", {"type": "integer", "minimum": 1 - 2**53, "maximum": 2**53 - 1}),
        ("number", {"type": "number"}),
        ("boolean", {"type": "boolean"}),
        ("date-time", {"type": "string", "format": "date-time"}),
        ("array", {"type": "array", "items": {"type": "string"}}),
    ],
)
def test_a_users_field_is_in_the_schema_with_its_kind(kind: str, schema: dict[str, object]) -> None:
    made = tenant_group_schema("acme", {"_{tenant}.customerio.mine": kind})
    group = made["definitions"]["customFields"]["properties"]["_acme"]["properties"]["customerio"]
    assert group["properties"]["mine"] == {"title": "mine", **schema}

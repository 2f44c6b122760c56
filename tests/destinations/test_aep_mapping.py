"""The settings of a destination become the mapping that it applies, or one error of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamer.core.errors import ConfigurationError
from streamer.core.limits import CONFIG_FILE_BYTES_MAX
from streamer.core.xdm.mapping_file import MappingErrors
from streamer.core.xdm.settings import DEFAULT_IDENTITIES, Identity, MappingSettings
from streamer.destinations.aep_mapping import layers_of, mapper_of, read_mapping_file, settings_of
from streamer.destinations.aep_options import AepOptions, IdentityOptions


def options(**settings: Any) -> AepOptions:  # noqa: ANN401 - settings of any kind
    least = {"inlet_url": "https://dcs.example.com/collection/1", "flow_id": "f"}
    return AepOptions(**(least | {"ims_org_id": "o@AdobeOrg", "tenant": "acme"} | settings))


def test_settings_that_are_left_out_are_those_of_the_mapping() -> None:
    settings = settings_of(options())
    assert settings == MappingSettings(tenant="acme")
    assert settings.identities is DEFAULT_IDENTITIES


def test_every_setting_of_the_mapping_comes_from_the_setting_of_its_name() -> None:
    given: dict[str, Any] = {
        "tenant": "other",
        "produces": "consent",
        "require_identity": True,
        "email_details": False,
        "journey_optimizer": True,
        "soft_bounces": True,
        "dismiss_actions": ["close"],
        "keep_raw": True,
        "topics": {"topic_1": "news"},
        "entity_bytes_max": 5_000,
    }
    identity = {"namespace": "CRM", "source": "data.customer_id", "form": "text"}
    made = settings_of(
        options(**given, identities=[IdentityOptions(**identity, types=["email.*"])])  # type: ignore[arg-type]  # the form is one of those
    )
    assert made.identities == (Identity(**identity, types=("email.*",)),)  # type: ignore[arg-type]  # the same
    for name, value in given.items():
        found = getattr(made, name)
        assert (list(found) if name == "dismiss_actions" else found) == value
    assert set(MappingSettings.__struct_fields__) == given.keys() | {"identities"}


def test_an_identity_whose_source_is_no_expression_is_told_by_its_number() -> None:
    wrong = IdentityOptions(namespace="CRM", source="customer_id")
    with pytest.raises(ConfigurationError, match=r"identities\[0\] is wrong: no event") as caught:
        mapper_of(options(identities=[wrong]))
    assert "`data.customer_id`" in caught.value.hint


def test_the_mapping_file_is_a_layer_and_names_itself(tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text('[[rules]]\ndestination = "producedBy"\nconstant = "ü"\n', encoding="utf-8")
    (layer,) = layers_of(options(mapping=str(file)))
    assert (layer.rules[0].source, layer.rules[0].origin) == ('"ü"', f"{file}:1")
    assert mapper_of(options(mapping=str(file))).rules[-1] == layer.rules[0]
    assert layers_of(options()) == ()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file"),
        (b"#" * (CONFIG_FILE_BYTES_MAX + 1), "larger than a mapping can be"),
        (b"#\n# \xff", "mapping.toml:2 is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    file = tmp_path / "mapping.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=told) as caught:
        read_mapping_file(file)
    assert str(file) in str(caught.value)


def test_a_wrong_file_is_an_error_of_the_configuration_with_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text("\nrulse = 1\n")
    with pytest.raises(MappingErrors, match="line 2, rulse"):
        mapper_of(options(mapping=str(file)))

"""``streamer aep setup`` and a mapping file: the schema has its fields before they are sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.aep_desk import AepDesk, aep_desk

__all__ = ["aep_desk"]

OWN_FIELDS = """
[[rules]]
destination = "_{tenant}.customerio.tier"
source = "data.variables.tier"

[[rules]]
destination = "_{tenant}.customerio.shop.country"
source = "data.variables.country"

[fields]
"_{tenant}.customerio.tier" = "text"
"_{tenant}.customerio.shop.country" = "text"
"""

OF_AN_OPTION = """
[[rules]]
destination = "_experience.customerJourneyManagement.messageExecution.messageExecutionID"
source = "data.delivery_id"
"""


def mapping_file(directory: Path, text: str = OWN_FIELDS) -> Path:
    file = directory / "own.toml"
    file.write_text(text, encoding="utf-8")
    return file


def own_group(desk: AepDesk) -> dict[str, Any]:
    """Return what the tenant's field group has, as it stands in the registry."""
    [group] = desk.adobe.organisation.field_groups
    top = group["definitions"]["customFields"]["properties"]["_acme"]["properties"]
    properties: dict[str, Any] = top["customerio"]["properties"]
    return properties


def test_the_fields_of_a_mapping_file_go_into_the_schema_and_its_name_into_the_configuration(
    aep_desk: AepDesk, tmp_path: Path
) -> None:
    file = mapping_file(tmp_path)
    aep_desk.set_up("--mapping", str(file), "--consent")
    assert own_group(aep_desk)["tier"]["type"] == "string"
    assert own_group(aep_desk)["shop"]["properties"].keys() == {"country"}
    assert aep_desk.options().mapping == str(file)
    assert "mapping" not in aep_desk.table("lake-consent")


def test_fields_are_added_to_a_set_up_that_is_there(aep_desk: AepDesk, tmp_path: Path) -> None:
    aep_desk.set_up()
    answer = aep_desk.set_up("--mapping", str(mapping_file(tmp_path)))
    assert "adds the fields tier, shop" in answer.out
    assert answer.out.count("is there") == 6
    assert "Wrote [destinations.lake]" in answer.out
    assert own_group(aep_desk).keys() >= {"tier", "shop", "deliveryID"}


def test_the_mapping_that_is_configured_counts_too_and_stays_as_it_is_written(
    aep_desk: AepDesk,
) -> None:
    aep_desk.set_up()
    file = mapping_file(aep_desk.config_file.parent)
    text = aep_desk.config_file.read_text("utf-8")
    named = text.replace('tenant = "acme"', f'tenant = "acme"\nmapping = "{file.name}"')
    aep_desk.config_file.write_text(named, encoding="utf-8")
    answer = aep_desk.run("aep", "setup", "--no-wait")
    assert "adds the fields tier, shop" in answer.out
    assert "says all of it already" in answer.out
    assert aep_desk.config_file.read_text("utf-8") == named
    assert "tier" in own_group(aep_desk)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules = 1", "own.toml"),
        (OWN_FIELDS.replace(".shop.country", ".shop.town", 1), "_{tenant}.customerio.shop.town"),
        (OWN_FIELDS.replace("customerio.tier", "customerio.deliveryID"), "deliveryID"),
        (OF_AN_OPTION, "it needs `journey_optimizer = true`"),
    ],
)
def test_a_mapping_file_that_does_not_fit_is_told_before_anything_is_made(
    aep_desk: AepDesk, tmp_path: Path, text: str, said: str
) -> None:
    file = mapping_file(tmp_path, text)
    answer = aep_desk.run("aep", "setup", "--no-wait", "--mapping", str(file), *aep_desk.access)
    assert answer.code != 0
    assert said in answer.err
    assert aep_desk.writes() == []


def test_a_mapping_file_that_is_not_there_is_told_before_any_call(aep_desk: AepDesk) -> None:
    answer = aep_desk.run("aep", "setup", "--mapping", "absent.toml", *aep_desk.access)
    assert answer.code != 0
    assert "absent.toml cannot be read" in answer.err
    assert aep_desk.adobe.requests == []

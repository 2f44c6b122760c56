"""The catalogue agrees with the compiled reference, type by type and field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streamer.core import catalogue
from streamer.core.samples import sample_event, sample_names

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "customerio-events.json"
NUMBERS = range(24)

# Printed beside the envelope in two versions of the vendor's schema; taken for misprints.
MISPRINTS = {"object_type_type", "delivery_type"}


@pytest.fixture(scope="module")
def reference() -> dict[str, dict[str, Any]]:
    if not REFERENCE.exists():
        pytest.skip("the compiled reference is not beside this repository")
    every = json.loads(REFERENCE.read_text())
    return {
        f"{object_type}.{metric}": described
        for object_type, metrics in every.items()
        if not object_type.startswith("_")
        for metric, described in metrics.items()
    }


def paths_in(value: object, prefix: str = "") -> set[str]:
    """Name every field in the reference's way: dots between levels, ``[]`` after a list."""
    if isinstance(value, list):
        below = (paths_in(element, f"{prefix}[]") for element in value)
        return {prefix, *set().union(*below)} - {f"{prefix}[]"}
    if not isinstance(value, dict):
        return {prefix}
    below = (paths_in(inner, f"{prefix}.{name}".strip(".")) for name, inner in value.items())
    return {prefix, *set().union(*below)} - {""}


def all_paths(name: str) -> list[set[str]]:
    object_type, metric = name.split(".")
    return [
        paths_in(
            sample_event(
                name, number=number, at_seconds=1, variant=variant, with_content=with_content
            )["data"]
        )
        for variant in catalogue.variants(object_type, metric)
        if (name, variant) != ("email.unsubscribed", catalogue.PERSON)
        for number in NUMBERS
        for with_content in (False, True)
    ]


def test_every_type_of_the_reference_is_known_and_has_a_sample(
    reference: dict[str, dict[str, Any]],
) -> None:
    assert len(reference) > 70
    assert set(reference) <= set(sample_names())


def test_nothing_is_known_that_the_reference_does_not_list(
    reference: dict[str, dict[str, Any]],
) -> None:
    through_channels = {
        f"{object_type}.{name.split('.')[1]}"
        for name, described in reference.items()
        for object_type in described.get("object_types", [])
    }
    assert set(sample_names()) == set(reference) | through_channels


def test_every_sample_carries_each_required_field(reference: dict[str, dict[str, Any]]) -> None:
    for name, described in reference.items():
        required = {path for path, field in described["fields"].items() if field["required"]}
        for paths in all_paths(name):
            assert required <= paths, name


def test_samples_carry_every_listed_field_at_some_time_and_no_other(
    reference: dict[str, dict[str, Any]],
) -> None:
    for name, described in reference.items():
        listed = set(described["fields"]) - MISPRINTS
        made = set().union(*all_paths(name))
        assert {path for path in made if not path.startswith("headers.")} == listed, name


def test_samples_have_the_types_of_the_reference(reference: dict[str, dict[str, Any]]) -> None:
    kinds: dict[str, Any] = {
        "string": str,
        "integer": int,
        "boolean": bool,
        "object": dict,
        "array": list,
    }
    for name, described in reference.items():
        for variant in catalogue.variants(*name.split(".")):
            event = sample_event(name, number=8, at_seconds=1, variant=variant, with_content=True)
            data = event["data"]
            assert isinstance(data, dict)
            for field, value in data.items():
                listed = described["fields"].get(field)
                if listed is None:
                    assert (name, variant) == ("email.unsubscribed", catalogue.PERSON)
                else:
                    assert type(value) is kinds[listed["type"]], (name, field)


@pytest.mark.parametrize("name", ["push.bounced", "push.dropped"])
def test_every_device_that_failed_says_which_it_is_and_why(name: str) -> None:
    counts = set()
    for number in NUMBERS:
        data = sample_event(name, number=number, at_seconds=1)["data"]
        assert isinstance(data, dict)
        counts.add(len(data["recipients"]))
        for device in data["recipients"]:
            assert set(device) == {"device_id", "device_platform", "failure_message"}
    assert counts == {1, 2}


def test_each_variant_carries_the_fields_of_no_other_variant() -> None:
    own = {"campaign_id", "broadcast_id", "newsletter_id", "transactional_message_id"}
    for name in sample_names():
        for variant in catalogue.variants(*name.split(".")):
            data = sample_event(name, number=1, at_seconds=1, variant=variant)["data"]
            assert isinstance(data, dict)
            expected = {f"{variant}_id", f"{variant}_message_id"} & own
            assert own & set(data) == expected, (name, variant)


def test_a_person_event_is_known_under_every_channel() -> None:
    for object_type in catalogue.OBJECT_TYPES:
        for metric in catalogue.PERSON_METRICS:
            assert (object_type, metric) in catalogue.known_types()


def test_names_and_known_types_are_the_same_set_and_no_name_comes_twice() -> None:
    names = catalogue.type_names()
    assert len(names) == len(set(names))
    assert {tuple(name.split(".")) for name in names} == catalogue.known_types()


def test_the_pair_that_two_events_share_comes_as_either() -> None:
    message = sample_event("email.unsubscribed", number=1, at_seconds=1)["data"]
    person = sample_event("email.unsubscribed", number=1, at_seconds=1, variant="person")["data"]
    assert isinstance(message, dict)
    assert isinstance(person, dict)
    assert {"recipient", "subject", "delivery_id"} <= set(message)
    assert "email_address" not in message
    assert set(person) == {"customer_id", "identifiers", "email_address"}


@pytest.mark.parametrize("kind", [("email", "sung"), ("fax", "sent"), ("", "")])
def test_an_unknown_type_has_no_variants(kind: tuple[str, str]) -> None:
    assert catalogue.variants(*kind) == ()

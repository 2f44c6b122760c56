"""The types agree with the compiled reference, and take every sample of every variant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streamer.core import catalogue
from streamer.core.catalogue import fields, tables
from streamer.core.catalogue.types import EventType, every_type, struct_of, type_of, types_of
from streamer.core.samples import sample_event

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "customerio-events.json"
REFERENCE_KINDS = {
    "string": {fields.Kind.TEXT, fields.Kind.ID},
    "integer": {fields.Kind.ID},
    "boolean": {fields.Kind.FLAG},
    "array": {fields.Kind.DEVICES},
    "object": {fields.Kind.IDENTIFIERS, fields.Kind.HEADERS},
}
FAILURES_OF_DEVICES = "recipients[].failure_message"
"""Known of devices of some metrics; a device has one shape, since any may fail."""


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    if not REFERENCE.exists():
        pytest.skip("the compiled reference is not beside this repository")
    every: dict[str, Any] = json.loads(REFERENCE.read_text())
    return every


def type_of_sample(name: str, document: dict[str, Any]) -> EventType:
    """Return the type of a sample, which has one."""
    object_type, _, metric = name.partition(".")
    found = type_of(object_type, metric, document["data"])
    assert found is not None
    return found


def described(reference: dict[str, Any]) -> Iterator[tuple[EventType, dict[str, Any]]]:
    """Pair each of our types with what the reference says of it."""
    for event_type in every_type():
        channel = "customer" if event_type.is_person else event_type.object_type
        yield event_type, reference[channel][event_type.metric]


def samples(numbers: range = range(24)) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield every variant of every type, with and without content, in many forms."""
    for name in catalogue.type_names():
        for variant in catalogue.variants(*name.split(".")):
            for number in numbers:
                for with_content in (False, True):
                    yield name, sample_event(
                        name, number=number, at_seconds=1, variant=variant,
                        with_content=with_content,
                    )  # fmt: skip


@pytest.mark.parametrize("strict", [False, True], ids=["open", "strict"])
def test_every_sample_of_every_variant_is_decoded_to_what_it_says(strict: bool) -> None:
    for name, document in samples():
        struct = struct_of(type_of_sample(name, document), strict=strict)
        event: Any = msgspec.json.decode(msgspec.json.encode(document), type=struct)
        said = {key: value for key, value in as_builtins(event.data).items() if value is not None}
        sent = document["data"]
        assert isinstance(sent, dict)
        assert {key: value for key, value in said.items() if key != "identifiers"} == {
            key: value for key, value in sent.items() if key != "identifiers" and value is not None
        }
        assert {k: v for k, v in said["identifiers"].items() if v is not None} == sent[
            "identifiers"
        ]


def as_builtins(data: msgspec.Struct) -> dict[str, Any]:
    """Turn a struct into what JSON had; a device's fields that it does not have are left out."""
    plain: dict[str, Any] = msgspec.to_builtins(data)
    if plain.get("recipients"):
        plain["recipients"] = [
            {key: value for key, value in device.items() if value is not None}
            for device in plain["recipients"]
        ]
    return plain


def test_every_object_type_and_metric_of_the_reference_is_a_type_and_no_other(
    reference: dict[str, Any],
) -> None:
    listed = {
        (object_type, metric)
        for kind, metrics in reference.items()
        if not kind.startswith("_")
        for metric, one in metrics.items()
        for object_type in (one.get("object_types") or [kind])
    }
    assert len(listed) > 90
    assert {(one.object_type, one.metric) for one in every_type()} == listed


def test_every_field_of_the_reference_is_in_its_type_and_no_other(
    reference: dict[str, Any],
) -> None:
    for event_type, one in described(reference):
        ours = {path for path, _, _ in event_type.fields}
        listed = set(one["fields"]) - set(fields.MISPRINTS)
        assert ours - listed <= {FAILURES_OF_DEVICES}, event_type.name
        assert listed - ours == set(), event_type.name


def test_every_field_has_the_kind_of_the_reference(reference: dict[str, Any]) -> None:
    for event_type, one in described(reference):
        for path, field, _ in event_type.fields:
            if path in one["fields"]:
                kinds = REFERENCE_KINDS[one["fields"][path]["type"]]
                assert field.kind in kinds, (event_type.name, path)


def test_the_envelope_is_that_of_the_reference(reference: dict[str, Any]) -> None:
    assert set(fields.ENVELOPE) == set(reference["_envelope"]["fields"])


def test_what_is_printed_beside_the_envelope_is_taken_there(reference: dict[str, Any]) -> None:
    one = reference["customer"][tables.PREFERENCES]["fields"]
    assert {name for name, said in one.items() if "ENVELOPE" in said["note"]} == set(
        fields.MISPRINTS
    )
    for event_type in every_type():
        members = {member.name for member in msgspec.structs.fields(struct_of(event_type))}
        extra = set(fields.MISPRINTS) if event_type.metric == tables.PREFERENCES else set()
        assert members == {*fields.ENVELOPE, *extra}


def test_variants_are_those_of_the_reference(reference: dict[str, Any]) -> None:
    listed = {
        name: set(names) for name, names in reference["_data_variants"].items() if name != "note"
    }
    ours = {name: {*one.always, *one.sometimes} for name, one in tables.VARIANTS.items()}
    assert ours == listed


def test_what_is_a_guess_is_said_to_be_one(reference: dict[str, Any]) -> None:
    for event_type, one in described(reference):
        assert event_type.is_guessed == (one["confidence"] == "low"), event_type.name


def test_legacy_types_are_those_of_the_reference(reference: dict[str, Any]) -> None:
    listed = reference["_legacy_2012_2019"]["discriminator"]
    inside = listed[listed.index("(") + 1 : listed.index(")")]
    assert set(tables.LEGACY_TYPES) == set(inside.split(", "))


def test_each_field_is_used_and_each_metric_has_a_meaning() -> None:
    used = {name for one in every_type() for name in (*one.always, *one.sometimes)}
    assert used == set(fields.FIELDS)
    metrics = {one.metric for one in every_type() if not one.is_person}
    assert set(tables.MEANINGS) == metrics
    assert set(tables.PERSON_MEANINGS) == set(tables.PERSONS) == set(tables.PERSON_METRICS)


def test_titles_are_names_that_no_two_types_share() -> None:
    titles = [one.title for one in every_type()]
    assert len(titles) == len(set(titles)) == len(catalogue.type_names()) + 1
    assert all(title.isidentifier() for title in titles)


@pytest.mark.parametrize(
    ("data", "is_person"),
    [
        ({"recipient": "a@example.com", "subject": "Hello"}, False),
        ({"recipient": "a@example.com"}, False),
        ({"subject": "Hello", "email_address": "a@example.com"}, False),
        ({"email_address": "a@example.com"}, True),
        ({"email_address": None}, True),
        ({}, False),
        (None, False),
        ("text", False),
    ],
)
def test_the_pair_that_two_events_share_is_told_apart_by_its_data(
    data: object, is_person: bool
) -> None:
    assert len(types_of("email", "unsubscribed")) == 2
    found = type_of("email", "unsubscribed", data)
    assert found is not None
    assert found.is_person is is_person


def test_a_change_of_preferences_may_lack_its_object_type() -> None:
    assert type_of(None, tables.PREFERENCES) == type_of("customer", tables.PREFERENCES)
    assert catalogue.is_known(None, tables.PREFERENCES)
    assert catalogue.is_known("", tables.PREFERENCES)


@pytest.mark.parametrize(
    "pair", [("fax", "sent"), ("email", "sung"), (None, "sent"), ("email", None), (None, None)]
)
def test_an_unknown_pair_has_no_type(pair: tuple[str | None, str | None]) -> None:
    assert type_of(*pair) is None
    assert not catalogue.is_known(*pair)


def test_names_from_outside_leave_nothing_behind() -> None:
    """Whatever is remembered of types is bounded by the types that there are."""
    for number in range(100):
        assert types_of(f"invented-{number}", "sent") == ()
    assert types_of("email", "sent") is types_of("email", "sent")


@pytest.mark.parametrize("value", ["0042", 42, None])
def test_an_id_may_be_text_or_a_number_or_null(value: object) -> None:
    event_type = type_of("email", "clicked")
    assert event_type is not None
    ids = [path for path, field, _ in event_type.fields if field.kind is fields.Kind.ID]
    data: dict[str, Any] = {name: value for name in ids if "." not in name}
    data["identifiers"] = {"id": value, "cio_id": value}
    document = {"event_id": "e", "object_type": "email", "metric": "clicked", "data": data}
    event: Any = msgspec.convert(document, struct_of(event_type, strict=True))
    assert len(ids) > 10
    assert {getattr(event.data, name) for name in data if name != "identifiers"} == {value}
    assert (event.data.identifiers.id, event.data.identifiers.cio_id) == (value, value)

"""The schemas are ones by other people's measure, take every sample, and refuse what is broken."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from streamer.core.catalogue.schema import DIALECT, asyncapi, json_schema
from streamer.core.catalogue.types import EventType, every_type, type_of
from streamer.core.samples import sample_event, sample_names
from tests.core.catalogue.test_types import samples, type_of_sample


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return as_printed(json_schema(every_type()))


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return as_printed(asyncapi(every_type(), version="1.2.3"))


def as_printed(schema: dict[str, Any]) -> dict[str, Any]:
    printed: dict[str, Any] = json.loads(json.dumps(schema))
    return printed


def schema_of(schema: dict[str, Any], event_type: EventType) -> Draft202012Validator:
    """Validate against one type alone: in ``anyOf`` a broken sample has 94 chances."""
    chosen = {**schema, "anyOf": [{"$ref": f"#/$defs/{event_type.title}"}]}
    return Draft202012Validator(chosen)


def refs_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from refs_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs_in(inner)


def resolve(document: dict[str, Any], ref: str) -> Any:  # noqa: ANN401 - any part of a document
    """Follow a JSON pointer; raises `KeyError` when it leads nowhere."""
    found: Any = document
    for step in ref.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_the_schema_is_one_of_its_dialect(whole: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(whole)
    assert whole["$schema"] == DIALECT == Draft202012Validator.META_SCHEMA["$id"]
    assert len(whole["anyOf"]) == len(every_type())
    refs = set(refs_in(whole))
    assert len(refs) > 180
    assert refs == {f"#/$defs/{name}" for name in whole["$defs"]}


def test_every_sample_is_valid_by_its_own_type(whole: dict[str, Any]) -> None:
    validators = {one: schema_of(whole, one) for one in every_type()}
    for name, document in samples(range(8)):
        event_type = type_of_sample(name, document)
        assert validators[event_type].is_valid(document), name


def test_one_sample_of_each_type_is_valid_by_the_whole(whole: dict[str, Any]) -> None:
    validator = Draft202012Validator(whole)
    for name in sample_names():
        assert validator.is_valid(sample_event(name, number=1, at_seconds=5)), name


def test_what_may_surprise_is_valid(whole: dict[str, Any]) -> None:
    validator = Draft202012Validator(whole)
    document: Any = sample_event("email.clicked", number=1, at_seconds=5)
    document["data"] |= {"link_id": "0042", "campaign_id": None, "a new field": [1]}
    document["new"] = 1
    del document["data"]["recipient"]
    validator.validate(document)
    validator.validate({"event_id": "e", "metric": "cio_subscription_preferences_changed"})


BROKEN: list[tuple[str, tuple[str, ...], object]] = [
    ("email.clicked", ("event_id",), None),
    ("email.clicked", ("event_id",), 1.5),
    ("email.clicked", ("metric",), "sung"),
    ("email.clicked", ("object_type",), "fax"),
    ("email.clicked", ("timestamp",), "yesterday"),
    ("email.clicked", ("data",), [1]),
    ("email.clicked", ("data", "link_id"), {"number": 1}),
    ("email.clicked", ("data", "subject"), 5),
    ("email.clicked", ("data", "identifiers"), "a@example.com"),
    ("email.clicked", ("data", "identifiers", "id"), ["1"]),
    ("email.opened", ("data", "proxied"), "yes"),
    ("email.sent", ("data", "headers"), {"X-Order": "5"}),
    ("push.sent", ("data", "recipients"), {"device_id": "a"}),
    ("push.sent", ("data", "recipients"), [{"device_platform": 5}]),
    ("customer.subscribed", ("data", "email_address"), False),
]


@pytest.mark.parametrize(("name", "path", "value"), BROKEN)
def test_a_broken_sample_is_caught_by_the_whole_and_by_its_type(
    whole: dict[str, Any], name: str, path: tuple[str, ...], value: object
) -> None:
    document: Any = sample_event(name, number=1, at_seconds=5, with_content=True)
    event_type = type_of_sample(name, document)
    target = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    for validator in (Draft202012Validator(whole), schema_of(whole, event_type)):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(document)


@pytest.mark.parametrize("name", ["event_id", "object_type", "metric"])
def test_an_event_that_does_not_say_what_it_is_is_caught(whole: dict[str, Any], name: str) -> None:
    document = sample_event("email.clicked", number=1, at_seconds=5)
    del document[name]
    assert not Draft202012Validator(whole).is_valid(document)


def test_a_schema_of_one_type_has_nothing_of_the_others() -> None:
    event_type = type_of("email", "clicked")
    assert event_type is not None
    schema = as_printed(json_schema([event_type]))
    assert set(schema["$defs"]) == {"EmailClicked", "EmailClickedData", "Identifiers"}
    validator = Draft202012Validator(schema)
    assert validator.is_valid(sample_event("email.clicked", number=1, at_seconds=5))
    assert not validator.is_valid(sample_event("email.opened", number=1, at_seconds=5))


def test_every_field_says_what_it_means(whole: dict[str, Any]) -> None:
    for name, one in whole["$defs"].items():
        assert one["description"], name
        for field, described in one["properties"].items():
            assert described.get("description"), (name, field)


def test_the_asyncapi_document_has_what_one_must_have(described: dict[str, Any]) -> None:
    assert described["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(described["info"])
    assert described["info"]["version"] == "1.2.3"
    (channel,) = described["channels"].values()
    assert channel["address"] == "/webhooks/{source}"
    assert set(channel["parameters"]) == {"source"}
    (operation,) = described["operations"].values()
    assert operation["action"] == "receive"
    assert resolve(described, operation["channel"]["$ref"]) is channel
    known = {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"}
    assert set(described) == known


def test_every_reference_of_the_asyncapi_document_leads_somewhere(
    described: dict[str, Any],
) -> None:
    refs = set(refs_in(described))
    assert len(refs) > 300
    for ref in refs:
        assert ref.startswith("#/")
        assert resolve(described, ref)


def test_there_is_a_message_for_each_type_and_each_is_received(described: dict[str, Any]) -> None:
    titles = [one.title for one in every_type()]
    (channel,) = described["channels"].values()
    (operation,) = described["operations"].values()
    assert list(described["components"]["messages"]) == list(channel["messages"]) == titles
    received = [resolve(described, message["$ref"]) for message in operation["messages"]]
    assert received == list(channel["messages"].values())
    for event_type, message in zip(
        every_type(), described["components"]["messages"].values(), strict=True
    ):
        assert message["name"] == event_type.name
        assert message["payload"] == {"$ref": f"#/components/schemas/{event_type.title}"}
        assert event_type.meaning.casefold() in message["summary"].casefold()


def test_its_payloads_are_schemas_in_the_dialect_that_asyncapi_reads(
    described: dict[str, Any],
) -> None:
    """AsyncAPI's own dialect is a superset of draft 7, so draft 7 must understand all of it."""
    for name in ("email.clicked", "push.sent", "customer.subscribed"):
        document: Any = sample_event(name, number=1, at_seconds=5)
        event_type = type_of_sample(name, document)
        schema = {**described, **described["components"]["messages"][event_type.title]["payload"]}
        Draft7Validator.check_schema(described["components"]["schemas"][event_type.title])
        validator = Draft7Validator(schema)
        assert validator.is_valid(document), name
        broken = copy.deepcopy(document)
        broken["data"]["identifiers"] = 5
        assert not validator.is_valid(broken), name

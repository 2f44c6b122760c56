"""What a mapper refuses at once, and what it knows of an event beyond its body: id, time, order."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from streamer.core.errors import ConfigurationError
from streamer.core.event import StoredEvent
from streamer.core.mapping_limits import MAPPING_PLANS_MAX
from streamer.core.xdm.mapper import Mapped, Mapper, Unmappable
from streamer.core.xdm.settings import Identity, MappingSettings
from tests.core.xdm.events import (
    AT_SECONDS,
    CLICKED,
    RECEIVED_AT,
    SETTINGS,
    body_of,
    entity_of,
    every_sample,
    mapped,
    own,
    stored,
)
from tests.core.xdm.layers import layer, result_of, rule, with_layers


@pytest.mark.parametrize(
    ("destination", "hint"),
    [
        ("directMarketing.linkUrl", "did you mean directMarketing.linkURL?"),
        ("_{tenant}.customerio.campainID", "did you mean _{tenant}.customerio.campaignID?"),
        ("identityMap", ""),
        ("directMarketing", ""),
    ],
)
def test_a_path_that_there_is_not_is_refused_at_once(destination: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mapping.toml:3 writes to") as caught:
        with_layers(layer(rule(destination, "data.x")))
    assert hint in caught.value.hint


def test_a_path_of_a_group_that_is_switched_off_is_refused_with_its_setting() -> None:
    lean = MappingSettings(tenant="acme", email_details=False)
    with pytest.raises(ConfigurationError) as caught:
        with_layers(layer(rule("directMarketing.linkURL", "data.x")), settings=lean)
    assert "email_details" in caught.value.hint
    journey = "_experience.customerJourneyManagement.messageInteraction.label"
    with pytest.raises(ConfigurationError) as caught:
        with_layers(layer(rule(journey, "data.x")))
    assert "journey_optimizer" in caught.value.hint


def test_all_paths_that_there_are_not_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        with_layers(layer(rule("directMarketing.linkUrl", "data.x"), rule("web.nothing", "data.x")))
    first, second = str(caught.value).splitlines()
    assert "did you mean directMarketing.linkURL?" in first
    assert "web.nothing" in second


@pytest.mark.parametrize(
    "fields",
    [
        {"href": "text"},
        {"recipients.more": "text"},
        {"a b": "text"},
        {"mine": "texts"},
        {"mine": "text", "mine.more": "text"},
    ],
)
def test_a_field_that_cannot_be_is_refused_at_once(fields: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be added"):
        with_layers(layer(fields=fields))


def test_an_identity_whose_source_means_nothing_is_refused_at_once() -> None:
    settings = MappingSettings(
        tenant="acme", identities=(Identity(namespace="Email", source="data.("),)
    )
    with pytest.raises(ConfigurationError, match="the identity Email"):
        Mapper(settings)


@pytest.mark.parametrize(
    "event_id", ["01E4C4CT6YDC7Y5M7FE1GWWPQJ", "5f0c-4a", "a/b?c=d", "a%20b", "..", "~"]
)
def test_an_event_id_that_is_a_reference_is_the_entitys_id(event_id: str) -> None:
    body = CLICKED.replace(b"01E4C4CT6YDC7Y5M7FE1GWWPQJ", event_id.encode())
    assert entity_of(body)["_id"] == event_id


@pytest.mark.parametrize(
    "event_id", ["a:b", "a b", "ü", "a#b", "50%", "//host", "[1]", "a\u0000b", "\u2028", '"', "\\"]
)
def test_any_other_event_id_is_hashed_and_kept_beside(event_id: str) -> None:
    document = msgspec.json.decode(CLICKED) | {"event_id": event_id}
    entity = entity_of(msgspec.json.encode(document))
    assert entity["_id"] == hashlib.sha256(event_id.encode()).hexdigest()
    assert own(entity)["eventID"] == event_id


def test_a_time_in_the_past_is_the_entitys() -> None:
    result = mapped(CLICKED)
    entity = msgspec.json.decode(result.entity)
    assert not result.time_replaced
    assert entity["timestamp"] == "2025-06-15T15:06:40Z"
    assert "sentTimestamp" not in own(entity)


@pytest.mark.parametrize(
    ("timestamp", "kept"),
    [
        (AT_SECONDS + 2, "2025-06-15T15:06:42Z"),
        (AT_SECONDS + 10**9, "2057-02-21T16:53:20Z"),
        ("tomorrow", "tomorrow"),
        (-5, "-5"),
        (10**30, str(10**30)),
        (True, None),
        (None, None),
        ({"seconds": 5}, None),
    ],
)
def test_a_time_that_cannot_be_is_replaced_by_that_of_receipt_kept_and_said(
    timestamp: object, kept: str | None
) -> None:
    document = msgspec.json.decode(CLICKED) | {"timestamp": timestamp}
    result = mapped(msgspec.json.encode(document))
    entity = msgspec.json.decode(result.entity)
    assert result.time_replaced
    assert entity["timestamp"] == "2025-06-15T15:06:41.250Z"
    assert own(entity).get("sentTimestamp") == kept


def test_a_time_of_the_moment_of_receipt_is_no_future() -> None:
    assert not mapped(CLICKED, received_at=AT_SECONDS * 1000).time_replaced
    assert mapped(CLICKED, received_at=AT_SECONDS * 1000 - 1).time_replaced


def test_what_the_outbox_knows_cannot_be_forged_by_the_event() -> None:
    document = msgspec.json.decode(CLICKED) | {"streamer": {"position": 1, "time": "2001"}}
    body = msgspec.json.encode(document)
    entity = entity_of(body, position=9)
    assert own(entity)["sequence"] == 9
    assert entity["timestamp"] == "2025-06-15T15:06:40Z"


def test_rules_know_what_the_outbox_knows() -> None:
    names = ("position", "source", "received_at", "time", "type", "tenant", "event_id")
    mine = layer(
        *(rule(f"OWN.my_{name}", f"streamer.{name}") for name in names),
        fields={f"my_{name}": "text" for name in names},
    )
    group = own(entity_of(CLICKED, with_layers(mine)))
    assert {name: group[f"my_{name}"] for name in names} == {
        "position": "184467",
        "source": "customerio",
        "received_at": "2025-06-15T15:06:41.250Z",
        "time": "2025-06-15T15:06:40Z",
        "type": "email.clicked",
        "tenant": "acme",
        "event_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ",
    }


def test_private_fields_that_were_taken_out_are_not_looked_up_in_the_event() -> None:
    event = stored(CLICKED)
    redacted = body_of("email", "clicked")
    result = Mapper(SETTINGS).map(event, redacted)
    assert isinstance(result, Mapped)
    assert b"RPIL" not in result.entity


def test_an_event_of_which_nobody_is_known_is_written_or_refused_as_is_asked_for() -> None:
    body = body_of("webhook", "drafted")
    strict = Mapper(MappingSettings(tenant="acme", require_identity=True))
    assert "identityMap" not in entity_of(body)
    result = result_of(body, strict)
    assert isinstance(result, Unmappable)
    assert result.path == "identityMap"
    assert "identityMap" in entity_of(body_of("email", "sent", recipient="a@example.com"), strict)


def test_a_body_that_cannot_be_read_is_said_to_be_so() -> None:
    event = stored(CLICKED)
    for body in (b"", b"[]", b"null", b"{", b'{"a":' + b"[" * 100_000, b"\xff"):
        result = Mapper(SETTINGS).map(event, body)
        assert isinstance(result, Unmappable), body
        assert result.detail == "the event's body cannot be read"


def test_the_whole_event_is_kept_as_text_when_that_is_asked_for() -> None:
    mapper = Mapper(MappingSettings(tenant="acme", keep_raw=True))
    assert own(entity_of(CLICKED, mapper))["raw"] == CLICKED.decode()
    assert "raw" not in own(entity_of(CLICKED))


def test_the_same_event_gives_the_same_bytes_whatever_was_mapped_between() -> None:
    bodies = list(every_sample(8))
    mapper = Mapper(MappingSettings(tenant="acme", journey_optimizer=True))
    first = [mapped(body, mapper).entity for body in bodies]
    again = Mapper(MappingSettings(tenant="acme", journey_optimizer=True))
    second = [mapped(body, again).entity for body in reversed(bodies)]
    assert first == second[::-1]


def test_types_that_strangers_invent_are_not_remembered_for_ever() -> None:
    mapper = Mapper(SETTINGS)
    for number in range(MAPPING_PLANS_MAX + 50):
        mapped(body_of("email", f"metric_{number}"), mapper)
    assert mapper._plan_of.cache_info().currsize == MAPPING_PLANS_MAX


def test_an_event_without_type_or_metric_is_unknown() -> None:
    body = msgspec.json.encode({"event_id": "x", "timestamp": AT_SECONDS})
    event = StoredEvent(1, "customerio", "x", None, None, AT_SECONDS, RECEIVED_AT, 0, body)
    result = Mapper(SETTINGS).map(event, body)
    assert isinstance(result, Mapped)
    assert msgspec.json.decode(result.entity)["eventType"] == "customerio.unknown.unknown"

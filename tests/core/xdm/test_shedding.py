"""What an entity that is too large loses, in which order, and what it keeps."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streamer.core.mapping_limits import SHED_REASON_BYTES_MAX, SHED_RECIPIENTS_MAX
from streamer.core.xdm.mapper import Mapped, Mapper, Unmappable
from streamer.core.xdm.settings import ENTITY_BYTES_MAX, MappingSettings
from streamer.core.xdm.shedding import cut_text
from tests.core.xdm.events import SETTINGS, body_of, mapped, own, stored

DEVICES = [{"device_id": f"{number:0200}"} for number in range(30)]


def shed(
    body: bytes, settings: MappingSettings = SETTINGS
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the entity, and what it lost."""
    result = mapped(body, Mapper(settings))
    assert len(result.entity) <= settings.entity_bytes_max
    return msgspec.json.decode(result.entity), result.shed


def test_what_fits_loses_nothing() -> None:
    body = body_of("push", "sent", content="x" * 300, recipients=DEVICES, headers={"a": ["b"]})
    entity, lost = shed(body)
    assert lost == ()
    assert own(entity)["content"] == "x" * 300
    assert own(entity)["headers"] == '{"a":["b"]}'
    assert len(own(entity)["recipients"]) == 30


def test_an_entity_of_the_largest_size_loses_nothing_and_one_byte_more_does() -> None:
    room = ENTITY_BYTES_MAX - len(mapped(body_of("email", "sent", content="x")).entity) + 1
    entity, lost = shed(body_of("email", "sent", content="x" * room))
    assert lost == ()
    assert len(msgspec.json.encode(entity)) == ENTITY_BYTES_MAX
    assert shed(body_of("email", "sent", content="x" * (room + 1)))[1] == ("content",)


def test_sizes_are_bytes_of_utf_8_and_not_characters() -> None:
    entity, lost = shed(body_of("email", "sent", content="ü" * (ENTITY_BYTES_MAX // 2 + 1)))
    assert lost == ("content",)
    assert "content" not in own(entity)


@pytest.mark.parametrize(
    ("bytes_max", "lost"),
    [
        (20_000, ()),
        (15_000, ("content",)),
        (11_000, ("content", "headers")),
        (7_000, ("content", "headers", "recipients")),
        (4_500, ("content", "headers", "recipients", "failureMessage")),
    ],
)
def test_things_go_in_the_documented_order_and_no_more_than_needed(
    bytes_max: int, lost: tuple[str, ...]
) -> None:
    body = body_of(
        "push",
        "bounced",
        content="c" * 4_000,
        headers={"h": "h" * 3_000},
        recipients=DEVICES,
        failure_message="f" * 3_000,
    )
    settings = MappingSettings(tenant="acme", entity_bytes_max=bytes_max)
    entity, found = shed(body, settings)
    assert found == lost
    group = own(entity)
    assert ("content" in group) == ("content" not in lost)
    assert ("headers" in group) == ("headers" not in lost)
    assert len(group["recipients"]) == (SHED_RECIPIENTS_MAX if "recipients" in lost else 30)
    cut = SHED_REASON_BYTES_MAX if "failureMessage" in lost else 3_000
    assert group["failureMessage"] == "f" * cut


def test_a_reason_is_cut_wherever_it_stands() -> None:
    settings = MappingSettings(tenant="acme", journey_optimizer=True)
    body = body_of("email", "bounced", failure_message="é" * 4_000)
    entity, lost = shed(body, settings)
    assert lost == ("failureMessage",)
    journeys = entity["_experience"]["customerJourneyManagement"]
    cut = "é" * (SHED_REASON_BYTES_MAX // 2)
    assert own(entity)["failureMessage"] == cut
    assert entity["directMarketing"]["emailBouncedDetails"] == cut
    assert journeys["messageDeliveryfeedback"]["messageFailure"]["reason"] == cut


def test_the_whole_event_stays_while_parts_that_repeat_it_go() -> None:
    settings = MappingSettings(tenant="acme", keep_raw=True)
    body = body_of("email", "sent", content="c" * 5_000)
    entity, lost = shed(body, settings)
    assert lost == ("content",)
    assert own(entity)["raw"] == body.decode()


def test_nothing_goes_for_a_whole_event_that_cannot_stay_anyway() -> None:
    settings = MappingSettings(tenant="acme", keep_raw=True)
    body = body_of("email", "sent", content="c" * 6_000, more="m" * 4_000)
    entity, lost = shed(body, settings)
    assert lost == ("raw",)
    assert own(entity)["content"] == "c" * 6_000


def test_a_subject_and_a_link_are_cut_and_then_the_largest_texts_go() -> None:
    body = body_of(
        "email",
        "clicked",
        delivery_id="RPIL",
        subject="s" * 6_000,
        href="https://example.com/" + "h" * 6_000,
        journey_id="j" * 20_000,
        campaign_id=5,
    )
    entity, lost = shed(body)
    assert lost == ("subject and href", "_acme.customerio.journeyID")
    assert own(entity)["subject"] == "s" * 256
    assert len(entity["directMarketing"]["linkURL"]) == 256
    assert own(entity)["campaignID"] == "5"
    assert entity["directMarketing"]["clicks"] == {"value": 1}


def test_an_object_that_has_lost_everything_goes_too() -> None:
    entity, lost = shed(body_of("in_app", "clicked", tracked_response="t" * 20_000))
    assert set(lost) == {"inappMessageTracking.action", "_acme.customerio.trackedResponse"}
    assert "inappMessageTracking" not in entity


def test_what_adobe_requires_stays_to_the_last() -> None:
    body = body_of("email", "clicked", delivery_id="d" * 200, recipient="a@example.com", href="h")
    sizes = range(700, 1_500, 20)
    entities = []
    for bytes_max in sizes:
        settings = MappingSettings(
            tenant="acme", journey_optimizer=True, entity_bytes_max=bytes_max
        )
        result = Mapper(settings).map(stored(body), body)
        if isinstance(result, Mapped):
            entities.append(msgspec.json.decode(result.entity))
    assert len(entities) > 5
    for entity in entities:
        journeys = entity["_experience"]["customerJourneyManagement"]
        assert journeys["messageExecution"]["messageExecutionID"] == "d" * 200
        assert journeys["messageProfile"]["channel"] == {"_id": entity["channel"]["_id"]}
        assert entity["identityMap"]["Email"]
        assert own(entity)["eventID"] == entity["_id"]
        assert entity["directMarketing"]["clicks"] == {"value": 1}


def test_an_entity_whose_needs_alone_are_too_large_is_said_to_be_so() -> None:
    settings = MappingSettings(tenant="acme", entity_bytes_max=300)
    body = body_of("email", "sent", recipient="a@example.com", content="secret")
    result = Mapper(settings).map(stored(body), body)
    assert isinstance(result, Unmappable)
    assert result.rule == "entity_bytes_max"
    assert "300 are allowed" in result.detail
    assert "secret" not in repr(result)


def test_shedding_leaves_the_next_entity_whole() -> None:
    mapper = Mapper(SETTINGS)
    small = body_of("email", "clicked", delivery_id="RPIL", href="https://example.com")
    before = mapped(small, mapper).entity
    result = mapped(body_of("email", "clicked", journey_id="j" * 20_000), mapper)
    assert isinstance(result, Mapped)
    assert mapped(small, mapper).entity == before


@pytest.mark.parametrize(
    ("text", "bytes_max", "cut"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc"),
        ("aü", 2, "a"),
        ("aü", 3, "aü"),
        ("🎉", 3, ""),
        ("", 3, ""),
    ],
)
def test_a_text_is_cut_between_characters(text: str, bytes_max: int, cut: str) -> None:
    assert cut_text(text, bytes_max) == cut

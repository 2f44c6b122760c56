"""How rules become an entity: layers, what does not fit, ids, times, and what is left out."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from streamer.core.errors import ConfigurationError
from streamer.core.event import StoredEvent
from streamer.core.xdm.mapper import PLANS_MAX, Mapped, Mapper, Unmappable
from streamer.core.xdm.mapping_file import Layer
from streamer.core.xdm.rule import Rule
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


def layer(
    *rules: Rule, remove: tuple[str, ...] = (), fields: dict[str, str] | None = None
) -> Layer:
    """Make a layer; fields are named below the tenant's own group."""
    return Layer(
        rules=rules,
        remove=remove,
        fields={f"_{{tenant}}.customerio.{name}": kind for name, kind in (fields or {}).items()},
    )


def rule(destination: str, source: str, *types: str) -> Rule:
    """Make a rule of a user's."""
    return Rule(
        destination=destination.replace("OWN", "_{tenant}.customerio"),
        source=source,
        types=types,
        origin="mapping.toml:3",
    )


def with_layers(*layers: Layer, settings: MappingSettings = SETTINGS) -> Mapper:
    return Mapper(settings, layers)


def result_of(body: bytes, mapper: Mapper, **changes: Any) -> Mapped | Unmappable | None:  # noqa: ANN401 - of `stored`
    return mapper.map(stored(body, **changes), body)


def test_a_users_rule_wins_where_it_gives_a_value_and_leaves_the_rest() -> None:
    mapper = with_layers(layer(rule("directMarketing.mailingName", "data.title")))
    titled = body_of("email", "sent", subject="Subject", title="Title")
    untitled = body_of("email", "sent", subject="Subject", title="")
    assert entity_of(titled, mapper)["directMarketing"]["mailingName"] == "Title"
    assert entity_of(untitled, mapper)["directMarketing"]["mailingName"] == "Subject"


def test_of_two_layers_the_later_wins() -> None:
    first = layer(rule("eventType", '"first"'))
    second = layer(rule("eventType", "data.second"))
    assert entity_of(CLICKED, with_layers(first, second))["eventType"] == "first"
    body = body_of("email", "clicked", second="second")
    assert entity_of(body, with_layers(first, second))["eventType"] == "second"
    assert entity_of(body, with_layers(second, first))["eventType"] == "first"


def test_a_users_rule_for_some_types_leaves_the_others() -> None:
    mapper = with_layers(layer(rule("eventType", '"mine"', "email.*", "sms.sent")))
    found = {
        name: entity_of(body_of(*name.split(".")), mapper)["eventType"]
        for name in ("email.clicked", "sms.sent", "sms.delivered")
    }
    assert found == {
        "email.clicked": "mine",
        "sms.sent": "mine",
        "sms.delivered": "message.feedback",
    }


def test_a_removed_destination_has_no_built_in_value_but_can_have_another() -> None:
    removed = layer(remove=("web.webInteraction.linkID", "directMarketing"))
    assert not {"web", "directMarketing"} & set(entity_of(CLICKED, with_layers(removed)))
    replaced = layer(
        rule("directMarketing.linkURL", '"elsewhere"'), remove=("directMarketing.linkURL",)
    )
    marketing = entity_of(CLICKED, with_layers(replaced))["directMarketing"]
    assert marketing["linkURL"] == "elsewhere"
    assert marketing["messageID"] == "RPIL"


def test_removing_a_path_leaves_those_whose_names_begin_with_it() -> None:
    mapper = with_layers(layer(remove=("directMarketing.messageI", "channel._")))
    entity = entity_of(CLICKED, mapper)
    assert entity["directMarketing"]["messageID"] == "RPIL"
    assert entity["channel"]["_type"]


def test_a_users_own_field_is_written_with_its_kind() -> None:
    mine = layer(
        rule("OWN.order.total", "data.total"),
        rule("OWN.labels", "data.labels"),
        fields={"order.total": "number", "labels": "array"},
    )
    body = body_of("email", "sent", total=2.5, labels=["a", None, 7, {}])
    group = own(entity_of(body, with_layers(mine)))
    assert group["order"] == {"total": 2.5}
    assert group["labels"] == ["a", "7"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "7"),
        ("integer", 7.5),
        ("integer", 2**53),
        ("integer", True),
        ("number", "x"),
        ("boolean", 1),
        ("date-time", "yesterday"),
        ("text", ["x"]),
        ("text", True),
        ("array", [{}]),
    ],
)
def test_a_users_value_that_does_not_fit_is_an_error_that_names_rule_and_path(
    kind: str, value: object
) -> None:
    mapper = with_layers(layer(rule("OWN.mine", "data.value"), fields={"mine": kind}))
    result = result_of(body_of("email", "sent", value=value), mapper)
    assert result == Unmappable(
        path="_acme.customerio.mine",
        rule="mapping.toml:3: _{tenant}.customerio.mine",
        detail=f"its value does not fit: it takes {kind}",
    )


def test_an_error_says_nothing_of_the_value() -> None:
    mapper = with_layers(layer(rule("channel.mode", "data.secret")))
    result = result_of(body_of("email", "sent", secret="hush"), mapper)
    assert isinstance(result, Unmappable)
    assert "push, pull, bidirectional" in result.detail
    assert "hush" not in repr(result)


def test_a_users_blank_text_is_no_value_and_no_error() -> None:
    mapper = with_layers(
        layer(rule("OWN.mine", 'concat(data.value, "")'), fields={"mine": "integer"})
    )
    assert "mine" not in own(entity_of(body_of("email", "sent", value=""), mapper))


def test_a_users_constant_that_never_fits_is_an_error_of_each_event() -> None:
    result = result_of(CLICKED, with_layers(layer(rule("channel.mode", '"shout"'))))
    assert isinstance(result, Unmappable)
    assert result.path == "channel.mode"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("link_id", {"a": 1}),
        ("campaign_id", True),
        ("href", ["https://example.com"]),
        ("prefetched", "true"),
        ("recipients", "all of them"),
        ("subject", None),
    ],
)
def test_a_built_in_value_that_does_not_fit_is_left_out(name: str, value: object) -> None:
    whole = own(entity_of(body_of("email", "clicked", delivery_id="RPIL")))
    body = body_of("email", "clicked", delivery_id="RPIL", **{name: value})
    assert own(entity_of(body)) == whole


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (b"123456789012345678901234567890", "123456789012345678901234567890"),
        (b"42.0", "42"),
        (b"4.2", "4.2"),
        (b"1e400", None),
        (b"NaN", None),
        (b"9" * 2_000, None),
        (b"9" * 5_000, None),
        (b'"\\ud83d"', "?"),
    ],
)
def test_an_odd_number_or_half_a_character_is_text_as_far_as_it_can_be(
    number: bytes, text: str | None
) -> None:
    body = CLICKED.replace(b'"RPIL"', b'"RPIL","journey_id":' + number)
    result = Mapper(SETTINGS).map(stored(CLICKED), body)
    assert isinstance(result, Mapped)
    assert own(msgspec.json.decode(result.entity)).get("journeyID") == text


@pytest.mark.parametrize("path", ["_id", "timestamp", "channel._id"])
def test_what_adobe_requires_must_not_be_missing(path: str) -> None:
    result = result_of(CLICKED, with_layers(layer(remove=(path,))))
    assert isinstance(result, Unmappable)
    assert result.path == path
    assert result.detail == "it is required, and no rule gives it a value"


def test_what_a_group_of_the_schema_requires_must_not_be_missing_from_any_event() -> None:
    settings = MappingSettings(tenant="acme", journey_optimizer=True)
    for path in ("messageExecution.messageExecutionID", "messageProfile.channel._id"):
        whole = f"_experience.customerJourneyManagement.{path}"
        mapper = with_layers(layer(remove=(whole,)), settings=settings)
        result = result_of(body_of("customer", "subscribed"), mapper)
        assert isinstance(result, Unmappable)
        assert whole.startswith(result.path)


def test_an_entity_that_all_was_removed_from_is_none() -> None:
    everything = ("_id", "timestamp", "eventType", "producedBy", "_{tenant}")
    result = result_of(body_of("fax", "sent"), with_layers(layer(remove=everything)))
    assert isinstance(result, Unmappable)
    assert result.path == "_id"


def test_an_object_of_a_users_without_what_it_requires_names_the_users_rule() -> None:
    mapper = with_layers(layer(rule("directMarketing.offerOpens.id", "data.href")))
    result = result_of(CLICKED, mapper)
    assert isinstance(result, Unmappable)
    assert result.path == "directMarketing.offerOpens.value"
    assert result.rule == "mapping.toml:3: directMarketing.offerOpens.id"


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
    for number in range(PLANS_MAX + 50):
        mapped(body_of("email", f"metric_{number}"), mapper)
    assert mapper._plan_of.cache_info().currsize == PLANS_MAX


def test_an_event_without_type_or_metric_is_unknown() -> None:
    body = msgspec.json.encode({"event_id": "x", "timestamp": AT_SECONDS})
    event = StoredEvent(1, "customerio", "x", None, None, AT_SECONDS, RECEIVED_AT, 0, body)
    result = Mapper(SETTINGS).map(event, body)
    assert isinstance(result, Mapped)
    assert msgspec.json.decode(result.entity)["eventType"] == "customerio.unknown.unknown"

"""How rules become an entity: which of several wins, what does not fit, and what is required."""

from __future__ import annotations

import msgspec
import pytest

from streamer.core.xdm.mapper import Mapped, Mapper, Unmappable
from streamer.core.xdm.settings import MappingSettings
from tests.core.xdm.events import CLICKED, SETTINGS, body_of, entity_of, own, stored
from tests.core.xdm.layers import layer, result_of, rule, with_layers


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

"""The trace of an event agrees with what the mapper makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamer.core import customerio, samples
from streamer.core.customerio import Decoded
from streamer.core.event import StoredEvent
from streamer.core.xdm.language.expression import compile_expression
from streamer.core.xdm.mapper import Mapped, Mapper
from streamer.core.xdm.mapping_file import read_mapping
from streamer.core.xdm.rule import BUILT_IN
from streamer.core.xdm.settings import MappingSettings
from streamer.core.xdm.trace import Traced, trace

AT_SECONDS = 1_790_000_000

FILE = """\
remove = ["directMarketing.mailingName"]
[[rules]]
destination = "_{tenant}.customerio.host"
source = "get_url_host(data.href)"
[[rules]]
destination = "eventType"
source = 'iif(data.machine, "bot.clicked", null)'
types = ["email.clicked"]
[[rules]]
destination = "producedBy"
constant = "streamer"
[fields]
"_{tenant}.customerio.host" = "text"
"""
EVERYTHING = MappingSettings(
    tenant="acme", journey_optimizer=True, soft_bounces=True, dismiss_actions=("x",)
)


def stored(name: str) -> StoredEvent:
    body = samples.sample_body(name, number=20, at_seconds=AT_SECONDS)
    decoded = customerio.decode(body)
    assert isinstance(decoded, Decoded)
    return StoredEvent(
        position=7,
        source="customerio",
        event_id=decoded.event_id,
        object_type=decoded.object_type,
        metric=decoded.metric,
        occurred_at=decoded.occurred_at,
        received_at=AT_SECONDS * 1000,
        lane_key=0,
        body=body,
    )


def at(entity: dict[str, Any], path: str) -> object:
    value: Any = entity
    for name in path.replace("_{tenant}", "_acme").split("."):
        if name not in value:
            return None
        value = value[name]
    return value


@pytest.mark.parametrize("name", samples.sample_names())
def test_what_is_said_to_be_written_is_in_the_entity_and_nothing_else_is(name: str) -> None:
    mapper = Mapper(EVERYTHING, [read_mapping(FILE, origin="m.toml")])
    event = stored(name)
    mapped = mapper.map(event, event.body)
    assert isinstance(mapped, Mapped)
    assert mapped.shed == ()
    entity = json.loads(mapped.entity)
    scope = mapper.scope_of(event, event.body)
    assert scope is not None
    written = [one for one in trace(mapper, event, event.body) if one.fate == "written"]
    for one in written:
        value = compile_expression(one.rule.source)(scope)
        assert at(entity, one.rule.destination) == mapper.field_of(one.rule).fit()(value)
    assert len({one.rule.destination for one in written}) == len(written)
    assert sum(1 for _ in leaves(entity)) == len(written)


def leaves(entity: dict[str, Any], outer: str = "") -> Any:  # noqa: ANN401 - a generator of paths
    """Yield the path of each field of an entity that a rule can write."""
    for name, value in entity.items():
        if name == "identityMap":
            continue
        if isinstance(value, dict):
            yield from leaves(value, f"{outer}{name}.")
        else:
            yield f"{outer}{name}"


def traced(mapper: Mapper, event: StoredEvent, destination: str) -> list[Traced]:
    found = trace(mapper, event, event.body)
    return [one for one in found if one.rule.destination == destination]


def test_the_fate_of_each_rule_is_told_in_the_order_of_the_rules() -> None:
    mapper = Mapper(MappingSettings(tenant="acme"), [read_mapping(FILE, origin="m.toml")])
    event = stored("email.clicked")
    *built_in, users = traced(mapper, event, "eventType")
    assert [one.fate for one in built_in] == ["overruled", "written"]
    assert {one.rule.origin for one in built_in} == {BUILT_IN}
    assert (users.rule.origin, users.kind, users.fate) == ("m.toml:5", "", "no value")
    system, streamer = traced(mapper, event, "producedBy")
    assert (system.fate, streamer.fate, streamer.kind) == ("overruled", "written", "text")
    assert traced(mapper, event, "directMarketing.mailingName") == []


def test_a_value_that_its_field_does_not_take_is_told_by_its_kind_alone() -> None:
    text = '[[rules]]\ndestination = "directMarketing.clicks.value"\nsource = "data.href"\n'
    mapper = Mapper(MappingSettings(tenant="acme"), [read_mapping(text, origin="m.toml")])
    event = stored("email.clicked")
    one, other = traced(mapper, event, "directMarketing.clicks.value")
    assert (one.kind, one.fate) == ("integer", "written")
    assert (other.kind, other.fate) == ("text", "unfit")


def test_of_a_body_that_cannot_be_read_nothing_is_told() -> None:
    mapper = Mapper(MappingSettings(tenant="acme"))
    assert trace(mapper, stored("email.sent"), b"[]") == ()

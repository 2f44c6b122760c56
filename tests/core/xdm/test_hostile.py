"""Whatever a body holds: nothing raises, and what comes out is an entity that Adobe takes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streamer.core import catalogue
from streamer.core.customerio import Decoded, decode
from streamer.core.samples import sample_event, sample_names
from streamer.core.xdm.mapper import Mapped, Mapper, Unmappable
from streamer.core.xdm.mapping_file import Layer
from streamer.core.xdm.rule import Rule
from streamer.core.xdm.settings import DEFAULT_IDENTITIES, Identity, MappingSettings
from tests.core.xdm.events import AT_SECONDS, CLICKED, stored
from tests.support.adobe import ADOBE, Judge

EVENTS = MappingSettings(
    tenant="acme",
    journey_optimizer=True,
    soft_bounces=True,
    dismiss_actions=("accepted",),
    keep_raw=True,
    identities=(*DEFAULT_IDENTITIES, Identity(namespace="CRMID", source="data.identifiers.id")),
    entity_bytes_max=3_000,
)
CONSENT = MappingSettings(
    tenant="acme", produces="consent", topics={"topic_1": "news", "topic_2": "offers"}
)
USERS = Layer(
    rules=(
        Rule(destination="channel.mode", source="data.mode", origin="m.toml:1"),
        Rule(destination="_{tenant}.customerio.mine", source="data.mine", origin="m.toml:2"),
    ),
    fields={"_{tenant}.customerio.mine": "date-time"},
)
MAPPERS = [Mapper(EVENTS), Mapper(EVENTS, [USERS]), Mapper(CONSENT)]
JUDGES = (
    [Judge(EVENTS), Judge(EVENTS, {"_{tenant}.customerio.mine": "date-time"}), Judge(CONSENT)]
    if ADOBE.is_dir()
    else []
)

FIELDS = sorted(
    {
        name
        for metrics in catalogue.MESSAGES.values()
        for fields in metrics.values()
        for name in (*fields.always, *fields.sometimes)
    }
    | {
        name
        for fields in catalogue.VARIANTS.values()
        for name in (*fields.always, *fields.sometimes)
    }
    | {"identifiers", "customer_id", "email_address", "delivery_id", "mode", "mine", "reason"}
)

numbers = st.integers() | st.integers(2**62, 2**70) | st.floats(allow_nan=False)
texts = st.text() | st.sampled_from(
    ["", " ", "\x00", "a@b", "+447700900123", "push", "2025-06-15T15:06:40Z", "550 x", "é" * 900]
)
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=12)
        | st.dictionaries(
            st.sampled_from(["id", "email", "device_id", "topics"]) | texts, inner, max_size=4
        )
    ),
    max_leaves=12,
)
types = st.sampled_from([tuple(name.split(".")) for name in sample_names()]) | st.tuples(
    texts, texts
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw a known or unknown type with any values where any of the known fields is."""
    object_type, metric = draw(types)
    document: dict[str, Any] = {
        "event_id": draw(st.text(min_size=1, max_size=20)),
        "object_type": draw(st.just(object_type) | leaves),
        "metric": draw(st.just(metric) | leaves),
        "timestamp": draw(st.just(AT_SECONDS) | values),
        "data": draw(st.dictionaries(st.sampled_from(FIELDS), values, max_size=12) | values),
    }
    return json.dumps(document, ensure_ascii=draw(st.booleans())).encode("utf-8", "replace")


def judge(body: bytes) -> None:
    """Map a body with each mapper, and look at what comes out."""
    if not isinstance(decode(body), Decoded):
        return
    event = stored(body)
    for index, mapper in enumerate(MAPPERS):
        result = mapper.map(event, body)
        assert result == mapper.map(event, body)
        if isinstance(result, Mapped):
            assert len(result.entity) <= EVENTS.entity_bytes_max
            assert not JUDGES or JUDGES[index].complaints(result.entity) == []
        elif isinstance(result, Unmappable):
            assert result.detail
        else:
            assert index == 2


@given(bodies())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(
    json.dumps({"event_id": "x", "data": {"recipients": [{"device_id": "\u0000"}] * 500}}).encode()
)
def test_any_body_becomes_a_valid_entity_or_is_said_to_be_unmappable(body: bytes) -> None:
    judge(body)


NESTED = b"[" * 300 + b"]" * 300


@pytest.mark.parametrize(
    "value",
    [
        NESTED,
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b'"\\ud800"',
        b'"\\ud800\\ud800"',
        b'"\\u0000\\u001f\\u007f\\u2028"',
        b"9" * 40,
        b"9" * 4_400,
        b"-1e999",
        b"NaN",
        b"Infinity",
        b'"Infinity"',
        b'"' + b"x" * 100_000 + b'"',
        b'"' + "🎉".encode() * 10_000 + b'"',
        b"[" + b'{"device_id":"x"},' * 5_000 + b"{}]",
    ],
    ids=lambda value: repr(value[:12]),
)
def test_odd_values_anywhere_in_an_event_do_no_harm(value: bytes) -> None:
    """Each known field, and the whole of data, holds the odd value once."""
    for name in ("email.clicked", "push.bounced", "customer.unsubscribed"):
        event = sample_event(name, number=1, at_seconds=AT_SECONDS, with_content=True)
        stored_event = stored(msgspec.json.encode(event))
        for field in FIELDS:
            data = event["data"] | {field: "@ODD@"}  # type: ignore[operator]  # it is a dictionary
            body = msgspec.json.encode(event | {"data": data}).replace(b'"@ODD@"', value)
            for mapper in MAPPERS:
                result = mapper.map(stored_event, body)
                assert isinstance(result, Mapped | Unmappable | None), (name, field)
                if isinstance(result, Mapped):
                    assert len(result.entity) <= EVENTS.entity_bytes_max
                    msgspec.json.decode(result.entity)


def test_an_odd_value_beside_what_is_known_changes_nothing() -> None:
    mapper = Mapper(MappingSettings(tenant="acme"))
    plain = mapper.map(stored(CLICKED), CLICKED)
    for value in (NESTED, b'"\\ud800"', b"9" * 5_000, b"NaN", b"1e999"):
        odd = CLICKED.replace(b'"data":{', b'"data":{"odd":' + value + b",")
        assert odd != CLICKED
        assert mapper.map(stored(CLICKED), odd) == plain


@pytest.mark.parametrize("value", ["\ud800", "a\ud83dz"])
def test_no_entity_holds_half_a_character(value: str) -> None:
    body = CLICKED.replace(b"RPIL", json.dumps(value)[1:-1].encode())
    result = Mapper(MappingSettings(tenant="acme")).map(stored(CLICKED), body)
    assert isinstance(result, Mapped)
    assert "?" in result.entity.decode()

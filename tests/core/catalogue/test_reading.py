"""Drift is found wherever it stands, nothing else is called drift, and no event is unusable."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.catalogue import tables
from streamer.core.catalogue.reading import (
    Drift,
    DriftKind,
    expected_at,
    find_drift,
    json_kind,
    read,
    shape_of,
)
from streamer.core.catalogue.types import every_type, type_of
from streamer.core.customerio import Decoded, decode
from streamer.core.limits import DRIFT_NAME_CHARACTERS_MAX
from streamer.core.samples import sample_event, sample_names
from streamer.core.samples import test_event_body as made_test_event
from tests.core.catalogue.test_types import samples, type_of_sample

NAMES = st.sampled_from(sample_names())
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["event_id", "object_type", "metric", "timestamp", "data", "identifiers", "id", "recipients",
     "device_id", "headers", "content", "link_id", "subject", "event_type", "email", "sent",
     "push", "clicked", "unsubscribed", tables.PREFERENCES]
) | st.text(max_size=4)  # fmt: skip
DOCUMENTS = st.recursive(
    SCALARS | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=8),
    max_leaves=25,
)


def sample(name: str = "email.sent", **data: object) -> dict[str, Any]:
    document: dict[str, Any] = sample_event(name, number=1, at_seconds=5, with_content=True)
    document["data"] |= data
    return document


def with_data(more: dict[str, object]) -> dict[str, Any]:
    document = sample()
    document["data"] |= more
    return document


def drifts(document: object) -> tuple[Drift, ...]:
    """Find drift as the survey does: from the bytes and the columns of the outbox."""
    body = json.dumps(document).encode()
    decoded = decode(body)
    if not isinstance(decoded, Decoded):
        return find_drift(body, None, None)
    return find_drift(body, decoded.object_type, decoded.metric)


def only_drift(document: object) -> tuple[str, str, str, str]:
    (found,) = drifts(document)
    return found.kind.value, found.type_name, found.path, found.found


def test_no_sample_drifts() -> None:
    for name, document in samples():
        assert drifts(document) == (), name
        assert read(document).drift == (), name


def test_the_test_event_does_not_drift() -> None:
    assert find_drift(made_test_event(5), "email", "sent") == ()


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (sample(score=7), ("field", "email.sent", "data.score", "integer")),
        (sample(score=0.5), ("field", "email.sent", "data.score", "number")),
        (sample(score=None), ("field", "email.sent", "data.score", "null")),
        (sample(inner={"a@example.com": 1}), ("field", "email.sent", "data.inner", "object")),
        ({**sample(), "attempt": True}, ("field", "email.sent", "attempt", "boolean")),
        (sample(identifiers={"phone": "1"}),
         ("field", "email.sent", "data.identifiers.phone", "string")),
        (sample("push.sent", recipients=[{"device_id": "a", "color": "red"}]),
         ("field", "push.sent", "data.recipients[].color", "string")),
        (sample("sms.sent", subject="x"), ("field", "sms.sent", "data.subject", "string")),
        (sample(subject=["x"]), ("value", "email.sent", "data.subject", "array")),
        (sample(subject=5), ("value", "email.sent", "data.subject", "integer")),
        (sample(campaign_id=True), ("value", "email.sent", "data.campaign_id", "boolean")),
        (sample(campaign_id=1.5), ("value", "email.sent", "data.campaign_id", "number")),
        (sample("email.opened", proxied="yes"),
         ("value", "email.opened", "data.proxied", "string")),
        (sample(headers=[]), ("value", "email.sent", "data.headers", "array")),
        (sample(headers={"X-Order": 5}), ("value", "email.sent", "data.headers.*", "integer")),
        (sample(headers={"X-Order": [5]}), ("value", "email.sent", "data.headers.*[]", "integer")),
        (sample("push.sent", recipients=["a"]),
         ("value", "push.sent", "data.recipients[]", "string")),
        ({**sample(), "timestamp": "5"}, ("value", "email.sent", "timestamp", "string")),
        ({**sample(), "data": [1]}, ("value", "email.sent", "data", "array")),
        ({**sample(), "object_type": "line"}, ("object_type", "line.sent", "", "")),
        ({**sample(), "object_type": None}, ("object_type", "unknown.sent", "", "")),
        ({**sample(), "object_type": 5}, ("object_type", "unknown.sent", "", "")),
        ({**sample(), "metric": "sung"}, ("metric", "email.sung", "", "")),
        ({"event_id": "e", "object_type": "email"}, ("metric", "email.unknown", "", "")),
        ({"event_id": "e"}, ("object_type", "unknown.unknown", "", "")),
        ({"event_id": "e", "event_type": "email_sent", "data": {"email_id": "x"}},
         ("legacy", "event_type email_sent", "", "")),
        ({"event_id": "e", "event_type": "a@example.com"}, ("legacy", "event_type *", "", "")),
        ({"event_id": "e", "event_type": "email_sent", "object_type": "line"},
         ("object_type", "line.unknown", "", "")),
        ({"event_id": "e", "event_type": "email_sent", "metric": "sent"},
         ("object_type", "unknown.sent", "", "")),
        ({**sample(), "event_type": "email_sent"}, ("field", "email.sent", "event_type", "string")),
        ([1], ("unreadable", "unknown.unknown", "", "array")),
    ],
)  # fmt: skip
def test_what_is_new_is_told_by_its_place(
    document: object, found: tuple[str, str, str, str]
) -> None:
    assert only_drift(document) == found


@pytest.mark.parametrize(
    "document",
    [
        sample(campaign_id="0042", transactional_message_id="9"),
        sample(campaign_id=10**30),
        sample(campaign_id=7.0),
        sample(subject=None, identifiers=None, headers=None),
        sample(headers={"a@example.com": ["x"], "": []}),
        {**sample(), "event_id": 5},
        {**sample(), "timestamp": None},
        {**sample(), "data": None},
        {key: value for key, value in sample().items() if key != "data"},
        {**sample("email.unsubscribed"), "data": {"email_address": None}},
        {"event_id": "e", "metric": tables.PREFERENCES, "delivery_type": "email", "data": {}},
        {"event_id": "e", "metric": tables.PREFERENCES, "object_type_type": "sms", "data": {}},
        {"event_id": "e", "metric": tables.PREFERENCES, "object_type": ""},
        sample("email.cio_subscription_preferences_changed", content="{not JSON"),
    ],
)
def test_what_the_reference_warns_of_is_no_drift(document: object) -> None:
    assert drifts(document) == ()


def test_one_event_may_have_much_that_is_new() -> None:
    document = {**sample(score=1, subject={}), "more": []}
    found = {(one.kind.value, one.path) for one in drifts(document)}
    assert found == {("field", "data.score"), ("value", "data.subject"), ("field", "more")}


def test_what_every_element_of_a_list_has_is_told_once() -> None:
    devices = [{"color": "red"}, {"color": "blue"}, {"color": None}]
    found = [(one.path, one.found) for one in drifts(sample("push.sent", recipients=devices))]
    assert found == [
        ("data.recipients[].color", "string"),
        ("data.recipients[].color", "null"),
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("score", "score"),
        ("grüße", "grüße"),
        ("X Mailer-2", "X Mailer-2"),
        ("_x", "_x"),
        ("a@example.com", "*"),
        ("+447700900123", "*"),
        ("0200001", "*"),
        ("", "*"),
        ("a.b", "*"),
        ("a\nb", "*"),
        ("\ud800", "*"),
        ("x" * DRIFT_NAME_CHARACTERS_MAX, "x" * DRIFT_NAME_CHARACTERS_MAX),
        ("x" * 10_000, "x" * DRIFT_NAME_CHARACTERS_MAX + "…"),
    ],
)
def test_only_what_looks_like_a_name_is_told(name: str, told: str) -> None:
    assert [one.path for one in read(with_data({name: 1})).drift] == [f"data.{told}"]
    (of_type,) = read({**sample(), "object_type": name or "@"}).drift
    assert of_type.type_name == f"{told}.sent"


def test_numbers_beyond_all_machines_do_not_hide_what_is_new() -> None:
    body = json.dumps(sample(score=1)).encode()[:-2] + b', "huge": 1e999, "long": ' + b"9" * 5000
    found = {one.path: one.found for one in find_drift(body + b"}}", "email", "sent")}
    assert found == {"data.score": "integer", "data.huge": "number", "data.long": "integer"}


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 200_000 + b"]" * 200_000, b""])
def test_what_cannot_be_looked_into_is_told_as_such(body: bytes) -> None:
    (found,) = find_drift(body, "email", "sent")
    assert (found.kind, found.type_name) == (DriftKind.UNREADABLE, "email.sent")


@given(DOCUMENTS)
def test_no_json_document_is_too_much(document: object) -> None:
    body = json.dumps(document).encode()
    assert isinstance(drifts(document), tuple)
    reading = read(json.loads(body))
    if reading.event is None:
        assert reading.drift or (isinstance(document, dict) and "event_id" not in document)


@given(DOCUMENTS, NAMES)
def test_the_fast_look_and_the_thorough_one_agree(inner: object, name: str) -> None:
    """Whatever the strict types take has no drift; what they refuse has, or is odd but fine."""
    document = {**sample_event(name, number=2, at_seconds=5), "data": inner}
    quick, thorough = drifts(document), read(json.loads(json.dumps(document))).drift
    assert quick == thorough


@given(NAMES, st.sampled_from(["", "data", "data.identifiers"]), VALUES)
def test_one_field_more_gives_exactly_its_path(name: str, place: str, value: object) -> None:
    document = sample_event(name, number=3, at_seconds=5, with_content=True)
    target: Any = document
    for step in filter(None, place.split(".")):
        target = target[step]
    target["added_by_test"] = value
    path = f"{place}.added_by_test".strip(".")
    assert only_drift(document) == ("field", name, path, json_kind(value))


@given(NAMES, st.data(), VALUES)
def test_a_value_of_another_kind_gives_exactly_its_path_and_leaves_the_rest_usable(
    name: str, data: st.DataObject, value: object
) -> None:
    document: Any = sample_event(name, number=3, at_seconds=5, with_content=True)
    field = data.draw(st.sampled_from(sorted(document["data"])))
    event_type = type_of_sample(name, document)
    sent = copy.deepcopy(document["data"])
    document["data"][field] = value
    if json_kind(value) in expected_at(event_type, f"data.{field}"):
        return  # it fits, at least at this level
    assert only_drift(document) == ("value", name, f"data.{field}", json_kind(value))
    event: Any = read(document).event
    assert getattr(event.data, field) is None
    kept = msgspec.to_builtins(event.data)
    for other in sent.keys() - {field, "identifiers", "recipients"}:
        assert kept[other] == sent[other]


def test_what_does_not_fit_takes_nothing_else_with_it() -> None:
    people = {"id": 5.5, "email": "a@example.com", "phone": "1"}
    event: Any = read(sample(identifiers=people, headers={"A": ["x", 5], "B": 5})).event
    assert (event.data.identifiers.id, event.data.identifiers.email) == (None, "a@example.com")
    assert event.data.headers == {"A": ["x"]}
    assert event.data.subject == sample()["data"]["subject"]


@pytest.mark.parametrize("said", [{}, {"object_type": ""}, {"object_type": None}])
def test_a_change_of_preferences_is_read_though_its_object_type_is_missing(
    said: dict[str, object],
) -> None:
    event: Any = read({"event_id": "e", "metric": tables.PREFERENCES, **said}).event
    assert (event.object_type, event.metric) == ("customer", tables.PREFERENCES)


def test_an_event_of_an_unknown_type_has_none() -> None:
    reading = read({**sample(), "metric": "sung"})
    assert (reading.event_type, reading.event) == (None, None)


def test_what_lies_at_a_path_is_known() -> None:
    event_type = type_of("push", "sent")
    assert event_type is not None
    assert expected_at(event_type, "data.recipients[].device_id") == {"string", "integer", "null"}
    assert expected_at(event_type, "data.recipients") == {"array", "null"}
    assert expected_at(event_type, "data.nothing.at.all") == frozenset()
    of_mail = type_of("email", "sent")
    assert of_mail is not None
    assert expected_at(of_mail, "data.headers.*[]") == {"string"}


def test_every_type_has_a_shape_that_knows_its_fields() -> None:
    for event_type in every_type():
        assert shape_of(event_type).kinds == {"object"}
        for path, _, _ in event_type.fields:
            assert expected_at(event_type, f"data.{path}"), (event_type.name, path)

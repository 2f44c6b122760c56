"""What is said of an event, and what fits into one request, to the byte."""

from __future__ import annotations

import hashlib
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.outcome import NOTHING_TO_SEND, Outcome
from streamer.destinations.aep_mapping import mapper_of
from streamer.destinations.aep_messages import (
    Frame,
    Message,
    RawAuthor,
    XdmAuthor,
    pack,
)
from streamer.destinations.common_options import Privacy
from tests.destinations.aep_cases import aep_options
from tests.destinations.examples import NOON_MS, stored_event


def xdm_author(**changes: object) -> XdmAuthor:
    options = aep_options(**changes)
    return XdmAuthor(options, mapper_of(options))


def written(author: XdmAuthor | RawAuthor, **changes: object) -> Message:
    message = author.write(stored_event(1, **changes))
    assert isinstance(message, Message), message
    return message


def refused(author: XdmAuthor | RawAuthor, **changes: object) -> Outcome:
    outcome = author.write(stored_event(1, **changes))
    assert isinstance(outcome, Outcome)
    assert outcome.unfit
    return outcome


# What is said of an event


def test_an_entity_stands_in_an_envelope_that_names_where_it_belongs() -> None:
    options = aep_options()
    author = xdm_author()
    message = written(author)
    (sent,) = json.loads(author.frame(NOON_MS).body([message]))["messages"]
    entity = sent["body"].pop("xdmEntity")
    reference = {
        "id": options.schema_id,
        "contentType": "application/vnd.adobe.xed-full+json;version=1",
    }
    assert sent == {
        "header": {
            "schemaRef": reference,
            "imsOrgId": options.ims_org_id,
            "datasetId": options.dataset_id,
            "flowId": options.flow_id,
            "createdAt": str(NOON_MS),
            "source": {"name": "streamer"},
        },
        "body": {"xdmMeta": {"schemaRef": reference}},
    }
    assert entity == json.loads(message.content)
    assert entity["_id"] == "01E00001"


def test_a_raw_message_is_the_body_as_it_was_received_on_one_line() -> None:
    event = stored_event(1, body=b'{"big": 1.10,\r\n "a":\n1e999}')
    message = RawAuthor(aep_options(mode="raw")).write(event)
    assert isinstance(message, Message)
    assert message.content == b'{"big": 1.10,   "a": 1e999}'


@pytest.mark.parametrize("mode", ["xdm", "raw"])
def test_privacy_comes_before_anything_else(mode: str) -> None:
    privacy = Privacy(drop=["content"], hash=["identifiers.email"])
    data = {"identifiers": {"email": "Jo@Example.com"}, "content": "canary"}
    options = aep_options(mode=mode, privacy=privacy, keep_raw=True)
    author = RawAuthor(options) if mode == "raw" else XdmAuthor(options, mapper_of(options))
    content = written(author, data=data).content.decode()
    assert "canary" not in content
    assert "example.com" not in content.lower()
    assert hashlib.sha256(b"jo@example.com").hexdigest() in content
    assert refused(author, body=b"{broken").reason == "unredactable"


@pytest.mark.parametrize("body", [b"{broken", b'{"a": "\xff"}', b"[" * 100_000, b"", b"NaN"])
def test_a_body_that_would_spoil_the_request_stays_at_home(body: bytes) -> None:
    assert refused(RawAuthor(aep_options(mode="raw")), body=body).reason == "unreadable"


def test_what_cannot_be_mapped_names_path_and_rule_and_no_value() -> None:
    author = xdm_author(require_identity=True)
    outcome = refused(author, data={"canary": "canary"}, object_type="push")
    assert outcome.reason == "unmappable"
    assert outcome.detail.startswith("identityMap: ")
    assert "canary" not in outcome.detail
    unreadable = refused(xdm_author(), body=b"{broken")
    assert (unreadable.reason, unreadable.detail[:1]) == ("unmappable", "t"), "no empty path"


def test_of_what_the_destination_has_nothing_to_say_nothing_is_proven() -> None:
    said = xdm_author(produces="consent").write(stored_event(1))
    assert said is NOTHING_TO_SEND
    assert not said.unfit


@pytest.mark.parametrize("mode", ["xdm", "raw"])
def test_a_message_that_fits_no_request_is_refused_and_one_byte_less_is_not(mode: str) -> None:
    roomy = aep_options(mode=mode, entity_bytes_max=500_000, keep_raw=False)
    event = stored_event(1, data={"identifiers": {"id": "1"}, "subject": "x" * 300})
    author = RawAuthor(roomy) if mode == "raw" else XdmAuthor(roomy, mapper_of(roomy))
    message = author.write(event)
    assert isinstance(message, Message)
    size = len(author.frame(NOON_MS).body([message]))
    for bytes_max, fits in ((size, True), (size - 1, False)):
        tight = aep_options(mode=mode, entity_bytes_max=500_000, request_bytes_max=bytes_max)
        other = RawAuthor(tight) if mode == "raw" else XdmAuthor(tight, mapper_of(tight))
        made = other.write(event)
        assert isinstance(made, Message) == fits
        if isinstance(made, Outcome):
            assert (made.reason, made.unfit) == ("too_large", True)
            assert str(size) in made.detail


# What fits into one request


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=30),
    st.binary(max_size=5),
    st.binary(max_size=5),
    st.integers(min_value=70, max_value=300),
)
def test_requests_keep_the_order_and_the_limit_and_are_no_smaller_than_they_need_be(
    contents: list[bytes], before: bytes, after: bytes, bytes_max: int
) -> None:
    frame = Frame(before, after)
    messages = [Message(position, content) for position, content in enumerate(contents)]
    parts = list(pack(messages, frame, bytes_max))
    assert [message for part in parts for message in part] == messages
    assert all(parts)
    assert all(len(frame.body(part)) <= bytes_max for part in parts)
    for part, following in itertools.pairwise(parts):
        assert len(frame.body([*part, following[0]])) > bytes_max


def test_the_length_of_an_envelope_does_not_depend_on_the_time() -> None:
    author = xdm_author()
    assert len({len(author.frame(now).before) for now in (0, NOON_MS, 9_999_999_999_999)}) == 1

"""Outgoing signatures, checked by the reference library of Standard Webhooks."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from streamer.core.errors import ConfigurationError
from streamer.core.standard_webhooks import message_id, signed_headers, signing_key

# Few characters, and those that an encoding could trip over, so that borders coincide.
TEXT = st.text("a12:.,é\0🎉", max_size=8)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=5)


@given(
    key=st.binary(min_size=1),
    events=PAIRS,
    seconds=st.integers(min_value=0, max_value=4_102_444_800),
    body=TEXT,
)
def test_the_reference_library_makes_the_same_signature(
    key: bytes, events: list[tuple[str, str]], seconds: int, body: str
) -> None:
    message = message_id(events)
    headers = signed_headers(key, message=message, sent_at_seconds=seconds, body=body.encode())
    theirs = Webhook(key).sign(message, datetime.fromtimestamp(seconds, UTC), body)
    assert headers == {
        "webhook-id": message,
        "webhook-timestamp": str(seconds),
        "webhook-signature": theirs,
    }


def test_the_reference_library_accepts_a_whole_message() -> None:
    now = int(datetime.now(UTC).timestamp())
    text = "whsec_" + base64.b64encode(b"twenty-four bytes of key").decode()
    body = b'[{"id":"1"}]'
    headers = signed_headers(signing_key(text), message="msg_1", sent_at_seconds=now, body=body)
    assert Webhook(text).verify(body, headers) == [{"id": "1"}]


def test_a_body_that_is_no_text_is_signed_too() -> None:
    signed = [
        signed_headers(b"k", message="msg_1", sent_at_seconds=1, body=body)["webhook-signature"]
        for body in (b"\xff\x00", b"\xff\x01")
    ]
    assert signed[0] != signed[1]


@given(st.binary(min_size=1))
def test_a_key_with_the_prefix_is_decoded_with_or_without_padding(key: bytes) -> None:
    encoded = "whsec_" + base64.b64encode(key).decode()
    assert signing_key(encoded) == key
    assert signing_key(encoded.rstrip("=")) == key


def test_a_key_without_the_prefix_is_taken_as_text() -> None:
    assert signing_key("c2VjcmV0") == b"c2VjcmV0"
    assert signing_key("schlüssel") == "schlüssel".encode()


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_==", "whsec_a", "whsec_abc$d", "whsec_ü"])
def test_an_unusable_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        signing_key(text)
    error = caught.value
    assert error.hint
    assert not text.removeprefix("whsec_") or text not in str(error) + error.hint
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


@given(first=PAIRS, second=PAIRS)
def test_two_lists_have_the_same_id_only_if_they_are_the_same_list(
    first: list[tuple[str, str]], second: list[tuple[str, str]]
) -> None:
    assert (message_id(first) == message_id(second)) == (first == second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param([("a", "1"), ("a", "2")], [("a", "2"), ("a", "1")], id="another order"),
        pytest.param([("a", "1"), ("a", "2")], [("a", "1")], id="a batch cut in two"),
        pytest.param([("a", "bc")], [("ab", "c")], id="a border moved"),
        pytest.param([("a", "b"), ("c", "d")], [("a", "b:c"), ("", "d")], id="a separator inside"),
        pytest.param([("a", "1:b")], [("a1:", "b")], id="a length inside"),
        pytest.param([], [("", "")], id="nothing and something empty"),
    ],
)
def test_lists_that_look_alike_have_different_ids(
    first: list[tuple[str, str]], second: list[tuple[str, str]]
) -> None:
    assert message_id(first) != message_id(second)


def test_an_id_stays_the_same_from_release_to_release() -> None:
    """A receiver drops repeats by this id: another digest would repeat what was under way."""
    events = [
        ("customerio", "01HF7YAT00000000000000000A"),
        ("customerio", "01HF7YAT0000000000000000B2"),
    ]
    assert message_id(iter(events)) == message_id(events)
    assert message_id(events) == "msg_7eae552bf34096012e1d1e8f9106aea190b1e92e"


def test_an_id_with_a_lone_surrogate_has_a_name_too() -> None:
    assert message_id([("a", "\ud800")]) != message_id([("a", "\ud801")])

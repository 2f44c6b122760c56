"""Reading a webhook's body: almost nothing is demanded, and nothing makes it fail."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.core.customerio import SECONDS_MAX, Decoded, Undecodable, decode, lane_key
from streamer.core.person import person_key

ID = "01E4C4CT6YDC7Y5M7FE1GWWPQJ"
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.text("\ud800\udfff\0a", max_size=4)
)
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)  # fmt: skip
PERSON = st.fixed_dictionaries(
    {},
    optional={
        "identifiers": st.fixed_dictionaries(
            {}, optional={"cio_id": SCALAR, "id": SCALAR, "email": SCALAR}
        )
        | JSON,
        "customer_id": SCALAR,
        "recipient": SCALAR,
    },
)


def body(**fields: object) -> bytes:
    return json.dumps({"event_id": ID, **fields}).encode()


def read(raw: bytes) -> Decoded:
    decoded = decode(raw)
    assert isinstance(decoded, Decoded), decoded
    return decoded


def reason(raw: bytes) -> str:
    decoded = decode(raw)
    assert isinstance(decoded, Undecodable), decoded
    return decoded.reason


def test_an_event_is_read() -> None:
    raw = body(object_type="email", metric="sent", timestamp=1_600_000_000, data={})
    decoded = read(raw)
    assert decoded == Decoded(ID, "email", "sent", 1_600_000_000, lane_key(None, ID))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b'{"event_id":"a"} x', "not_json"),
        (b'{"event_id":"a","n":NaN}', "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "no_event_id"),
        (b'{"event_id":null}', "no_event_id"),
        (b'{"event_id":true}', "no_event_id"),
        (b'{"event_id":["a"]}', "no_event_id"),
        (b'{"event_id":""}', "bad_event_id"),
        (b'{"event_id":"' + b"a" * 513 + b'"}', "bad_event_id"),
        (b'{"event_id":"a","x":"\xff"}', "not_utf8"),
        (b'\xff\xfe{\x00"\x00', "not_utf8"),
        (b'{"event_id":"a","object_type":"\\ud800"}', "not_unicode"),
    ],
)
def test_what_is_no_event_says_why(raw: bytes, why: str) -> None:
    assert reason(raw) == why


@pytest.mark.parametrize("depth", [10, 100, 500, 900, 990, 1_000, 1_500, 5_000, 200_000])
def test_no_depth_of_nesting_makes_it_fail(depth: int) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        nested = opening * depth + ("1" if opening != "[" else "") + closing * depth
        for raw in (
            f'{{"event_id":"{ID}","data":{nested}}}',
            f'{{"event_id":"{ID}","other":{nested}}}',
            f'{{"event_id":7,"other":{nested}}}',
            nested,
        ):
            decode(raw.encode())


def test_an_event_id_that_is_a_number_is_taken_as_text() -> None:
    assert read(b'{"event_id":123}').event_id == "123"


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        (1, 1), (1.9, 1), ("1600000000", 1_600_000_000), (SECONDS_MAX, SECONDS_MAX),
        (SECONDS_MAX + 1, None), (0, None), (-5, None), ("soon", None), ("nan", None),
        ("1e999", None), (True, None), (None, None), ([1], None), (10**30, None),
    ],
)  # fmt: skip
def test_a_timestamp_is_used_when_it_is_one(timestamp: object, seconds: int | None) -> None:
    assert read(body(timestamp=timestamp)).occurred_at == seconds


@pytest.mark.parametrize("digits", [19, 20, 400, 5_000])
def test_numbers_of_any_length_are_taken(digits: int) -> None:
    number = "9" * digits
    for field in ("timestamp", "other"):
        assert read(f'{{"event_id":"a","{field}":{number}}}'.encode()).occurred_at is None
    person = f'{{"event_id":"a","data":{{"customer_id":{number}}}}}'
    assert read(person.encode()).event_id == "a"


@pytest.mark.parametrize("value", [5, None, "", "x" * 129, ["email"], {}])
def test_a_type_that_is_no_short_text_is_left_out(value: object) -> None:
    decoded = read(body(object_type=value, metric=value))
    assert (decoded.object_type, decoded.metric) == (None, None)


@pytest.mark.parametrize("data", [5, [], "text", None, {"identifiers": 7}, {"customer_id": [1]}])
def test_data_of_another_shape_is_an_event_about_nobody(data: object) -> None:
    assert read(body(data=data)).lane_key == lane_key(None, ID)


@given(data=PERSON | JSON)
@example(data={"identifiers": {"email": "Ann@Example.com"}})
@example(data={"identifiers": {"id": 5.0}})
@example(data={"identifiers": {"cio_id": "", "id": " ", "email": None}, "recipient": "r"})
def test_both_decoders_find_the_same_person(data: object) -> None:
    """What the fast one refuses goes to the other: the lane must not depend on which it was."""
    raw = json.dumps({"event_id": ID, "data": data}).encode()
    decoded = decode(raw)
    if isinstance(decoded, Undecodable):
        assert decoded.reason in {"not_json", "not_unicode"}
        return
    plain = json.loads(raw)["data"]
    assert decoded.lane_key == lane_key(person_key(plain), ID)


@given(data=PERSON, blank=st.sampled_from(["", " ", "\n"]))
def test_the_lane_is_a_32_bit_number(data: object, blank: str) -> None:
    decoded = decode((json.dumps({"event_id": ID, "data": data}) + blank).encode())
    if isinstance(decoded, Decoded):
        assert 0 <= decoded.lane_key < 2**32


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b'{"event_id":"\\udc00"}')
@example(b'{"event_id":"a","timestamp":1e999}')
def test_it_never_raises_and_says_nothing_of_the_body(raw: bytes) -> None:
    decoded = decode(raw)
    if isinstance(decoded, Decoded):
        assert isinstance(json.loads(raw.decode()), dict), "what goes to the outbox is text"
    else:
        assert decoded.reason
        assert len(decoded.detail) < 200

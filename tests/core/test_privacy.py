"""What a destination must not see is gone from what it gets; everything else is as it was."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.errors import ConfigurationError
from streamer.core.privacy import Redactor, UnredactableBody, validate_path

HASH = re.compile("[0-9a-f]{64}")

# Few names, so that rules and events meet often.
NAMES = st.sampled_from(["a", "b", "c", "Ä"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aB9@ Ä\n\0🎉", max_size=6)
    | st.sampled_from([" Ann@Example.com ", "b@example.com"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
DATA = st.dictionaries(NAMES, JSON, max_size=4)
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=3).map(".".join), max_size=3)

Leaf = tuple[tuple[str | int, ...], Any]


def leaves(value: object, at: tuple[str | int, ...] = ()) -> Iterator[Leaf]:
    """Yield every leaf with the names and list indexes that lead to it; {} and [] are leaves."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*at, name))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, (*at, index))
    else:
        yield at, value


def under(at: tuple[str | int, ...], paths: list[str]) -> bool:
    """Say whether a leaf lies at or below one of the paths."""
    names = [step for step in at if isinstance(step, str)]
    return any(names[: path.count(".") + 1] == path.split(".") for path in paths)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@given(data=DATA, drop=PATHS, hash_=PATHS)
def test_nothing_of_a_ruled_path_survives(
    data: dict[str, Any], drop: list[str], hash_: list[str]
) -> None:
    redacted = Redactor(drop=drop, hash=hash_).apply(data)
    for at, value in leaves(redacted):
        assert not under(at, drop)
        if under(at, hash_) and value is not None and value not in ({}, []):
            assert isinstance(value, str)
            assert HASH.fullmatch(value)


@given(data=DATA, drop=PATHS, hash_=PATHS)
def test_what_no_rule_names_is_as_it_was(
    data: dict[str, Any], drop: list[str], hash_: list[str]
) -> None:
    redacted = dict(leaves(Redactor(drop=drop, hash=hash_).apply(data)))
    for at, value in leaves(data):
        if not under(at, drop) and not under(at, hash_):
            assert redacted[at] == value
            assert type(redacted[at]) is type(value)


@given(data=DATA, hash_=PATHS)
def test_hashing_keeps_the_shape_and_hashes_each_leaf_for_itself(
    data: dict[str, Any], hash_: list[str]
) -> None:
    before = dict(leaves(data))
    after = dict(leaves(Redactor(drop=[], hash=hash_).apply(data)))
    assert list(before) == list(after)
    for at, value in before.items():
        if under(at, hash_) and value not in (None, {}, []):
            text = value if isinstance(value, str) else json.dumps(value)
            assert after[at] == sha256(text.strip().lower() if "@" in text else text)


@given(data=DATA, drop=PATHS)
def test_dropping_twice_is_dropping_once(data: dict[str, Any], drop: list[str]) -> None:
    redactor = Redactor(drop=drop, hash=[])
    once = redactor.apply(data)
    assert redactor.apply(once) == once


@given(data=DATA, drop=PATHS, hash_=PATHS)
def test_the_argument_is_left_alone(
    data: dict[str, Any], drop: list[str], hash_: list[str]
) -> None:
    before = copy.deepcopy(data)
    Redactor(drop=drop, hash=hash_).apply(data)
    assert data == before


@given(data=DATA, drop=PATHS, hash_=PATHS)
def test_a_body_is_redacted_like_its_decoded_data(
    data: dict[str, Any], drop: list[str], hash_: list[str]
) -> None:
    redactor = Redactor(drop=drop, hash=hash_)
    event = {"event_id": "1", "a": "not below data", "data": data}
    redacted = json.loads(redactor.redact_body(json.dumps(event).encode()))
    assert redacted == {**event, "data": redactor.apply(data)}


def test_lists_on_the_way_and_at_the_end_mean_their_elements() -> None:
    redactor = Redactor(drop=["recipients.token"], hash=["recipients.id", "tags"])
    assert redactor.apply(
        {
            "recipients": [{"id": "x", "token": "t"}, [{"id": 7}], {"platform": "ios"}, "odd"],
            "tags": ["y", ["z"], None],
        }
    ) == {
        "recipients": [{"id": sha256("x")}, [{"id": sha256("7")}], {"platform": "ios"}, "odd"],
        "tags": [sha256("y"), [sha256("z")], None],
    }


def test_an_address_has_one_hash_however_it_is_written() -> None:
    redactor = Redactor(drop=[], hash=["email"])
    expected = {"email": sha256("person@example.com")}
    for written in ("person@example.com", " Person@Example.COM\n", "PERSON@EXAMPLE.COM"):
        assert redactor.apply({"email": written}) == expected


def test_text_that_is_no_address_is_hashed_to_the_letter() -> None:
    redactor = Redactor(drop=[], hash=["id"])
    hashes = {redactor.apply({"id": text})["id"] for text in ("Ab", "ab", " ab", "AB", "0ab")}
    assert len(hashes) == 5
    assert redactor.apply({"id": "ab"}) == {"id": sha256("ab")}


@pytest.mark.parametrize(
    ("value", "text"), [(42, "42"), (-1.5, "-1.5"), (True, "true"), (2**70, str(2**70))]
)
def test_a_number_is_hashed_as_its_text(value: object, text: str) -> None:
    assert Redactor(drop=[], hash=["id"]).apply({"id": value}) == {"id": sha256(text)}


def test_an_object_at_a_hash_path_keeps_its_names_and_loses_its_values() -> None:
    redactor = Redactor(drop=["identifiers.cio_id"], hash=["identifiers"])
    data = {"identifiers": {"id": "1", "email": None, "cio_id": "c", "more": {"x": [1]}}}
    assert redactor.apply(data) == {
        "identifiers": {"id": sha256("1"), "email": None, "more": {"x": [sha256("1")]}}
    }


def test_dropping_wins_over_hashing_of_the_same_path_or_a_part_of_it() -> None:
    assert Redactor(drop=["a"], hash=["a", "a.b"]).apply({"a": {"b": 1}, "c": 2}) == {"c": 2}


def test_without_a_rule_the_body_is_handed_back_itself() -> None:
    body = b"not even JSON"
    assert Redactor(drop=[], hash=[]).redact_body(body) is body


def test_names_outside_data_are_not_ruled() -> None:
    body = b'{"event_id":"1", "content":"c", "id":"i"}'
    redacted = Redactor(drop=["content"], hash=["id"]).redact_body(body)
    assert json.loads(redacted) == json.loads(body)


@pytest.mark.parametrize("data", ["null", '"text"', "7", "[]", "{}"])
def test_data_of_another_kind_passes(data: str) -> None:
    body = b'{"data":%b}' % data.encode()
    assert Redactor(drop=["content"], hash=["id"]).redact_body(body) == body


def test_data_that_is_a_list_is_looked_through() -> None:
    body = b'{"data":[{"content":"x","id":1}]}'
    assert Redactor(drop=["content"], hash=[]).redact_body(body) == b'{"data":[{"id":1}]}'


@pytest.mark.parametrize(
    "number",
    ["1.10", "-0.0", "1E5", "1e999", "-1e-999", "0.1234567890123456789", "9" * 30, "9" * 6000],
)
def test_a_number_is_kept_to_the_last_digit(number: str) -> None:
    redactor = Redactor(drop=["content"], hash=["id"])
    kept = b'{"price":%b,"data":{"prices":[%b],"a":"\xc3\xa4"' % ((number.encode(),) * 2)
    body = kept + b',"content":"x","id":%b}}' % number.encode()
    redacted = redactor.redact_body(body).decode()
    expected = (kept + b',"id":"%b"}}' % sha256(number).encode()).decode()
    assert redacted.replace("\\u00e4", "ä") == expected


def test_half_a_surrogate_pair_does_not_keep_fields_from_being_dropped() -> None:
    body = rb'{"data":{"subject":"cut \ud83d","content":"x","id":"\ud83d"}}'
    redacted = Redactor(drop=["content"], hash=["id"]).redact_body(body)
    assert redacted.startswith(rb'{"data":{"subject":"cut \ud83d","id":"')
    assert HASH.fullmatch(json.loads(redacted)["data"]["id"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":{"content":"secret","content":"secret too"}}',
        b'{"data":{"content":"secret"},"data":{}}',
        rb'{"data":{"conte\u006et":"secret"}}',
        b'{"data":{"content":"secret"},"x":1e999}',
        b'{"data":{"content":"secret"},"x":%b}' % (b"9" * 6000),
    ],
)
def test_no_spelling_of_a_body_gets_a_dropped_field_through(body: bytes) -> None:
    assert b"secret" not in Redactor(drop=["content"], hash=[]).redact_body(body)


def test_of_a_name_that_comes_twice_the_last_is_hashed_and_the_first_is_gone() -> None:
    body = b'{"data":{"id":"first","id":"last"}}'
    redacted = Redactor(drop=[], hash=["id"]).redact_body(body)
    assert redacted == b'{"data":{"id":"%b"}}' % sha256("last").encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"secret",
        b'["secret"]',
        b'{"data":{"id":"secret"}',
        b'{"data":{"id":"secret\xff"}}',
        b'\xef\xbb\xbf{"data":{"id":"secret"}}',
        b'{"data":{"id":"secret"},"x":NaN}',
        b'{"data":{"id":' + b"[" * 100_000 + b'"secret"' + b"]" * 100_000 + b"}}",
    ],
)
def test_a_body_that_cannot_be_read_is_refused_and_not_quoted(body: bytes) -> None:
    with pytest.raises(UnredactableBody) as caught:
        Redactor(drop=["content"], hash=["id"]).redact_body(body)
    error = caught.value
    assert "secret" not in f"{error} {error.hint}"
    assert error.__cause__ is None
    assert error.__context__ is None


def test_data_that_is_nested_too_deep_to_be_hashed_is_refused() -> None:
    deep: object = "secret"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(UnredactableBody):
        Redactor(drop=[], hash=["id"]).apply({"id": deep})


@pytest.mark.parametrize(
    "path", ["", ".", "a.", ".a", "a..b", "recipients[].id", "a.*", "$.a", "data.content", "data"]
)
def test_a_path_that_could_never_match_is_refused(path: str) -> None:
    assert validate_path(path)
    for rules in ({"drop": [path], "hash": []}, {"drop": [], "hash": [path]}):
        with pytest.raises(ConfigurationError) as caught:
            Redactor(**rules)
        assert repr(path) in str(caught.value)


@pytest.mark.parametrize("path", ["content", "identifiers.email", "headers.X-Order", "database"])
def test_an_ordinary_path_is_no_problem(path: str) -> None:
    assert validate_path(path) is None

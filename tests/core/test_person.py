"""One person has one key, whatever shape the identifiers arrive in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.person import person_key

FULL: dict[str, Any] = {
    "identifiers": {"cio_id": "c1", "id": "42", "email": "Jo@Example.COM"},
    "customer_id": "legacy",
    "recipient": "to@example.com",
}


def test_the_identifiers_are_tried_in_the_order_of_how_little_they_change() -> None:
    data: dict[str, Any] = {**FULL, "identifiers": dict(FULL["identifiers"])}
    keys = [person_key(data)]
    for name in ("cio_id", "id", "email"):
        del data["identifiers"][name]
        keys.append(person_key(data))
    del data["customer_id"]
    keys.append(person_key(data))
    del data["recipient"]
    keys.append(person_key(data))
    assert keys == ["c1", "42", "jo@example.com", "legacy", "to@example.com", None]


@pytest.mark.parametrize("absent", [None, "", "  \t", True, False, [], ["c1"], {}, {"id": "x"}])
@pytest.mark.parametrize("name", ["cio_id", "id", "email"])
def test_what_is_no_identifier_is_passed_over(name: str, absent: object) -> None:
    data = {"identifiers": {name: absent}, "recipient": "next"}
    assert person_key(data) == "next"


@pytest.mark.parametrize("identifiers", [None, "c1", 5, [], ["c1"], True])
def test_identifiers_that_are_no_object_are_passed_over(identifiers: object) -> None:
    assert person_key({"identifiers": identifiers, "customer_id": "next"}) == "next"


def test_a_number_is_the_same_person_as_its_text() -> None:
    assert person_key({"identifiers": {"id": 42}}) == person_key({"identifiers": {"id": "42"}})


def test_zero_is_an_id() -> None:
    assert person_key({"identifiers": {"id": 0}, "recipient": "next"}) == "0"


def test_blanks_around_an_identifier_do_not_make_another_person() -> None:
    assert person_key({"identifiers": {"id": " 42\n"}}) == "42"


def test_only_the_address_among_the_identifiers_is_lower_cased() -> None:
    assert person_key({"identifiers": {"id": "AbC"}}) == "AbC"
    assert person_key({"recipient": "Device-Token"}) == "Device-Token"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["identifiers", "cio_id", "id", "email", "customer_id", "recipient"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_gives_a_text_that_is_not_blank_or_nobody(data: object) -> None:
    key = person_key(data)
    assert key is None or key.strip() == key != ""

"""The patterns of a destination, in Python and in SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.core.catalogue import known_types, type_names
from streamer.core.errors import ConfigurationError
from streamer.core.limits import PATTERNS_MAX
from streamer.core.selection import Selection, validate_pattern

# What is special to one matcher or the other, so that a slip in escaping shows.
ODD = "aZ.*?[]^-!\\(|$\n\0é🎉\ufffd\ufffe\uffff%_'\""
PART = st.none() | st.sampled_from(["email", "sent", "unknown", ""]) | st.text(ODD, max_size=5)
PATTERN = st.sampled_from(["*", "email.*", "*.sent", "unknown.*"]) | st.text(ODD, max_size=7)
PATTERNS = st.lists(PATTERN, max_size=3)


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE outbox (object_type TEXT, metric TEXT) STRICT")
        yield connection


def selected(
    database: sqlite3.Connection, selection: Selection, types: list[tuple[str | None, str | None]]
) -> list[bool]:
    condition, values = selection.sql_condition()
    database.execute("DELETE FROM outbox")
    database.executemany("INSERT INTO outbox VALUES (?, ?)", types)
    rows = database.execute(f"SELECT {condition} FROM outbox ORDER BY rowid", values)  # noqa: S608 - ours
    return [bool(value) for (value,) in rows]


@given(
    include=PATTERNS,
    exclude=PATTERNS,
    types=st.lists(st.tuples(PART, PART), min_size=1, max_size=8),
)
@example(include=["[a-z].b"], exclude=[], types=[("a", "b"), ("[a-z]", "b")])
@example(include=["a?.b"], exclude=[], types=[("ab", "b"), ("a?", "b")])
@example(include=["a"], exclude=[], types=[("a\0", "b")])
@example(include=["\uffff*"], exclude=[], types=[("\ufffe", None)])
@example(include=["a.b"], exclude=[], types=[("a", "b\n"), ("A", "b"), ("a", "b")])
@example(include=["*]*"], exclude=["*^*"], types=[("]", "^"), ("]", "")])
def test_sql_and_python_select_the_same_events(
    database: sqlite3.Connection,
    include: list[str],
    exclude: list[str],
    types: list[tuple[str | None, str | None]],
) -> None:
    selection = Selection(include=include, exclude=exclude)
    expected = [selection.matches(object_type, metric) for object_type, metric in types]
    assert selected(database, selection, types) == expected


def test_the_condition_can_be_negated_and_combined(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM outbox")
    database.execute("INSERT INTO outbox VALUES ('email', 'sent')")
    for include, exclude, expected in (
        ([], [], True),
        (["email.*"], ["email.sent"], False),
        (["sms.*", "*.sent"], [], True),
        ([], ["*"], False),
    ):
        condition, values = Selection(include=include, exclude=exclude).sql_condition()
        for text, value in (
            (f"NOT {condition}", not expected),
            (f"0 OR {condition}", expected),
            (f"{condition} AND 1", expected),
        ):
            (found,) = database.execute(f"SELECT {text} FROM outbox", values).fetchone()  # noqa: S608 - ours
            assert bool(found) is value


def test_as_many_patterns_as_are_allowed_work_in_sql(database: sqlite3.Connection) -> None:
    most = Selection(include=["sms.*"] * (PATTERNS_MAX - 1) + ["email.sent"], exclude=[])
    assert selected(database, most, [("email", "sent"), ("email", "opened")]) == [True, False]
    with pytest.raises(ConfigurationError) as caught:
        Selection(include=["a.b"] * PATTERNS_MAX, exclude=["a.b"])
    assert "*" in caught.value.hint


@pytest.mark.parametrize(
    ("include", "exclude", "chosen"),
    [
        ([], [], {"email.sent", "email.opened", "sms.sent", "unknown.sent", "email.unknown"}),
        (["email.*"], [], {"email.sent", "email.opened", "email.unknown"}),
        (["*.sent"], ["email.*"], {"sms.sent", "unknown.sent"}),
        ([], ["*.sent"], {"email.opened", "email.unknown"}),
        (["*.unknown", "unknown.*"], [], {"unknown.sent", "email.unknown"}),
        (["email.sent"], ["email.sent"], set()),
        (["EMAIL.*", "email", "mail.*", "email.sen", "email.?ent", "email.[s]ent"], [], set()),
        (["e*l.s*t"], [], {"email.sent"}),
        (["**"], ["s**"], {"email.sent", "email.opened", "unknown.sent", "email.unknown"}),
    ],
)
def test_exclude_wins_and_a_missing_part_is_unknown(
    database: sqlite3.Connection, include: list[str], exclude: list[str], chosen: set[str]
) -> None:
    types: dict[str, tuple[str | None, str | None]] = {
        "email.sent": ("email", "sent"),
        "email.opened": ("email", "opened"),
        "sms.sent": ("sms", "sent"),
        "unknown.sent": (None, "sent"),
        "email.unknown": ("email", ""),
    }
    selection = Selection(include=include, exclude=exclude)
    assert {name for name, kind in types.items() if selection.matches(*kind)} == chosen
    in_sql = selected(database, selection, list(types.values()))
    assert {name for name, yes in zip(types, in_sql, strict=True) if yes} == chosen


def test_an_answer_is_the_same_when_it_is_remembered() -> None:
    selection = Selection(include=["email.*"], exclude=["*.opened"])
    for _ in range(2):
        assert selection.matches("email", "sent")
        assert not selection.matches("email", "opened")
        assert not selection.matches(None, None)


def test_more_types_than_are_remembered_are_still_told_apart() -> None:
    selection = Selection(include=["*.sent7*"], exclude=[])
    for number in range(3000):
        metric = f"sent{number}"
        assert selection.matches("email", metric) is metric.startswith("sent7")


def test_a_name_of_a_megabyte_takes_no_longer_than_reading_it() -> None:
    selection = Selection(include=["*a*a*a*b", "*a*a*c*d*"], exclude=[])
    assert not selection.matches("a" * 1_000_000, "sent")
    assert selection.matches("a" * 1_000_000, "b")


@pytest.mark.parametrize("pattern", [*type_names(), "*", "email.*", "*.bounced", "*_app.*", "*e*"])
def test_a_pattern_for_known_types_is_not_warned_of(pattern: str) -> None:
    assert validate_pattern(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        ("emial.*", "email.*"),
        ("email.snet", "email.sent"),
        ("email_sent", "email.sent"),
        ("Email.sent", "email.sent"),
        ("customer_subscribed", "customer.subscribed"),
        ("fax.xx", "*.bounced"),
        ("", "*.bounced"),
        ("[a-z]*", "*.bounced"),
    ],
)
def test_a_pattern_for_no_known_type_is_warned_of_with_advice(pattern: str, advice: str) -> None:
    warning = validate_pattern(pattern)
    assert warning is not None
    assert repr(pattern) in warning
    assert advice in warning


def test_every_known_type_can_be_selected_by_its_own_name_alone() -> None:
    for object_type, metric in known_types():
        selection = Selection(include=[f"{object_type}.{metric}"], exclude=[])
        assert [kind for kind in known_types() if selection.matches(*kind)] == [
            (object_type, metric)
        ]

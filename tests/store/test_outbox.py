"""Appending keeps each event once and in order; reading back loses and invents nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamer.core import limits
from streamer.core.samples import TEST_EVENT_ID
from streamer.core.selection import Selection
from streamer.store import outbox, sqlite
from streamer.store.arrival import Kept
from streamer.store.outbox import Lane
from streamer.store.sqlite import Connection
from tests.store.build import (
    ALL,
    NOW,
    append,
    append_at,
    body,
    counted_steps,
    counted_totals,
    event,
    fill_outbox,
    open_fresh,
    read_all,
    said_totals,
    unreadable,
)


@contextmanager
def scratch() -> Iterator[Connection]:
    """Open a database for one example of a property."""
    with TemporaryDirectory() as directory, closing(open_fresh(Path(directory) / "a.db")) as db:
        yield db


def test_events_come_back_as_they_went_in(db: Connection) -> None:
    given_event = event(1, body='{"event_id": "event-1", "name": "Zoë 🙂"}'.encode())
    assert append(db, given_event) == [Kept.STORED]
    (stored,) = read_all(db)
    for field in given_event.__struct_fields__:
        assert getattr(stored, field) == getattr(given_event, field)


def test_the_same_event_is_stored_once_and_burns_no_position(db: Connection) -> None:
    assert append(db, event(1), event(1), event(2)) == [Kept.STORED, Kept.DUPLICATE, Kept.STORED]
    assert append(db, event(2), event(3)) == [Kept.DUPLICATE, Kept.STORED]
    assert [stored.position for stored in read_all(db)] == [1, 2, 3]
    assert said_totals(db) == counted_totals(db)


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(
        st.integers(0, 3 * limits.INSERT_ROWS_MAX), max_size=3 * limits.INSERT_ROWS_MAX
    ),
    before=st.sets(st.integers(0, 3 * limits.INSERT_ROWS_MAX), max_size=3),
)
@example(numbers=[*range(limits.INSERT_ROWS_MAX), 0, limits.INSERT_ROWS_MAX], before=set())
@example(numbers=list(range(2 * limits.INSERT_ROWS_MAX)), before={limits.INSERT_ROWS_MAX + 1})
def test_many_together_become_what_each_would_have_become_alone(
    numbers: list[int], before: set[int]
) -> None:
    with scratch() as together, scratch() as alone:
        for db in (together, alone):
            db.execute("BEGIN")  # nothing here is about what a commit costs
            append(db, *(event(number) for number in sorted(before)))
        expected = [append(alone, event(number))[0] for number in numbers]
        assert append(together, *(event(number) for number in numbers)) == expected
        assert read_all(together) == read_all(alone), "the same events in the same positions"
        assert said_totals(together) == said_totals(alone) == counted_totals(together)


def test_a_retry_written_with_other_blanks_is_a_duplicate(db: Connection) -> None:
    append(db, event(1))
    document = json.loads(event(1).body)
    other = json.dumps(document, indent=2, sort_keys=True).encode()
    assert other != event(1).body
    assert append(db, event(1, body=other)) == [Kept.DUPLICATE]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1", "true"), ("0", "false"), ("1", "1.0"), ("1", "2"), ("null", "0"), ('"a"', '"b"'),
        ("1e400", "1e500"), ("0.1", "0.10000000000000000001"), ("1" * 5_000, "1" * 5_001),
        ("1", '1, "x": 1'), ('1, "x": 2', "2"), ('1, "x": 2', '2, "x": 1'), ("{}", "[]"),
        ("1", '["1"]'), ('{"1": 2}', '[["1", 2]]'), ('"1"', "1"),
    ],
)  # fmt: skip
def test_the_same_id_with_another_body_is_kept_in_quarantine(
    db: Connection, first: str, second: str
) -> None:
    bodies = [f'{{"event_id": "event-1", "x": {value}}}'.encode() for value in (first, second)]
    assert append(db, event(1, body=bodies[0])) == [Kept.STORED]
    assert append(db, event(1, body=bodies[1])) == [Kept.CONFLICT]
    row = db.execute("SELECT reason, event_id, body FROM quarantine").fetchone()
    assert tuple(row) == ("id_conflict", "event-1", bodies[1])
    assert read_all(db)[0].body == bodies[0]


NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?", fullmatch=True
)


class Literal(str):
    """A number as it is written."""

    __slots__ = ()


VALUES = st.recursive(
    NUMBERS.map(Literal) | st.text(max_size=3) | st.sampled_from([True, False, None]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.tuples(st.sampled_from("abc"), inner), max_size=3).map(tuple)
    ),
    max_leaves=8,
)
"""JSON values; an object is a tuple of its members, whose keys may stand twice."""


def written(value: object, blank: str = "", *, turned: bool = False) -> str:
    """Write a value; ``turned`` writes members of different keys the other way round."""
    if isinstance(value, Literal):
        return str(value)
    if isinstance(value, tuple):
        keys = list(dict.fromkeys(key for key, _ in value))
        members = [
            f"{json.dumps(key)}{blank}:{written(inner, blank, turned=turned)}"
            for key in (reversed(keys) if turned else keys)
            for other, inner in value
            if other == key
        ]
        return "{" + f"{blank},".join(members) + "}"
    if isinstance(value, list):
        inner = [written(one, blank, turned=turned) for one in value]
        return "[" + f",{blank}".join(inner) + "]"
    return json.dumps(value)


@given(VALUES, VALUES)
def test_two_bodies_are_the_same_when_only_blanks_and_the_order_of_keys_differ(
    first: object, second: object
) -> None:
    plain, turned = written(first), written(first, " \n", turned=True)
    assert outbox.same_event(plain.encode(), turned.encode())
    other = written(second)
    alike = written_in_order(first) == written_in_order(second)
    assert outbox.same_event(plain.encode(), other.encode()) is alike


def written_in_order(value: object) -> str:
    """Write a value so that two of them are the same text exactly when they say the same."""
    if isinstance(value, tuple):
        parts = [(key, written_in_order(inner)) for key, inner in value]
        return f"object {sorted(parts, key=lambda part: part[0])}"
    if isinstance(value, list):
        return f"list {[written_in_order(one) for one in value]}"
    return f"number {value}" if isinstance(value, Literal) else f"plain {value!r}"


def test_a_repeat_nested_too_deep_to_compare_is_kept_and_not_raised(db: Connection) -> None:
    deep = b'{"event_id": "event-1", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert append(db, event(1, body=deep)) == [Kept.STORED]
    assert append(db, event(1, body=deep)) == [Kept.DUPLICATE]
    assert append(db, event(1, body=deep + b" ")) == [Kept.CONFLICT]


def test_the_canned_test_event_may_change_its_body(db: Connection) -> None:
    first = event(1, event_id=TEST_EVENT_ID, received_at=NOW)
    again = event(2, event_id=TEST_EVENT_ID, received_at=NOW + 5)
    assert append(db, first) == [Kept.STORED]
    assert append(db, again) == [Kept.DUPLICATE]
    assert db.execute("SELECT last_test_at FROM sources").fetchone()[0] == NOW + 5


def test_the_same_id_from_another_source_is_another_event(db: Connection) -> None:
    assert append(db, event(1), event(1, source="other")) == [Kept.STORED, Kept.STORED]
    assert [stored.source for stored in outbox.find(db, "event-1")] == ["customerio", "other"]


def test_positions_are_not_reused_when_pruning_has_emptied_the_table(db: Connection) -> None:
    append(db, event(1), event(2))
    db.execute("DELETE FROM outbox")
    append(db, event(3))
    assert [stored.position for stored in read_all(db)] == [3]


def test_named_positions_are_read_in_order_and_missing_ones_left_out(db: Connection) -> None:
    append(db, *(event(number) for number in range(1, 6)))
    read = outbox.read_positions(db, [5, 99, 2])
    assert [stored.position for stored in read] == [2, 5]


def test_the_first_event_that_a_filter_leaves_out_is_found_without_its_body(
    db: Connection,
) -> None:
    append(db, *(event(number) for number in range(1, 4)))
    append(db, event(4, metric=None), event(5, metric="opened"))
    db.execute("UPDATE outbox SET body = CAST(x'ff' AS TEXT)")
    sent = Selection(include=("*.sent",), exclude=())
    assert outbox.first_unwanted(db, [5, 4, 1], sent) == (4, "email.unknown")
    assert outbox.first_unwanted(db, [1, 2, 3, 99], sent) is None


def test_a_read_that_ends_at_its_byte_limit_leaves_no_statement_open(
    db: Connection, path: Path
) -> None:
    append(db, *(event(number) for number in range(1, 6)))
    with closing(sqlite.open_reader(path)) as reader:
        scan = outbox.read_after(reader, 0, selection=ALL, events_max=10, bytes_max=1)
        assert [stored.position for stored in scan.events] == [1]
        append(db, event(6))
        busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    assert busy == 0


@pytest.mark.parametrize("gap", [2, 10**9])
def test_a_gap_costs_nothing_and_loses_nothing(db: Connection, gap: int) -> None:
    append_at(db, [1, 1 + gap, 2 + gap])
    for selection in (ALL, Selection(include=("email.*",), exclude=())):
        scan = outbox.read_after(db, 1, selection=selection, events_max=9, bytes_max=2**20)
        assert [stored.position for stored in scan.events] == [1 + gap, 2 + gap]
        assert (scan.through, scan.caught_up) == (2 + gap, True)


def test_a_filter_that_matches_nothing_looks_at_a_bounded_number_of_events(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "SCAN_EVENTS_MAX", 3)
    append(db, *(event(number) for number in range(1, 6)))
    none = Selection(include=("push.*",), exclude=())
    first = outbox.read_after(db, 0, selection=none, events_max=9, bytes_max=2**20)
    assert (first.events, first.through, first.caught_up) == ((), 3, False)
    second = outbox.read_after(db, 3, selection=none, events_max=9, bytes_max=2**20)
    assert (second.events, second.through, second.caught_up) == ((), 5, True)
    assert limits.SCAN_EVENTS_MAX >= limits.BATCH_EVENTS_MAX


ROWS = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["sent", "opened"]), st.integers(0, 2**32 - 1)),
    max_size=12,
)


@settings(max_examples=60)
@given(
    rows=ROWS,
    lanes=st.integers(1, 3),
    metrics=st.sampled_from([(), ("email.sent",), ("*.opened", "email.sent"), ("push.*",)]),
    events_max=st.integers(1, 4),
    bytes_max=st.sampled_from([1, 300, 2**20]),
    until=st.none() | st.integers(0, 50),
    scan_max=st.integers(1, 4),
)
def test_reading_on_and_on_yields_exactly_what_a_list_would(
    *,
    rows: list[tuple[int, str, int]],
    lanes: int,
    metrics: tuple[str, ...],
    events_max: int,
    bytes_max: int,
    until: int | None,
    scan_max: int,
) -> None:
    selection = Selection(include=metrics, exclude=())
    with scratch() as db, pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "SCAN_EVENTS_MAX", scan_max)
        position, expected = 0, []
        for gap, metric, lane_key in rows:
            position += gap
            append_at(db, [position], metric=metric, lane_key=lane_key)
            in_reach = until is None or position <= until
            if in_reach and lane_key % lanes == 0 and selection.matches("email", metric):
                expected.append(position)
        found: list[int] = []
        at, caught_up = 0, False
        while not caught_up:
            scan = outbox.read_after(
                db, at, selection=selection, lane=Lane(lanes, 0), until=until,
                events_max=events_max, bytes_max=bytes_max,
            )  # fmt: skip
            read = [stored.position for stored in scan.events]
            sizes = [len(stored.body) for stored in scan.events]
            assert len(read) <= events_max
            assert len(read) <= 1 or sum(sizes) <= bytes_max
            assert all(at < one <= scan.through for one in read)
            assert [one for one in expected if at < one <= scan.through] == read
            assert scan.through > at or scan.caught_up
            found += read
            at, caught_up = scan.through, scan.caught_up
        assert found == expected


@settings(max_examples=40)
@given(
    batches=st.lists(
        st.lists(
            st.tuples(st.integers(1, 4), st.sampled_from(["same", "other", "noise"])), max_size=6
        ),
        max_size=5,
    )
)
def test_the_totals_are_what_counting_finds(batches: list[list[tuple[int, str]]]) -> None:
    with scratch() as db:
        for batch in batches:
            append(
                db,
                *(
                    unreadable(b"noise %d" % number)
                    if kind == "noise"
                    else event(number, body=body(f"event-{number}", kind=kind))
                    for number, kind in batch
                ),
            )
        assert said_totals(db) == counted_totals(db)
        counts = db.execute("SELECT sum(received + duplicates + quarantined) FROM sources")
        assert (counts.fetchone()[0] or 0) == sum(map(len, batches))
        positions = [stored.position for stored in read_all(db)]
        assert positions == list(range(1, len(positions) + 1))


DISORDER_MS = int(limits.RECEIPT_DISORDER_SECONDS * 1000)


def append_received(db: Connection, gaps: list[int], received: list[int]) -> dict[int, int]:
    """Append an event for each time of receipt; return the times by position."""
    positions = list(itertools.accumulate(gaps))
    for position, at in zip(positions, received, strict=True):
        append_at(db, [position], received_at=at)
    return dict(zip(positions, received, strict=True))


@settings(max_examples=80)
@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from([1, 2, 10**9]),
            st.sampled_from([0, 1, DISORDER_MS, 3 * DISORDER_MS]),
            st.integers(0, DISORDER_MS),
        ),
        max_size=12,
    ),
    moment=st.integers(-DISORDER_MS, 9 * DISORDER_MS),
)
def test_the_first_event_since_a_moment_is_found_though_calls_were_committed_in_another_order(
    calls: list[tuple[int, int, int]], moment: int
) -> None:
    """A call was received up to its deadline before its commit, and commits are in order."""
    committed = list(itertools.accumulate(pause for _, pause, _ in calls))
    received = [NOW + at - call[2] for at, call in zip(committed, calls, strict=True)]
    with scratch() as db:
        there = append_received(db, [gap for gap, _, _ in calls], received)
        first = min((at for at, when in there.items() if when >= NOW + moment), default=None)
        assert outbox.first_since(db, NOW + moment) == first


@settings(max_examples=80)
@given(times=st.lists(st.integers(0, 5).map(lambda days: days * 86_400_000), max_size=12),
       moment=st.integers(0, 6 * 86_400_000))  # fmt: skip
def test_where_the_clock_was_set_back_some_event_since_a_moment_is_found(
    times: list[int], moment: int
) -> None:
    with scratch() as db:
        there = append_received(db, [1] * len(times), times)
        found = outbox.first_since(db, moment)
        assert times[-1:] < [moment] if found is None else there[found] >= moment


@pytest.mark.parametrize("ago", [0, 1, 50_000, 99_999, 100_001])
def test_a_moment_is_found_in_few_steps_whatever_the_length_of_the_outbox(
    db: Connection, ago: int
) -> None:
    fill_outbox(db, 100_000)
    with counted_steps(db) as steps:
        found = outbox.first_since(db, NOW - ago * 1000)
    assert found == max(1, 100_000 - ago)
    assert steps[0] < 1_500


def test_a_moment_at_which_very_much_was_received_is_found_in_bounded_steps_a_little_early(
    db: Connection,
) -> None:
    fill_outbox(db, 30_000, step_ms=0)
    with counted_steps(db) as steps:
        assert outbox.first_since(db, NOW + 1) == limits.SCAN_EVENTS_MAX
    assert steps[0] < 10 * limits.SCAN_EVENTS_MAX

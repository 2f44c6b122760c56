"""The event that a destination's books mean is found by id, digest or position, never by guess."""

from __future__ import annotations

import hashlib

import pytest

from streamer.store import late_match
from streamer.store.late_match import Match, Name
from streamer.store.sqlite import Connection
from tests.store.build import append, event

ODD = "order:7/ü"
DIGEST = hashlib.sha256(ODD.encode()).hexdigest()


@pytest.fixture(autouse=True)
def _stored(db: Connection) -> None:
    """Positions 1 to 4: two plain events, one that two sources have, one with an odd id."""
    append(db, event(1), event(2), event(2, source="other"), event("odd", event_id=ODD))


def find(db: Connection, *names: Name) -> list[Match | None]:
    return late_match.find(db, names, odd=late_match.odd_ids(db))


@pytest.mark.parametrize(
    ("name", "position"),
    [
        (Name("event-1"), 1),
        (Name("event-1", "event-1", 1), 1),
        (Name("digest", "event-1"), 1),
        (Name("event-2", None, 2), 2),
        (Name("event-2", None, 3), 3),
        (Name("elsewhere", "event-2", 3), 3),
        (Name(DIGEST), 4),
        (Name(DIGEST, None, 4), 4),
        (Name(DIGEST, ODD), 4),
        (Name(ODD), 4),
        # A position of another database is no reason to take another event …
        (Name("event-1", "event-1", 4), 1),
        (Name("event-1", None, 999), 1),
        # … and neither is the event there, when the ids do not fit.
        (Name("stranger", "stranger", 1), None),
        (Name("stranger", None, 1), None),
        (Name("event-2"), None),
        (Name("event-2", None, 1), None),
        (Name(DIGEST.upper()), None),
        (Name("0" * 64), None),
    ],
)
def test_a_name_means_an_event_or_none(db: Connection, name: Name, position: int | None) -> None:
    (match,) = find(db, name)
    assert (match and match.position) == position


def test_each_name_has_its_answer_in_its_place(db: Connection) -> None:
    assert find(db, Name("x"), Name("event-1"), Name("event-2"), Name(DIGEST)) == [
        None, Match(1, "customerio", "event-1"), None, Match(4, "customerio", ODD),
    ]  # fmt: skip
    assert find(db) == []


def test_only_ids_that_may_have_been_hashed_are_hashed(db: Connection) -> None:
    append(db, event("tilde", event_id="aZ09-._~"))
    assert late_match.odd_ids(db) == {DIGEST: ODD}

"""A dead letter holds on to its event until it is closed, and keeps its story after that."""

from __future__ import annotations

import pytest

from streamer.core.settlement import Progress
from streamer.store import dead_letters, replays, settling, sqlite
from streamer.store.cursors import CursorState
from streamer.store.destinations import Declared
from streamer.store.replays import Request
from streamer.store.settling import Settlement
from streamer.store.sqlite import Connection
from tests.store.build import (
    NOW,
    accept,
    append,
    burial,
    declare,
    event,
    only_cursor,
    read_all,
)


@pytest.fixture
def letters(db: Connection) -> Connection:
    """Three events, of which the first two are dead letters."""
    declare(db, Declared("hook", "http"))
    append(db, *(event(number) for number in range(1, 4)))
    stored = read_all(db)
    buried = (burial(stored[0]), burial(stored[1], "exhausted"))
    settlement = Settlement(only_cursor(db, "hook"), Progress(2), CursorState(), NOW, buried=buried)
    settling.settle(db, settlement)
    return db


def states(db: Connection) -> list[str]:
    return [letter.state for letter in dead_letters.list_letters(db, state=None)]


def retry(db: Connection, *letter_ids: int) -> int:
    found = [dead_letters.load(db, letter_id) for letter_id in letter_ids]
    positions = tuple(letter.position for letter in found if letter)
    request = Request(
        "hook", min(positions), max(positions), positions=positions, letter_ids=letter_ids
    )
    return replays.start(db, request, events=len(positions), now=NOW)


def test_an_open_letter_keeps_its_event_from_being_deleted(letters: Connection) -> None:
    with pytest.raises(sqlite.Error, match="FOREIGN KEY"):
        letters.execute("DELETE FROM outbox WHERE position = 1")
    letters.execute("DELETE FROM outbox WHERE position = 3")


def test_a_letter_in_retry_keeps_its_event_too(letters: Connection) -> None:
    retry(letters, 1)
    assert states(letters) == ["retrying", "open"]
    with pytest.raises(sqlite.Error, match="FOREIGN KEY"):
        letters.execute("DELETE FROM outbox WHERE position = 1")


def test_a_discarded_letter_lets_its_event_go(letters: Connection) -> None:
    assert dead_letters.discard(letters, [1, 99], now=NOW + 1) == 1
    letters.execute("DELETE FROM outbox WHERE position = 1")
    letter = dead_letters.load(letters, 1)
    assert letter is not None
    assert (letter.state, letter.closed_at, letter.event_id) == ("discarded", NOW + 1, "event-1")
    assert dead_letters.load(letters, 99) is None


def test_a_letter_without_an_event_cannot_be_made(letters: Connection) -> None:
    stored = read_all(letters)[2]
    letters.execute("DELETE FROM outbox WHERE position = 3")
    with pytest.raises(sqlite.Error, match="FOREIGN KEY"):
        dead_letters.bury(letters, "hook", [burial(stored)], now=NOW)


def test_a_retry_that_is_accepted_closes_the_letter(letters: Connection) -> None:
    replay_id = retry(letters, 1)
    cursor = only_cursor(letters, "hook", replay_id=replay_id)
    accept(letters, cursor, read_all(letters)[:1])
    assert states(letters) == ["accepted", "open"]
    replay = replays.load(letters, replay_id)
    assert replay is not None
    assert (replay.accepted, replay.buried) == (1, 0)


def test_a_retry_that_is_refused_opens_the_same_letter_again(letters: Connection) -> None:
    replay_id = retry(letters, 1)
    settlement = Settlement(
        only_cursor(letters, "hook", replay_id=replay_id), Progress(1), CursorState(), NOW + 9,
        buried=(burial(read_all(letters)[0], "http_422"),),
    )  # fmt: skip
    settling.settle(letters, settlement)
    letter = dead_letters.load(letters, 1)
    assert letter is not None
    assert (letter.state, letter.reason, letter.attempts) == ("open", "http_422", 4)
    assert letter.buried_at == NOW + 9


def test_a_retry_that_is_called_off_opens_its_letters_again(letters: Connection) -> None:
    replay = replays.load(letters, retry(letters, 1, 2))
    assert replay is not None
    assert replay.kind == "dead_letters"
    assert replays.cancel(letters, replay, now=NOW)
    assert states(letters) == ["open", "open"]


def test_letters_are_listed_by_destination_reason_and_state(letters: Connection) -> None:
    dead_letters.discard(letters, [2], now=NOW)

    def ids(**wanted: object) -> list[int]:
        return [at.id for at in dead_letters.list_letters(letters, **wanted)]  # type: ignore[arg-type]  # by name

    assert ids() == [1]
    assert ids(state=None) == [1, 2]
    assert ids(state=None, limit=1) == [2], "the newest"
    assert ids(reason="exhausted", state="discarded") == [2]
    assert ids(destination="lake") == []
    assert [letter.id for letter in dead_letters.of_event(letters, 2)] == [2]
    assert dead_letters.count_open(letters) == {"hook": 1}


def test_of_more_letters_than_asked_for_the_newest_are_listed_oldest_first(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    append(db, *(event(number) for number in range(300)))
    dead_letters.bury(db, "hook", [burial(one) for one in read_all(db)], now=NOW)
    listed = [letter.id for letter in dead_letters.list_letters(db, limit=200)]
    assert listed == list(range(101, 301))
    assert [letter.id for letter in dead_letters.list_letters(db)] == list(range(1, 301))

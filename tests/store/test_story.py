"""The story of an event says what is known and no more, whatever happened to it on the way."""

from __future__ import annotations

import pytest

from streamer.core.event import StoredEvent
from streamer.core.settlement import Progress
from streamer.store import cursors, dead_letters, destinations, prune, replays
from streamer.store.cursors import CursorState
from streamer.store.destinations import Declared
from streamer.store.replays import Request
from streamer.store.sqlite import Connection
from streamer.store.story import DestinationStory, Fate, tell
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
def stored(db: Connection) -> list[StoredEvent]:
    """One destination that wants everything, and six events."""
    declare(db, Declared("hook", "http"))
    append(db, *(event(number) for number in range(1, 7)))
    return read_all(db)


def story(db: Connection, of: StoredEvent) -> DestinationStory:
    """Tell the only destination's story of an event."""
    (one,) = tell(db, of)
    return one


def bury(db: Connection, of: StoredEvent) -> dead_letters.DeadLetter:
    """Bury one event and return its letter."""
    dead_letters.bury(db, "hook", [burial(of)], now=NOW + 5)
    return dead_letters.of_event(db, of.position)[0]


def retry(db: Connection, letter: dead_letters.DeadLetter) -> int:
    """Start a replay of a dead letter."""
    request = Request(
        "hook", letter.position, letter.position, positions=(letter.position,),
        letter_ids=(letter.id,),
    )  # fmt: skip
    return replays.start(db, request, events=1, now=NOW + 6)


def test_a_pending_event_says_how_many_are_before_it_and_what_it_waits_for(
    db: Connection, stored: list[StoredEvent]
) -> None:
    waiting = CursorState("waiting", 3, NOW, NOW + 9, "http_503: later")
    accept(db, only_cursor(db, "hook"), stored[:2], state=waiting)
    told = story(db, stored[4])
    assert told.fate is Fate.PENDING
    assert (told.cursor, told.events_before) == (2, 2)
    assert (told.state, told.attempt, told.next_attempt_at) == ("waiting", 3, NOW + 9)
    assert told.last_error == "http_503: later"
    assert not told.acceptances


def test_an_accepted_event_names_attempt_time_and_receipt(
    db: Connection, stored: list[StoredEvent]
) -> None:
    accept(
        db, only_cursor(db, "hook"), stored[:3], attempt=2, receipts={2: "receipt-7"}, now=NOW + 3
    )
    told = story(db, stored[1])
    assert told.fate is Fate.ACCEPTED
    (accepted,) = told.acceptances
    assert (accepted.attempt, accepted.receipt, accepted.replay_id) == (2, "receipt-7", 0)
    assert (accepted.first_at, accepted.last_at, accepted.certain) == (NOW + 3, NOW + 3, True)


def test_an_event_settled_ahead_of_the_cursor_is_accepted(
    db: Connection, stored: list[StoredEvent]
) -> None:
    progress = Progress(0, frozenset({3}))
    accept(db, only_cursor(db, "hook"), stored[2:3], progress=progress)
    assert story(db, stored[2]).fate is Fate.ACCEPTED
    assert [story(db, at).fate for at in stored[:2]] == [Fate.PENDING] * 2


def test_what_an_earlier_lane_count_has_settled_is_not_pending(
    db: Connection, stored: list[StoredEvent]
) -> None:
    accept(db, only_cursor(db, "hook"), stored[:4])
    declare(db, Declared("hook", "http", lanes=2))
    db.execute("UPDATE cursors SET position = 1 WHERE lanes = 2")
    assert [story(db, at).fate for at in stored] == [Fate.ACCEPTED] * 4 + [Fate.PENDING] * 2
    db.execute("UPDATE cursors SET position = 5 WHERE lanes = 2")
    assert [story(db, at).fate for at in stored[4:]] == [Fate.PASSED, Fate.PENDING]


@pytest.mark.parametrize("settled", [0, 6])
def test_a_filtered_event_is_told_as_left_out_before_and_after_the_cursor_passes_it(
    db: Connection, stored: list[StoredEvent], settled: int
) -> None:
    declare(db, Declared("hook", "http", exclude=("email.*",)))
    db.execute("UPDATE cursors SET position = ?", (settled,))
    assert story(db, stored[3]).fate is Fate.FILTERED


def test_an_event_from_before_the_destination_began_was_passed(db: Connection) -> None:
    append(db, event(1))
    declare(db, Declared("hook", "http", start="now"))
    assert story(db, read_all(db)[0]).fate is Fate.PASSED


def test_a_dead_letter_is_told_through_its_whole_life(
    db: Connection, stored: list[StoredEvent]
) -> None:
    db.execute("UPDATE cursors SET position = 6")
    letter = bury(db, stored[1])
    assert story(db, stored[1]).fate is Fate.DEAD_LETTER
    replay = retry(db, letter)
    told = story(db, stored[1])
    assert (told.fate, told.replays) == (Fate.RETRYING, (replay,))
    accept(db, only_cursor(db, "hook", replay_id=replay), stored[1:2], now=NOW + 8)
    told = story(db, stored[1])
    assert told.fate is Fate.ACCEPTED
    assert told.replays == ()
    assert [(at.replay_id, at.certain) for at in told.acceptances] == [(replay, True)]
    assert told.letter is not None
    assert told.letter.state == "accepted"


def test_letters_that_one_retry_delivered_are_told_from_those_between(
    db: Connection, stored: list[StoredEvent]
) -> None:
    """The retry's row in the ledger spans events that it did not send."""
    db.execute("UPDATE cursors SET position = 6")
    letters = [bury(db, stored[number]) for number in (1, 2, 4)]
    ids = (letters[0].id, letters[2].id)
    request = Request("hook", 2, 5, positions=(2, 5), letter_ids=ids)
    replay = replays.start(db, request, events=2, now=NOW + 6)
    cursor = only_cursor(db, "hook", replay_id=replay)
    accept(db, cursor, [stored[1], stored[4]], now=NOW + 8)
    told = {at.position: story(db, at) for at in stored}
    assert [at.replay_id for at in told[2].acceptances] == [replay]
    assert [at.replay_id for at in told[5].acceptances] == [replay]
    assert (told[3].fate, told[3].acceptances) == (Fate.DEAD_LETTER, ())
    assert (told[4].fate, told[4].acceptances) == (Fate.PASSED, ())


def test_a_discarded_letter_is_no_acceptance(db: Connection, stored: list[StoredEvent]) -> None:
    db.execute("UPDATE cursors SET position = 6")
    dead_letters.discard(db, [bury(db, stored[1]).id], now=NOW + 9)
    told = story(db, stored[1])
    assert told.fate is Fate.DISCARDED
    assert told.acceptances == ()


def test_a_run_around_a_dead_letter_is_not_taken_for_its_acceptance(
    db: Connection, stored: list[StoredEvent]
) -> None:
    bury(db, stored[1])
    accept(db, only_cursor(db, "hook"), [stored[0], stored[2]], now=NOW + 6)
    assert story(db, stored[1]).fate is Fate.DEAD_LETTER
    assert story(db, stored[1]).acceptances == ()
    assert [at.certain for at in story(db, stored[0]).acceptances] == [True]
    dead_letters.discard(db, [1], now=NOW + 5)
    assert story(db, stored[1]).fate is Fate.DISCARDED


def test_a_discarded_letter_that_a_rewind_sent_after_all_is_accepted(
    db: Connection, stored: list[StoredEvent]
) -> None:
    db.execute("UPDATE cursors SET position = 6")
    dead_letters.discard(db, [bury(db, stored[1]).id], now=NOW + 9)
    cursors.move(db, "hook", 1, now=NOW + 10)
    assert story(db, stored[1]).fate is Fate.PENDING
    accept(db, only_cursor(db, "hook"), stored[1:], now=NOW + 11)
    assert story(db, stored[1]).fate is Fate.ACCEPTED


def test_a_rewound_event_is_pending_and_was_accepted_before(
    db: Connection, stored: list[StoredEvent]
) -> None:
    accept(db, only_cursor(db, "hook"), stored)
    cursors.move(db, "hook", 2, now=NOW + 1)
    told = story(db, stored[3])
    assert told.fate is Fate.PENDING
    assert len(told.acceptances) == 1


def test_what_a_narrower_filter_may_have_left_out_is_not_certain(db: Connection) -> None:
    declare(db, Declared("hook", "http", include=("email.sent",)))
    append(db, event(1), event(2, metric="opened"), event(3))
    stored = read_all(db)
    accept(db, only_cursor(db, "hook"), [stored[0], stored[2]])
    assert [at.certain for at in story(db, stored[0]).acceptances] == [True]
    declare(db, Declared("hook", "http"))
    told = story(db, stored[1])
    assert [at.certain for at in told.acceptances] == [False]


def test_a_run_whose_beginning_was_pruned_proves_nothing_about_a_filtered_event(
    db: Connection,
) -> None:
    declare(db, Declared("hook", "http", include=("email.sent",)))
    append(db, event(1), event(2, metric="opened"), event(3))
    stored = read_all(db)
    accept(db, only_cursor(db, "hook"), [stored[0], stored[2]])
    db.execute("DELETE FROM outbox WHERE position = 1")
    assert story(db, stored[1]).fate is Fate.FILTERED


def test_a_replay_of_picked_events_is_no_acceptance_of_those_between(
    db: Connection, stored: list[StoredEvent]
) -> None:
    db.execute("UPDATE cursors SET position = 6")
    request = Request("hook", 1, 5, positions=(1, 5))
    replay = replays.start(db, request, events=2, now=NOW)
    assert story(db, stored[0]).replays == (replay,)
    assert story(db, stored[2]).replays == ()
    cursor = only_cursor(db, "hook", replay_id=replay)
    accept(db, cursor, [stored[0], stored[4]])
    assert [at.replay_id for at in story(db, stored[0]).acceptances] == [replay]
    assert story(db, stored[0]).replays == ()
    assert story(db, stored[2]).fate is Fate.PASSED


def test_a_running_replay_of_a_range_is_to_come_only_for_what_it_asks_for(
    db: Connection, stored: list[StoredEvent]
) -> None:
    append(db, event(7, metric="opened"))
    opened = read_all(db)[-1]
    request = Request("hook", 2, 7, include=("email.opened",), until=NOW + 1)
    replay = replays.start(db, request, events=1, now=NOW)
    assert story(db, opened).replays == (replay,)
    assert story(db, stored[3]).replays == ()


def test_each_known_destination_has_its_own_story(
    db: Connection, stored: list[StoredEvent]
) -> None:
    declare(db, Declared("hook", "http"), Declared("archive", "file"))
    accept(db, only_cursor(db, "hook"), stored)
    destinations.pause(db, "archive", now=NOW)
    told = {one.destination: (one.fate, one.state) for one in tell(db, stored[0])}
    assert told == {"archive": (Fate.PENDING, "paused"), "hook": (Fate.ACCEPTED, "ready")}


def test_a_story_survives_the_pruning_of_other_events(
    db: Connection, stored: list[StoredEvent]
) -> None:
    accept(db, only_cursor(db, "hook"), stored)
    prune.mark_settled(db, now=NOW)
    prune.prune_step(db, older_than=NOW + 1, events_max=2)
    assert story(db, stored[3]).fate is Fate.ACCEPTED

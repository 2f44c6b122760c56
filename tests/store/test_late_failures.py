"""What a destination lost later is known once, told with the event, buried once, and pruned."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.core.event import StoredEvent
from streamer.core.settlement import Progress
from streamer.store import dead_letters, destinations, late_burial, late_failures, prune, replays
from streamer.store.destinations import Declared
from streamer.store.late_failures import Found, Reconciled, Total
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
    transact,
)

LOST = NOW + 60_000
FOUND = NOW + 3_600_000
DAY = 86_400_000


@pytest.fixture
def stored(db: Connection) -> list[StoredEvent]:
    """Six events, all of which the lake has accepted in one batch."""
    declare(db, Declared("lake", "aep"))
    append(db, *(event(number) for number in range(1, 7)))
    events = read_all(db)
    accept(db, only_cursor(db, "lake"), events, receipts={1: "xaction-1"})
    return events


def loss(of: StoredEvent, **changed: object) -> Found:
    fields: dict[str, Any] = {
        "batch_id": "batch-1", "record_id": of.event_id, "position": of.position,
        "source": of.source, "event_id": of.event_id, "code": "DCVS-1105-400",
        "message": "not a date-time", "lost_at": LOST,
    }  # fmt: skip
    return Found(**(fields | changed))


def unknown(record_id: str, **changed: object) -> Found:
    fields: dict[str, Any] = {"batch_id": "batch-1", "code": "DCVS-1111-400", "lost_at": LOST}
    return Found(record_id=record_id, **(fields | changed))


def add(db: Connection, *found: Found, now: int = FOUND) -> int:
    return transact(db, lambda at: late_failures.add(at, "lake", found, now=now))


def bury(db: Connection, *, now: int = FOUND) -> int:
    """Make dead letters of all that wait for it."""
    positions = late_burial.positions_to_bury(db, "lake")
    return transact(db, lambda at: late_burial.bury(at, "lake", positions, now=now))


def story(db: Connection, of: StoredEvent) -> DestinationStory:
    (one,) = tell(db, of)
    return one


def send_again(db: Connection, *again: StoredEvent, now: int, **changed: object) -> None:
    """Let a replay of picked events be accepted."""
    positions = tuple(one.position for one in again)
    request = Request("lake", positions[0], positions[-1], positions=positions)
    replay_id = replays.start(db, request, events=len(again), now=now)
    cursor = only_cursor(db, "lake", replay_id=replay_id)
    accept(db, cursor, again, now=now, **changed)
    replay = replays.load(db, replay_id)
    assert replay is not None
    replays.finish(db, replay, "done", now=now)


def test_the_same_batch_read_twice_adds_nothing(db: Connection, stored: list[StoredEvent]) -> None:
    found = [loss(stored[0]), loss(stored[1]), unknown("elsewhere")]
    assert add(db, *found) == 3
    assert add(db, *found, now=FOUND + 1) == 0
    assert add(db, *found, loss(stored[2]), now=FOUND + 1) == 1
    assert late_failures.count_in_batch(db, "lake", "batch-1") == 4
    assert {row.found_at for row in late_failures.of_event(db, 1)} == {FOUND}


def test_what_adobe_says_is_cut_to_size(db: Connection, stored: list[StoredEvent]) -> None:
    long = "x" * 10_000
    add(db, loss(stored[0], code=long, message=long), unknown(long, batch_id=long))
    (kept,) = late_failures.of_event(db, 1)
    assert (len(kept.code), len(kept.message), len(kept.detail)) == (64, 500, 500)
    lengths = db.execute(
        "SELECT length(batch_id), length(record_id) FROM late_failures WHERE position IS NULL"
    )
    assert lengths.fetchall() == [(128, 512)]


def test_a_lost_event_is_told_with_its_acceptance_and_its_loss(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, loss(stored[1]))
    told = story(db, stored[1])
    assert told.fate is Fate.LOST
    assert [one.receipt for one in told.acceptances] == ["xaction-1"]
    assert [(one.batch_id, one.code) for one in told.losses] == [("batch-1", "DCVS-1105-400")]
    assert told.losses[0].detail == "found in failed batch batch-1: not a date-time"
    other = story(db, stored[2])
    assert (other.fate, other.losses) == (Fate.ACCEPTED, ())


def test_how_far_the_books_were_read_is_part_of_the_story(
    db: Connection, stored: list[StoredEvent]
) -> None:
    assert story(db, stored[0]).reconciled is None
    late_failures.remember(db, "lake", until=NOW + 1, now=NOW + 2)
    late_failures.remember(db, "lake", until=NOW, now=NOW + 3)
    assert story(db, stored[0]).reconciled == Reconciled(looked_at=NOW + 3, until=NOW)


def test_a_loss_at_one_destination_is_none_at_another(
    db: Connection, stored: list[StoredEvent]
) -> None:
    declare(db, Declared("lake", "aep"), Declared("pond", "aep"))
    accept(db, only_cursor(db, "pond"), stored)
    add(db, loss(stored[0]))
    assert {one.destination: one.fate for one in tell(db, stored[0])} == {
        "lake": Fate.LOST,
        "pond": Fate.ACCEPTED,
    }


def test_an_event_accepted_again_behind_its_loss_is_accepted(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, loss(stored[1]))
    send_again(db, stored[1], now=LOST)
    assert story(db, stored[1]).fate is Fate.LOST, "that may be the batch that lost it"
    send_again(db, stored[1], now=LOST + 1)
    assert story(db, stored[1]).fate is Fate.ACCEPTED
    add(db, loss(stored[1], batch_id="batch-2", lost_at=LOST + 2))
    assert story(db, stored[1]).fate is Fate.LOST


def test_a_loss_overrules_that_nothing_is_known_of_an_acceptance(
    db: Connection, stored: list[StoredEvent]
) -> None:
    db.execute("DELETE FROM ledger")
    add(db, loss(stored[0]), loss(stored[1]))
    declare(db, Declared("lake", "aep", exclude=("email.*",)))
    assert story(db, stored[0]).fate is Fate.LOST
    assert story(db, stored[2]).fate is Fate.FILTERED


def test_a_dead_letter_is_made_of_a_loss_once(db: Connection, stored: list[StoredEvent]) -> None:
    add(db, loss(stored[0]), loss(stored[3], code="DCVS-1104-400"), unknown("elsewhere"))
    assert bury(db) == 2
    assert bury(db) == 0
    letters = dead_letters.list_letters(db)
    assert [(one.position, one.reason, one.attempts) for one in letters] == [
        (1, "DCVS-1105-400", 1),
        (4, "DCVS-1104-400", 1),
    ]
    assert letters[0].detail == "found in failed batch batch-1: not a date-time"
    told = story(db, stored[0])
    assert told.fate is Fate.DEAD_LETTER
    assert [one.receipt for one in told.acceptances] == ["xaction-1"]


@pytest.mark.parametrize("events", [6, 5])
def test_the_letter_of_a_lost_event_does_not_disprove_the_batch_it_was_in(
    db: Connection, stored: list[StoredEvent], events: int
) -> None:
    """With 5 of 6 events in the row, one of them may have been left out by a filter."""
    db.execute("UPDATE ledger SET events = ?", (events,))
    add(db, loss(stored[1]))
    bury(db)
    assert [one.certain for one in story(db, stored[1]).acceptances] == [events == 6]
    assert [one.certain for one in story(db, stored[2]).acceptances] == [events == 6]


def test_a_discarded_letter_stays_so_until_the_event_is_lost_again(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, loss(stored[0]))
    bury(db)
    transact(db, lambda at: dead_letters.discard(at, [1], now=FOUND))
    add(db, loss(stored[0]))
    assert bury(db) == 0
    assert story(db, stored[0]).fate is Fate.DISCARDED
    send_again(db, stored[0], now=FOUND + 1)
    add(db, loss(stored[0], batch_id="batch-2", lost_at=FOUND + 2))
    assert story(db, stored[0]).fate is Fate.LOST
    assert bury(db) == 1
    assert dead_letters.list_letters(db)[0].detail.startswith("found in failed batch batch-2")


def test_a_retry_that_is_accepted_closes_the_letter_and_another_loss_opens_it(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, loss(stored[0]))
    bury(db)
    send_again(db, stored[0], now=FOUND + 1)
    assert story(db, stored[0]).fate is Fate.ACCEPTED
    assert dead_letters.list_letters(db) == []
    add(db, loss(stored[0], batch_id="batch-2", lost_at=FOUND + 2), now=FOUND + 3)
    assert bury(db, now=FOUND + 4) == 1
    assert [one.state for one in dead_letters.list_letters(db)] == ["open"]


def test_what_was_accepted_since_needs_no_letter(db: Connection, stored: list[StoredEvent]) -> None:
    add(db, loss(stored[0]), loss(stored[1]))
    send_again(db, stored[0], now=LOST + 1)
    assert bury(db) == 1
    assert [one.position for one in dead_letters.list_letters(db)] == [2]
    assert late_burial.positions_to_bury(db, "lake") == []


def test_another_run_may_have_buried_the_same_events_meanwhile(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, loss(stored[0]))
    positions = late_burial.positions_to_bury(db, "lake")
    bury(db)
    transact(db, lambda at: dead_letters.discard(at, [1], now=FOUND))
    assert transact(db, lambda at: late_burial.bury(at, "lake", positions, now=FOUND)) == 0
    assert story(db, stored[0]).fate is Fate.DISCARDED


def test_the_letter_tells_of_the_loss_at_its_own_destination(
    db: Connection, stored: list[StoredEvent]
) -> None:
    declare(db, Declared("lake", "aep"), Declared("pond", "aep"))
    add(db, loss(stored[0]))
    late_failures.add(db, "pond", [loss(stored[0], code="other", lost_at=LOST + 1)], now=FOUND)
    assert bury(db) == 1
    assert [(one.destination, one.reason) for one in dead_letters.list_letters(db)] == [
        ("lake", "DCVS-1105-400")
    ]


def test_what_may_have_been_left_out_of_a_later_batch_is_still_lost(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, loss(stored[1]))
    accept(db, only_cursor(db, "lake"), stored, now=LOST + 1, progress=Progress(5))
    db.execute("UPDATE ledger SET events = 5 WHERE settled_at > ?", (LOST,))
    told = story(db, stored[1])
    assert [one.certain for one in told.acceptances] == [True, False]
    assert told.fate is Fate.LOST
    assert bury(db) == 1


def test_a_replay_around_a_lost_event_is_no_acceptance_of_it(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, loss(stored[1]))
    send_again(db, stored[0], stored[2], now=LOST + 1)
    assert story(db, stored[1]).fate is Fate.LOST
    assert bury(db) == 1


def test_several_losses_of_one_event_make_one_letter_and_the_last_is_told(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, loss(stored[0], batch_id="batch-2", code="later", lost_at=LOST + 5))
    add(db, loss(stored[0]))
    assert bury(db) == 1
    assert [one.reason for one in dead_letters.list_letters(db)] == ["later"]
    assert bury(db) == 0


def test_a_lost_event_that_was_pruned_cannot_be_buried(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, loss(stored[0]), loss(stored[1]))
    positions = late_burial.positions_to_bury(db, "lake")
    db.execute("DELETE FROM outbox WHERE position = 1")
    assert late_burial.positions_to_bury(db, "lake") == [2]
    assert transact(db, lambda at: late_burial.bury(at, "lake", positions, now=FOUND)) == 1


def test_losses_are_summed_up_by_code_with_the_first_as_an_example(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, loss(stored[3], code="rare", message="odd", lost_at=LOST + 1), unknown("a"))
    add(db, loss(stored[1]), loss(stored[2], message="another"), unknown("b"), unknown("c"))
    assert late_failures.totals(db, "lake", lost_since=0) == [
        Total("DCVS-1111-400", 3, 3, "", "a"),
        Total("DCVS-1105-400", 2, 0, "not a date-time", "event-2"),
        Total("rare", 1, 0, "odd", "event-4"),
    ]
    (after,) = late_failures.totals(db, "lake", lost_since=LOST + 1)
    assert after.code == "rare"


def test_losses_are_pruned_with_their_events_in_small_steps(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, *(loss(one) for one in stored), unknown("elsewhere"))
    db.execute("DELETE FROM outbox WHERE position <= 3")
    assert prune.prune_stories(db, older_than=FOUND, rows_max=100) == 0, "not old yet"
    steps = [prune.prune_stories(db, older_than=FOUND + 1, rows_max=2) for _ in range(3)]
    assert steps == [2, 2, 0]
    rows = db.execute("SELECT position FROM late_failures ORDER BY id").fetchall()
    assert rows == [(4,), (5,), (6,)]


def test_an_open_letter_of_a_loss_holds_on_to_the_event(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, loss(stored[1]))
    bury(db)
    prune.mark_settled(db, now=NOW)
    prune.prune_step(db, older_than=NOW + DAY, events_max=100)
    assert [one.position for one in read_all(db)] == [2]


def test_a_forgotten_destination_takes_its_losses_with_it(
    db: Connection, stored: list[StoredEvent]
) -> None:
    add(db, loss(stored[0]), unknown("elsewhere"))
    late_failures.remember(db, "lake", until=NOW, now=NOW)
    declare(db, Declared("pond", "aep"))
    late_failures.add(db, "pond", [loss(stored[0])], now=NOW)
    destinations.forget(db, "lake", now=NOW)
    assert db.execute("SELECT destination FROM late_failures").fetchall() == [("pond",)]
    assert late_failures.reconciled(db, "lake") is None


def test_a_refused_event_is_still_told_as_refused(
    db: Connection, stored: list[StoredEvent]
) -> None:
    dead_letters.bury(db, "lake", [burial(stored[0])], now=NOW)
    db.execute("UPDATE ledger SET events = 5")
    told = story(db, stored[0])
    assert (told.fate, told.acceptances) == (Fate.DEAD_LETTER, ())

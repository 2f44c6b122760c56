"""A settlement is written whole or not at all, and the ledger never claims too much."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from streamer.core.limits import LEDGER_COALESCE_EVENTS_MAX, LEDGER_COALESCE_SECONDS
from streamer.core.settlement import Progress, Window, runs, settle
from streamer.store import cursors, dead_letters, destinations, ledger, replays, settling, sqlite
from streamer.store.cursors import CursorState
from streamer.store.destinations import Declared
from streamer.store.ledger import Entry
from streamer.store.outbox import ONE_LANE, Lane
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
    open_fresh,
    read_all,
)

TABLES = ("cursors", "dead_letters", "ledger", "destinations", "replays")


def snapshot(db: Connection) -> dict[str, list[tuple[object, ...]]]:
    return {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}  # noqa: S608 - names from above


@pytest.fixture
def hook(db: Connection) -> Connection:
    """A database with one destination and five events."""
    declare(db, Declared("hook", "http"))
    append(db, *(event(number) for number in range(1, 6)))
    return db


def test_everything_that_one_attempt_means_is_written_together(hook: Connection) -> None:
    stored = read_all(hook)
    settlement = Settlement(
        only_cursor(hook, "hook"), Progress(2, frozenset({4, 5})), CursorState(), NOW,
        (tuple(stored[:2]), tuple(stored[4:])), (burial(stored[3]),), attempt=2, duration_ms=7,
        receipts={1: "receipt", 2: "receipt", 5: "other"}, mark="mark",
    )  # fmt: skip
    assert settling.settle(hook, settlement) == 2
    assert only_cursor(hook, "hook").progress == settlement.progress
    known = destinations.load(hook, "hook")
    assert (known.accepted, known.buried, known.mark) == (3, 1, "mark")
    (letter,) = dead_letters.list_letters(hook)
    assert (letter.position, letter.attempts, letter.state) == (4, 2, "open")
    claimed = [bool(ledger.find(hook, "hook", one.position, one.lane_key)) for one in stored]
    assert claimed == [True, True, False, False, True]
    (entry,) = ledger.find(hook, "hook", 1, stored[0].lane_key)
    assert entry == Entry("hook", 0, ONE_LANE, 1, 2, 2, 2, NOW, NOW, 7, "receipt")


def test_nothing_at_all_is_written_for_a_cursor_that_was_moved(hook: Connection) -> None:
    stored, cursor = read_all(hook), only_cursor(hook, "hook")
    cursors.move(hook, "hook", 0, now=NOW)
    before = snapshot(hook)
    letters, mark = (burial(stored[4]),), "mark"
    assert accept(hook, cursor, stored[:2], buried=letters, mark=mark) is None
    assert snapshot(hook) == before


@pytest.mark.parametrize("ahead", [frozenset(), frozenset({5})])
def test_a_settlement_that_was_durable_though_its_commit_was_called_failed_is_not_written_twice(
    hook: Connection, ahead: frozenset[int]
) -> None:
    stored, cursor = read_all(hook), only_cursor(hook, "hook")
    settlement = Settlement(
        cursor, Progress(2, ahead), CursorState(), NOW, (tuple(stored[:2]),),
        buried=(burial(stored[4]),) if ahead else (), receipts={1: "receipt"}, mark="mark",
    )  # fmt: skip
    assert settling.settle(hook, settlement)
    before = snapshot(hook)
    assert settling.settle(hook, replace(settlement, now=NOW + 1)) == 0, "ours, and nothing to add"
    assert snapshot(hook) == before


def test_a_cursor_that_stands_elsewhere_is_not_ours_even_in_the_same_generation(
    hook: Connection,
) -> None:
    stored, cursor = read_all(hook), only_cursor(hook, "hook")
    accept(hook, cursor, stored[:3])
    before = snapshot(hook)
    assert accept(hook, cursor, stored[:2]) is None
    assert snapshot(hook) == before


def test_a_settlement_that_fails_half_way_leaves_nothing_when_rolled_back(
    hook: Connection,
) -> None:
    stored, before = read_all(hook), snapshot(hook)
    gone = replace(stored[0], position=99)
    hook.execute("BEGIN")
    with pytest.raises(sqlite.Error, match="FOREIGN KEY"):
        accept(hook, only_cursor(hook, "hook"), stored[:2], buried=(burial(gone),))
    hook.execute("ROLLBACK")
    assert snapshot(hook) == before


def test_a_dead_letter_is_closed_when_a_rewind_delivers_its_event(hook: Connection) -> None:
    stored = read_all(hook)
    buried = Settlement(
        only_cursor(hook, "hook"), Progress(1), CursorState(), NOW, buried=(burial(stored[0]),)
    )
    settling.settle(hook, buried)
    cursors.move(hook, "hook", 0, now=NOW)
    accept(hook, only_cursor(hook, "hook"), stored[:1])
    letter = dead_letters.load(hook, 1)
    assert letter is not None
    assert (letter.state, letter.closed_at) == ("accepted", NOW)


def entry(first: int, last: int, **changed: object) -> Entry:
    whole = Entry("hook", 0, ONE_LANE, first, last, last - first + 1, 1, NOW, NOW, 5)
    return replace(whole, **changed)


def test_plain_first_attempts_are_folded_into_one_row(db: Connection) -> None:
    row = ledger.add(db, entry(1, 10), fold_into=0)
    assert ledger.add(db, entry(11, 20, settled_at=NOW + 9, duration_ms=8), fold_into=row) == row
    (found,) = ledger.find(db, "hook", 15, 0)
    assert found == entry(1, 20, settled_at=NOW + 9, duration_ms=8)


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": 2},
        {"receipt": "x"},
        {"settled_at": NOW + LEDGER_COALESCE_SECONDS * 1000 + 1},
        {"settled_at": NOW - 1},
        {"events": LEDGER_COALESCE_EVENTS_MAX},
        {"first_position": 5},
        {"lane": Lane(2, 0)},
        {"destination": "lake"},
        {"replay_id": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_says_more_than_when_gets_a_row_of_its_own(
    db: Connection, change: dict[str, object]
) -> None:
    row = ledger.add(db, entry(1, 10), fold_into=0)
    assert ledger.add(db, entry(11, 20, **change), fold_into=row) != row


def test_an_event_settled_after_its_successor_is_not_folded_backwards(db: Connection) -> None:
    """A hold forgets attempts, so what was passed over may come with attempt 1 again."""
    row = ledger.add(db, entry(12, 12), fold_into=0)
    assert ledger.add(db, entry(11, 11), fold_into=row) != row
    assert len(ledger.find(db, "hook", 11, 0)) == 1


def test_a_row_of_another_lane_is_not_meant(db: Connection) -> None:
    ledger.add(db, entry(1, 10, lane=Lane(4, 1)), fold_into=0)
    assert [len(ledger.find(db, "hook", 5, lane_key)) for lane_key in (0, 1, 5, 6)] == [0, 1, 1, 0]


VERDICTS = st.lists(st.sampled_from("adbh"), min_size=1, max_size=4)


@settings(max_examples=200)
@given(rounds=st.lists(VERDICTS, max_size=25))
def test_the_ledger_never_claims_what_is_not_settled_and_knows_all_that_is(
    rounds: list[list[str]],
) -> None:
    """Each round sends a batch: accepted, deferred, buried or held, event by event."""
    with TemporaryDirectory() as directory, closing(open_fresh(Path(directory) / "a.db")) as db:
        declare(db, Declared("hook", "http"))
        append(db, *(event(number, lane_key=0) for number in range(1, 13)))
        window, progress = Window(tuple(read_all(db)), 12), Progress(0)
        accepted: set[int] = set()
        buried: set[int] = set()
        ledger_id, attempt = 0, 1
        for verdicts in rounds:
            pairs = list(zip(window.events, verdicts, strict=False))
            taken = {one.position: one for one, said in pairs if said == "a"}
            letters = tuple(burial(one) for one, said in pairs if said == "b")
            settled = frozenset(taken) | {letter.event.position for letter in letters}
            found = runs(taken, window, progress.ahead)
            at_head = bool(found) and found[0][0] == window.events[0].position
            after, moved = settle(window, progress, settled)
            settlement = Settlement(
                only_cursor(db, "hook"), moved, CursorState(), NOW,
                tuple(tuple(taken[at] for at in run) for run in found), letters, attempt=attempt,
                fold_into=ledger_id if at_head else 0,
            )  # fmt: skip
            ledger_id = settling.settle(db, settlement) or 0
            # Attempts count deferrals, and a hold forgets them.
            attempt = attempt + 1 if "d" in verdicts and "h" not in verdicts else 1
            window, progress = after, moved
            accepted |= taken.keys()
            buried |= settled - taken.keys()
        for position in range(1, 13):
            claimed = bool(ledger.find(db, "hook", position, 0))
            assert claimed or position not in accepted
            assert not claimed or position in accepted | buried
        assert destinations.load(db, "hook").accepted == len(accepted)
        assert len(dead_letters.list_letters(db)) == len(buried)


def test_a_live_delivery_closes_the_letter_of_a_replay_that_ran_ahead_of_it(
    db: Connection,
) -> None:
    """A replay may cover what is still pending, and be refused what is taken a moment later."""
    declare(db, Declared("hook", "http"))
    append(db, event(1), event(2))
    first, _ = read_all(db)
    request = replays.Request("hook", 1, 2)
    replay = replays.start(db, request, events=2, now=NOW)
    ahead = only_cursor(db, "hook", replay_id=replay)
    buried = Settlement(ahead, Progress(1), CursorState(), NOW, buried=(burial(first),))
    assert settling.settle(db, buried) is not None
    assert [one.state for one in dead_letters.list_letters(db, state=None)] == ["open"]
    assert accept(db, only_cursor(db, "hook"), [first]) is not None
    assert [one.state for one in dead_letters.list_letters(db, state=None)] == ["accepted"]

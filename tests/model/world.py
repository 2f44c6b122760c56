"""The world of the model: a real database, what was done to it, and what must be true of it.

What was done is kept in plain dictionaries, counters and sets; every promise
is checked against them by brute force after each step.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from streamer.core.event import Event
from streamer.drain.feed import LiveFeed, ReplayFeed
from streamer.store import (
    cursors,
    dead_letters,
    destinations,
    lag,
    ledger,
    migrate,
    prune,
    replays,
    sqlite,
)
from streamer.store.cursors import Cursor
from streamer.store.destinations import Declared
from streamer.store.sqlite import Connection
from tests.model.hands import Hand
from tests.store.build import transact

T = TypeVar("T")
START_MS = 1_800_000_000_000
NAMES = ("all", "opened")
HOLDING_ON = {"open", "retrying"}
"""States of a dead letter that keep its event from being pruned."""
reached: Counter[str] = Counter()
"""Odd states that the runs have come by; the last test wants to see them all."""


class World(RuleBasedStateMachine):
    """One database, two destinations, and what ought to be true of them."""

    def __init__(self) -> None:
        super().__init__()
        # In memory where there is such a place: the model cuts no power to the disk itself.
        memory = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it
        self._directory = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.path = Path(self._directory.name) / "streamer.db"
        self.now = START_MS
        self.acked: dict[int, Event] = {}
        self.pruned: set[int] = set()
        self.quarantined: dict[tuple[str, bytes], int] = {}
        self.lanes = 1
        self.paused: set[str] = set()
        self.hands: dict[int, Hand] = {}
        self.moment = 0
        self.forget_all()
        self.db = sqlite.open_writer(self.path)

    def forget_all(self) -> None:
        self.accepted: dict[str, Counter[int]] = {name: Counter() for name in NAMES}
        self.burials: dict[str, Counter[int]] = {name: Counter() for name in NAMES}
        self.settled: dict[str, set[int]] = {name: set() for name in NAMES}
        """What the live order has settled since it was last rewound."""
        self.letters: dict[tuple[str, int], str] = {}
        self.proofs = dict.fromkeys(NAMES, 0)

    @initialize()
    def begin(self) -> None:
        migrate.migrate(self.db, self.path, now=self.now)
        self.transact(self.declare)

    def teardown(self) -> None:
        self.db.close()
        self._directory.cleanup()

    # What the machine does with.

    def transact(self, work: Callable[[Connection], T]) -> T:
        return transact(self.db, work)

    def declare(self, db: Connection) -> None:
        declared = [
            Declared("all", "http", self.lanes),
            Declared("opened", "http", include=("email.opened",)),
        ]
        destinations.declare(db, declared, now=self.now)

    def hand_of(self, cursor: Cursor) -> Hand:
        """Give the drain of a cursor, begun anew when an operator has changed the cursor."""
        hand = self.hands.get(cursor.id)
        if hand is None or hand.cursor.generation != cursor.generation:
            known = destinations.load(self.db, cursor.destination)
            if cursor.replay_id:
                replay = replays.load(self.db, cursor.replay_id)
                assert replay is not None
                again = replay.kind == "dead_letters"
                hand = Hand(cursor, ReplayFeed(known.selection, replay), bury_at_once=again)
            else:
                every = cursors.load(self.db, cursor.destination)
                floors = tuple(at for at in every if at.lane.lanes != cursor.lane.lanes)
                if floors:
                    reached["floors"] += 1
                hand = Hand(cursor, LiveFeed(known.selection, cursor.lane, floors))
            self.hands[cursor.id] = hand
        return hand

    def active(self) -> list[Cursor]:
        """List the cursors that a service would drain now."""
        running = {name: replays.running(self.db, name) for name in NAMES}
        lanes = {"all": self.lanes, "opened": 1}
        return [
            at
            for at in cursors.load_all(self.db)
            if at.destination not in self.paused
            and (
                at.replay_id == (replay.id if (replay := running[at.destination]) else -1)
                or (not at.replay_id and at.lane.lanes == lanes[at.destination])
            )
        ]

    def wants(self, name: str, position: int) -> bool:
        return name == "all" or self.acked[position].metric == "opened"

    # What several rules do.

    def finish_replay(self, cursor: Cursor) -> None:
        replay = replays.load(self.db, cursor.replay_id)
        assert replay is not None
        self.transact(lambda db: replays.finish(db, replay, "done", now=self.now))
        self.reopen(cursor.destination)
        reached["replay done"] += 1

    def reopen(self, name: str) -> None:
        """Letters whose retry has come to nothing are open again."""
        waiting = {
            position
            for replay in replays.list_replays(self.db, running_only=True)
            if replay.kind == "dead_letters" and replay.destination == name
            for position in replay.positions or ()
        }
        for (destination, position), state in self.letters.items():
            if destination == name and state == "retrying" and position not in waiting:
                self.letters[destination, position] = "open"

    def rewind_to(self, name: str, position: int, db: Connection) -> None:
        # An operator's rewind goes back; forward it would skip events.
        lowest = min(at.progress.position for at in cursors.load(db, name))
        cursors.move(db, name, min(position, lowest), now=self.now)
        prune.unmark_beyond(db, min(position, lowest))
        self.settled[name] = {at for at in self.settled[name] if at <= min(position, lowest)}

    # What must be true.

    def stored(self) -> set[int]:
        return {at for (at,) in self.db.execute("SELECT position FROM outbox")}

    def live(self) -> list[Cursor]:
        lanes = {"all": self.lanes, "opened": 1}
        return [
            at
            for at in cursors.load_all(self.db)
            if not at.replay_id and at.lane.lanes == lanes[at.destination]
        ]

    @invariant()
    def acknowledged_events_are_there_once_with_their_bodies(self) -> None:
        if not self.acked:
            return
        rows = self.db.execute("SELECT position, event_id, body FROM outbox").fetchall()
        there = {at: (event_id, body.encode()) for at, event_id, body in rows}
        kept = {at: event for at, event in self.acked.items() if at not in self.pruned}
        assert there == {at: (event.event_id, event.body) for at, event in kept.items()}
        totals = self.db.execute("SELECT * FROM totals").fetchone()[1:]
        assert totals == (
            len(kept), sum(len(event.body) for event in kept.values()),
            len(self.quarantined), sum(self.quarantined.values()),
        )  # fmt: skip

    @invariant()
    def a_cursor_passes_nothing_that_is_not_accepted_left_out_or_buried(self) -> None:
        if not self.acked:
            return
        for cursor in self.live():
            name = cursor.destination
            for position, event in self.acked.items():
                mine = event.lane_key % cursor.lane.lanes == cursor.lane.lane
                if not mine or not self.wants(name, position) or position in self.pruned:
                    continue
                done = self.accepted[name][position] or (name, position) in self.letters
                settled = cursor.has_settled(position, event.lane_key)
                assert done or not settled, (name, cursor, position)

    @invariant()
    def the_lag_is_exact(self) -> None:
        if not self.acked:
            return
        whole = lag.extent(self.db)
        for known in destinations.load_all(self.db):
            own = cursors.load(self.db, known.name)
            behind = [
                position
                for position, event in self.acked.items()
                if position not in self.pruned
                and self.wants(known.name, position)
                and not any(at.has_settled(position, event.lane_key) for at in own)
            ]
            measured = lag.measure(self.db, known, own, whole)
            assert measured.events == len(behind), (known.name, behind, measured, own)
            assert not measured.approximate

    @invariant()
    def ledger_letters_and_counters_tell_the_truth(self) -> None:
        if not self.acked:
            return
        for known in destinations.load_all(self.db):
            name = known.name
            assert known.accepted == self.accepted[name].total()
            assert known.buried == self.burials[name].total()
            for position in self.accepted[name]:
                if position not in self.pruned:
                    key = self.acked[position].lane_key
                    assert ledger.find(self.db, name, position, key), (name, position)
            covered = self.db.execute(
                "SELECT coalesce(sum(events), 0) FROM ledger WHERE destination = ?", (name,)
            ).fetchone()
            assert covered[0] <= self.accepted[name].total()
        found = {
            (at.destination, at.position): at.state
            for at in dead_letters.list_letters(self.db, state=None)
        }
        # A closed letter may go once its event has gone.
        assert found == {
            key: state
            for key, state in self.letters.items()
            if key in found or key[1] not in self.pruned
        }
        pinned = {at for (_, at), state in found.items() if state in HOLDING_ON}
        assert pinned <= self.stored()

"""The whole of the store and the core against a model made of plain lists and sets.

Hypothesis plays sender, destinations, operators, time and the power cut. After
every step the promises are checked by brute force on what the database says.
"""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from msgspec.structs import replace

from streamer.core.conclusion import Conclusion
from streamer.core.drain import Phase
from streamer.core.event import Event
from streamer.core.outcome import ACCEPTED, Outcome, deferred, held, rejected, unfit
from streamer.store import cursors, dead_letters, destinations, outbox, prune, replays, sqlite
from streamer.store.arrival import Arrival, Kept, UnreadableCall
from streamer.store.cursors import Cursor
from streamer.store.destinations import Declared
from streamer.store.replays import Request
from tests.model.hands import Hand
from tests.model.world import HOLDING_ON, NAMES, World, reached

RETENTION_MS = 3_600_000
SAID: dict[str, Outcome] = {
    "accept": ACCEPTED,
    "defer": deferred("busy"),
    "reject": rejected("invalid"),
    "whole": rejected("http_400", whole=True),
    "unfit": unfit("unmappable"),
    "hold": held("http_401"),
}
WANTED = {
    "ahead", "buried exhausted", "buried rejected", "conflict", "crash in a settlement",
    "duplicate", "floors", "halving", "held", "letter discarded", "letter retried and accepted",
    "pruned", "quarantined", "replay cancelled", "replay during hold", "replay done",
    "settlement written again",
    "prune behind a paused destination", "rewind refuses a settlement", "suspect", "woken",
    "forgotten",
}  # fmt: skip


class OutboxMachine(World):
    """What may happen to the world."""

    @rule(
        metric=st.sampled_from(["sent", "opened"]),
        person=st.integers(0, 5),
        count=st.integers(1, 4),
    )
    def new_events(self, metric: str, person: int, count: int) -> None:
        for _ in range(count):
            number = len(self.acked) + 1
            event = Event(
                "customerio", f"event-{number}", "email", metric, None, self.now, person,
                b'{"n":%d}' % number,
            )  # fmt: skip
            assert self.append(event) is Kept.STORED
            self.acked[outbox.last_position(self.db)] = event

    def append(self, arrival: Arrival) -> Kept:
        (kept,) = self.transact(
            partial(outbox.append, arrivals=[arrival], quarantine_bytes_max=10**6)
        )
        return kept

    @precondition(lambda self: len(self.acked) > len(self.pruned))
    @rule(data=st.data(), blanks=st.booleans())
    def the_same_event_again(self, data: st.DataObject, *, blanks: bool) -> None:
        event = self.acked[data.draw(st.sampled_from(sorted(set(self.acked) - self.pruned)))]
        body = event.body.replace(b":", b": ") if blanks else event.body
        again = replace(event, body=body)
        assert self.append(again) is Kept.DUPLICATE
        reached["duplicate"] += 1

    @precondition(lambda self: len(self.acked) > len(self.pruned))
    @rule(data=st.data())
    def the_same_id_with_another_body(self, data: st.DataObject) -> None:
        event = self.acked[data.draw(st.sampled_from(sorted(set(self.acked) - self.pruned)))]
        body = event.body.replace(b"n", b"other")
        assert self.append(replace(event, body=body)) is Kept.CONFLICT
        self.quarantined[("customerio", body)] = len(body)
        reached["conflict"] += 1

    @rule(number=st.integers(0, 3))
    def an_unreadable_call(self, number: int) -> None:
        body = b"\xff" * (number + 1)
        call = UnreadableCall("customerio", "not_utf8", "", self.now, body)
        assert self.append(call) is Kept.QUARANTINED
        self.quarantined[("customerio", body)] = len(body)
        reached["quarantined"] += 1

    @rule(data=st.data(), mood=st.sampled_from(sorted(SAID)), attempts=st.integers(1, 9))
    def a_destination_is_of_one_mind(self, data: st.DataObject, mood: str, attempts: int) -> None:
        self.deliver_some(data, mood, "durable", attempts)

    @rule(data=st.data(), attempts=st.integers(1, 9))
    def a_destination_takes_batches_apart(self, data: st.DataObject, attempts: int) -> None:
        self.deliver_some(data, "mixed", "durable", attempts)

    @rule(data=st.data(), fate=st.sampled_from(["crash", "rewound", "durable, and nobody knows"]))
    def a_settlement_is_cut_off(self, data: st.DataObject, fate: str) -> None:
        self.new_events("opened", 1, 2)
        for cursor in self.active():
            self.deliver_some(data, "accept", fate, 1, cursor.id)

    @rule(data=st.data(), behind=st.integers(0, 4), mood=st.sampled_from(["whole", "defer"]))
    def one_event_is_at_fault(self, data: st.DataObject, behind: int, mood: str) -> None:
        self.new_events("opened", 1, 6)
        for cursor in self.active():
            culprit = cursor.progress.position + 1 + behind
            self.deliver_some(data, f"{mood} {culprit}", "durable", 25, cursor.id)

    @rule(data=st.data())
    def everybody_takes_everything(self, data: st.DataObject) -> None:
        for cursor in self.active():
            self.deliver_some(data, "accept", "durable", 40, cursor.id)

    @rule(data=st.data())
    def a_quiet_day_passes(self, data: st.DataObject) -> None:
        for name in sorted(self.paused):
            self.an_operator_pauses_or_resumes(name)
        self.everybody_takes_everything(data)
        self.the_janitor_prunes(data, 2, drained=False)

    @rule(data=st.data(), name=st.sampled_from(NAMES))
    def the_janitor_prunes_behind_a_pause(self, data: st.DataObject, name: str) -> None:
        """What a paused destination is still to get is kept, however old it is."""
        if name not in self.paused:
            self.an_operator_pauses_or_resumes(name)
        self.new_events("opened", 1, 1)
        self.the_janitor_prunes(data, 2, drained=True)

    @rule(data=st.data(), mended=st.booleans())
    def a_last_event_is_rejected_and_another_comes(
        self, data: st.DataObject, *, mended: bool
    ) -> None:
        self.everybody_takes_everything(data)
        self.new_events("opened", 1, 1)
        culprit = outbox.last_position(self.db)
        for cursor in self.active():
            self.deliver_some(data, "reject", "durable", 1, cursor.id)
        self.new_events("opened", 1, 1)
        mood = "accept" if mended else f"whole {culprit}"
        for cursor in self.active():
            self.deliver_some(data, mood, "durable", 9, cursor.id)

    @rule(data=st.data(), name=st.sampled_from(NAMES))
    def a_replay_runs_beside_a_hold(self, data: st.DataObject, name: str) -> None:
        self.new_events("opened", 1, 2)
        last = outbox.last_position(self.db)
        self.an_operator_replays(name, last - 1, 1, picked=True)
        for cursor in sorted(self.active(), key=lambda at: at.replay_id):
            if cursor.destination == name:
                mood = "accept" if cursor.replay_id else "hold"
                self.deliver_some(data, mood, "durable", 3, cursor.id)

    def deliver_some(
        self, data: st.DataObject, mood: str, fate: str, attempts: int, chosen: int = 0
    ) -> None:
        """Let one cursor be drained for a few attempts."""
        active = self.active()
        if not active:
            return
        chosen = chosen or data.draw(st.sampled_from(sorted(at.id for at in active)))
        for left in reversed(range(attempts)):
            cursor = next((at for at in self.active() if at.id == chosen), None)
            if cursor is None or not self.deliver(data, cursor, mood, "" if left else fate):
                return

    def deliver(self, data: st.DataObject, cursor: Cursor, mood: str, fate: str) -> bool:
        """Make one attempt; False when there is no point in another."""
        hand = self.hand_of(cursor)
        reached["woken"] += hand.look_again(self.db)
        batch = hand.batch(self.db)
        if not batch:
            if hand.is_through:
                self.finish_replay(cursor)
            return False
        if not cursor.replay_id:
            again = {at.position for at in batch} & self.settled[cursor.destination]
            assert not again, "what is settled was sent again"
        self.now = max(self.now, hand.track.next_attempt_at or 0)
        if cursor.replay_id and any(
            at.state.state == "held" for at in cursors.load(self.db, cursor.destination)
        ):
            reached["replay during hold"] += 1
        self.moment += 1
        moment = self.moment
        conclusion, work, remember = hand.attempt(
            self.db,
            batch,
            self.outcomes(data, mood, [at.position for at in batch]),
            now=self.now,
            moment=moment,
            proof=self.proofs[cursor.destination],
        )
        if fate == "crash":
            self.db.execute("BEGIN IMMEDIATE")
            work(self.db)
            self.power_cut()
            reached["crash in a settlement"] += 1
            return False
        if (
            fate == "rewound"
            and not cursor.replay_id
            and (conclusion.settled or hand.track.attempt)
        ):
            self.transact(partial(self.rewind_to, cursor.destination, 0))
            assert self.transact(work) is None, "an operator's change was overwritten"
            reached["rewind refuses a settlement"] += 1
            return False
        ledger_id = self.transact(work)
        assert ledger_id is not None
        if fate == "durable, and nobody knows" and conclusion.settled:
            assert self.transact(work) == 0
            reached["settlement written again"] += 1
        remember(ledger_id)
        self.write_down(cursor, conclusion, moment)
        self.notice(hand)
        return True

    def outcomes(self, data: st.DataObject, mood: str, positions: list[int]) -> list[Outcome]:
        if mood == "mixed":
            moods = st.sampled_from(["accept", "accept", "defer", "reject", "hold"])
            return [SAID[data.draw(moods)] for _ in positions]
        mood, _, culprit = mood.partition(" ")
        innocent = bool(culprit) and int(culprit) not in positions
        return [ACCEPTED if innocent else SAID[mood]] * len(positions)

    def write_down(self, cursor: Cursor, conclusion: Conclusion, moment: int) -> None:
        name = cursor.destination
        if not cursor.replay_id:
            self.settled[name] |= conclusion.settled
        for event in conclusion.accepted:
            key = (name, event.position)
            self.accepted[name][event.position] += 1
            self.proofs[name] = moment
            if self.letters.get(key) in HOLDING_ON:
                reached["letter retried and accepted"] += self.letters[key] == "retrying"
                self.letters[key] = "accepted"
        for burial in conclusion.buried:
            self.burials[name][burial.event.position] += 1
            self.letters[name, burial.event.position] = "open"
            kind = "exhausted" if burial.reason == "exhausted" else "rejected"
            reached[f"buried {kind}"] += 1

    def notice(self, hand: Hand) -> None:
        reached["ahead"] += bool(hand.progress.ahead)
        reached["halving"] += bool(hand.track.limit)
        reached["suspect"] += bool(hand.track.suspects)
        reached["held"] += hand.track.phase is Phase.HELD

    @rule()
    def power_cut(self) -> None:
        """Close the file under an open transaction, if there is one, and begin anew."""
        self.db.close()
        self.db = sqlite.open_writer(self.path)
        self.hands.clear()

    @rule(seconds=st.sampled_from([1, 60, 1_800, 7_200]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1_000

    @rule(name=st.sampled_from(NAMES), data=st.data())
    def an_operator_rewinds(self, name: str, data: st.DataObject) -> None:
        known = outbox.last_position(self.db)
        self.transact(partial(self.rewind_to, name, data.draw(st.integers(0, known))))

    @rule(
        name=st.sampled_from(NAMES),
        low=st.integers(1, 20),
        length=st.integers(0, 9),
        picked=st.booleans(),
    )
    def an_operator_replays(self, name: str, low: int, length: int, *, picked: bool) -> None:
        positions = tuple(
            at for at in range(low, low + length + 1) if at in self.acked and at not in self.pruned
        )
        last = outbox.last_position(self.db)
        if not positions:
            return
        request = Request(
            name,
            from_position=low,
            to_position=min(low + length, last),
            positions=positions if picked else None,
        )
        self.transact(lambda db: replays.start(db, request, events=len(positions), now=self.now))

    @rule(data=st.data())
    def an_operator_cancels_a_replay(self, data: st.DataObject) -> None:
        running = replays.list_replays(self.db, running_only=True)
        if running:
            replay = data.draw(st.sampled_from(running))
            self.transact(lambda db: replays.cancel(db, replay, now=self.now))
            self.reopen(replay.destination)
            reached["replay cancelled"] += 1

    @rule(name=st.sampled_from(NAMES))
    def an_operator_pauses_or_resumes(self, name: str) -> None:
        if name in self.paused:
            self.transact(lambda db: destinations.resume(db, name, now=self.now))
            self.paused.discard(name)
        else:
            self.transact(lambda db: destinations.pause(db, name, now=self.now))
            self.paused.add(name)

    @rule(lanes=st.integers(1, 3))
    def an_operator_changes_the_lanes(self, lanes: int) -> None:
        self.lanes = lanes
        self.hands.clear()
        self.transact(self.declare)
        for cursor in self.active():  # each lane takes up where the others left off
            self.hand_of(cursor)
        self.transact(lambda db: cursors.drop_passed_floors(db, "all", lanes))

    @precondition(lambda self: "open" in self.letters.values())
    @rule(data=st.data(), retry=st.booleans())
    def an_operator_works_on_a_dead_letter(self, data: st.DataObject, *, retry: bool) -> None:
        letter = data.draw(st.sampled_from(dead_letters.list_letters(self.db)))
        key = (letter.destination, letter.position)
        if retry:
            request = Request(
                letter.destination, positions=(letter.position,), letter_ids=(letter.id,)
            )
            self.transact(lambda db: replays.start(db, request, events=1, now=self.now))
            self.letters[key] = "retrying"
            for cursor in self.active():
                if cursor.replay_id and cursor.destination == letter.destination:
                    self.deliver_some(data, "accept", "durable", 4, cursor.id)
        else:
            assert (
                self.transact(lambda db: dead_letters.discard(db, [letter.id], now=self.now)) == 1
            )
            self.letters[key] = "discarded"
            reached["letter discarded"] += 1

    @rule(data=st.data(), hours=st.integers(0, 3), drained=st.booleans())
    def the_janitor_prunes(self, data: st.DataObject, hours: int, *, drained: bool) -> None:
        if drained:
            self.everybody_takes_everything(data)
        self.transact(lambda db: prune.mark_settled(db, now=self.now))
        self.now += hours * RETENTION_MS
        pinned = {at for (_, at), state in self.letters.items() if state in HOLDING_ON}
        replaying = [at for at in cursors.load_all(self.db) if at.replay_id]
        needed = min(at.progress.position for at in [*self.live(), *replaying])
        older_than = self.now - RETENTION_MS
        before = self.stored()
        self.transact(lambda db: prune.prune_step(db, older_than=older_than, events_max=5))
        self.transact(lambda db: prune.prune_stories(db, older_than=older_than, rows_max=5))
        gone = before - self.stored()
        for position in gone:
            assert position <= needed, "pruned before it was settled everywhere"
            assert position not in pinned
            assert self.acked[position].received_at < older_than
        self.pruned |= gone
        reached["pruned"] += bool(gone)
        kept = self.stored() - pinned
        behind_pause = self.paused and any(self.acked[at].received_at < older_than for at in kept)
        reached["prune behind a paused destination"] += bool(behind_pause)

    @precondition(lambda self: len(self.acked) > 12)
    @rule()
    def an_operator_takes_a_destination_out_and_forgets_it(self) -> None:
        declared = [Declared("all", "http", self.lanes)]
        self.transact(lambda db: destinations.declare(db, declared, now=self.now))
        self.transact(lambda db: destinations.forget(db, "opened", now=self.now))
        self.accepted["opened"].clear()
        self.burials["opened"].clear()
        self.settled["opened"].clear()
        self.letters = {key: at for key, at in self.letters.items() if key[0] != "opened"}
        self.paused.discard("opened")
        self.hands.clear()
        self.transact(self.declare)
        reached["forgotten"] += 1


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_the_model_has_come_by_every_odd_state(request: pytest.FixtureRequest) -> None:
    """A model that never gets there proves nothing."""
    chosen = {item.name for item in request.session.items}
    if "runTest" not in chosen:
        pytest.skip("the model was not run")
    assert not {name for name in WANTED if not reached[name]}, reached

"""A destination's whole drain on the bench, and what the service and an operator do to it."""

from __future__ import annotations

from collections.abc import Sequence

from streamer.drain.shared import DrainPolicy
from streamer.drain.supervisor import DestinationDrain
from streamer.store import cursors, destinations, replays
from streamer.store.replays import Request
from tests.drain.bench import NAME, POLICY, Bench


def new_drain(bench: Bench, policy: DrainPolicy = POLICY) -> DestinationDrain:
    """Make the drain as a start of the service does."""
    return DestinationDrain(NAME, bench.shared(policy))


def look(bench: Bench, drain: DestinationDrain) -> None:
    """Do what the service's control loop does after every change of the database."""
    known = destinations.load(bench.db, NAME)
    every = [cursor for cursor in cursors.load_all(bench.db) if cursor.destination == NAME]
    replay = replays.running(bench.db, NAME)
    drain.apply(known, replay, {cursor.id: cursor.generation for cursor in every})


def replay_of(bench: Bench, *positions: int, letters: Sequence[int] = ()) -> int:
    """Start a replay of chosen events; return its number."""
    request = Request(NAME, positions=tuple(positions), letter_ids=tuple(letters))
    return bench.transact(
        lambda db: replays.start(db, request, events=len(positions), now=bench.clock.now())
    )


def cancel(bench: Bench, replay_id: int) -> None:
    """Cancel a replay that there is."""
    found = replays.load(bench.db, replay_id)
    assert found is not None
    bench.transact(lambda db: replays.cancel(db, found, now=bench.clock.now()))


def replay_state(bench: Bench, replay_id: int) -> str:
    """Return the state of a replay that there is."""
    found = replays.load(bench.db, replay_id)
    assert found is not None
    return found.state

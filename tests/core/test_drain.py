"""What a drain sends next, and the table of its phases."""

from __future__ import annotations

import pytest

from streamer.core import drain
from streamer.core.drain import TRANSITIONS, Isolation, Phase, Suspect, Track, Trigger, choose
from streamer.core.drain_diagram import transitions_diagram
from streamer.core.outcome import rejected
from streamer.core.settlement import Window
from tests.core.simulation import (
    HOUR,
    Simulation,
    accepts,
    defers,
    event,
    refuses,
    rejects,
    seen_moves,
    switched,
)

WINDOW = Window(tuple(event(at, b"x" * 10) for at in range(1, 11)), 10)


def chosen(track: Track, *, events_max: int = 5, bytes_max: int = 1_000) -> list[int]:
    batch = choose(track, WINDOW, events_max=events_max, bytes_max=bytes_max)
    return [at.position for at in batch]


def suspects(*positions: int) -> tuple[Suspect, ...]:
    return tuple(Suspect(event(at, b"x" * 10), rejected("invalid"), 0) for at in positions)


@pytest.mark.parametrize(
    ("track", "positions"),
    [
        (Track(), [1, 2, 3, 4, 5]),
        (Track(limit=2, limit_until=4), [1, 2]),
        (Track(limit=7, limit_until=3), [1, 2, 3]),
        (Track(limit=2, limit_until=0), [1, 2, 3, 4, 5]),
        (Track(redo_until=3), [1, 2, 3]),
        (Track(holding=True), [1]),
        (Track(holding=True, suspects=suspects(1, 2)), [3]),
        (Track(isolation=Isolation.HEAD), [1]),
        (Track(isolation=Isolation.NEXT), [2]),
        (Track(isolation=Isolation.NEXT, suspects=suspects(2)), [3]),
        (Track(isolation=Isolation.AGAIN), [1]),
        (Track(suspects=suspects(1)), [2]),
        (Track(refused=((1, 0),)), [1]),
        (Track(refused=((2, 0),)), [1, 2, 3, 4, 5]),
        (Track(suspects=suspects(*range(1, 11))), []),
        (Track(suspects=suspects(1, 2), redo_until=2), [3]),
    ],
)
def test_what_is_sent_next(track: Track, positions: list[int]) -> None:
    assert chosen(track) == positions


def test_with_only_one_event_left_it_is_the_one_to_isolate() -> None:
    window = Window((event(9),), 9)
    track = Track(isolation=Isolation.NEXT)
    assert choose(track, window, events_max=5, bytes_max=100) == (event(9),)


@pytest.mark.parametrize(("bytes_max", "count"), [(1, 1), (10, 1), (19, 1), (20, 2), (45, 4)])
def test_a_batch_holds_what_fits_and_never_nothing(bytes_max: int, count: int) -> None:
    assert len(chosen(Track(), bytes_max=bytes_max)) == count


def test_nothing_is_chosen_from_nothing() -> None:
    assert not choose(Track(), Window((), 7), events_max=5, bytes_max=100)


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.SENDING])
def test_a_move_that_the_table_does_not_know_is_a_bug(phase: Phase) -> None:
    with pytest.raises(KeyError):
        drain.begin(Track(phase=phase))


def test_only_a_lonely_hold_is_woken_by_a_new_event() -> None:
    held = Track(phase=Phase.HELD, next_attempt_at=5, holding=True)
    assert drain.wake(held) == held
    waiting = Track(phase=Phase.WAITING, next_attempt_at=5)
    assert drain.wake(waiting) == waiting
    lonely = Track(phase=Phase.HELD, next_attempt_at=5, holding=True, lonely=True)
    assert drain.wake(lonely) == Track(phase=Phase.READY, holding=True)


def test_a_pause_forgets_suspicions_and_keeps_the_hold() -> None:
    track = Track(phase=Phase.HELD, next_attempt_at=5, holding=True, suspects=suspects(4))
    resumed = drain.resume(drain.pause(track))
    assert resumed.phase is Phase.READY
    assert resumed.holding
    assert resumed.next_attempt_at is None
    assert not resumed.suspects
    assert resumed.refused == ((4, 0),)


def test_a_pause_takes_an_isolation_back_to_its_first_step() -> None:
    for step in (Isolation.HEAD, Isolation.NEXT, Isolation.AGAIN):
        assert drain.pause(Track(isolation=step)).isolation is Isolation.HEAD
    assert drain.pause(Track()).isolation is Isolation.NONE


def test_every_transition_of_the_table_happens() -> None:
    """Scripts that reach each; the simulation itself refuses any move beside the table."""
    seen_moves.clear()
    ready = Simulation(5, switched((0, defers), (HOUR, accepts)))
    ready.poke()
    ready.pause()
    ready.resume()
    ready.step()
    ready.pause()  # waiting
    ready.resume()
    ready.step()
    ready.poke()
    ready.run()
    held = Simulation(5, refuses, batch=1)
    held.step()
    held.step()
    held.poke()
    held.step()
    held.pause()
    held.resume()
    lonely = Simulation(1, rejects)
    lonely.step()
    lonely.append()
    lonely.step()
    table = {(phase, trigger) for phase, moves in TRANSITIONS.items() for trigger in moves}
    assert seen_moves == table


def test_the_diagram_shows_every_transition_once() -> None:
    lines = transitions_diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> ready"]
    moves = sum(len(moves) for moves in TRANSITIONS.values())
    assert len(lines) == len(set(lines)) == moves + 2
    assert f"    sending --> waiting: {Trigger.DEFER.value}" in lines
    assert all(line.startswith("    ") for line in lines[1:])

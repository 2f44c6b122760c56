"""An operator's word about the clock counts once, and is written down."""

from __future__ import annotations

from streamer.store import facts
from streamer.store.sqlite import Connection
from tests.store.build import NOW


def acts(db: Connection) -> list[str]:
    """Return the acts in the book."""
    return [act for (act,) in db.execute("SELECT act FROM operator_acts")]


def test_a_clock_in_doubt_is_believed_again_from_the_present_time_on(db: Connection) -> None:
    facts.write(db, facts.CLOCK_SEEN, NOW - 10**10)
    facts.write(db, facts.CLOCK_DOUBTED, NOW - 5)
    assert facts.confirm_clock(db, now=NOW)
    assert facts.read(db, facts.CLOCK_DOUBTED) is None
    assert facts.read(db, facts.CLOCK_SEEN) == NOW
    assert acts(db) == ["confirm-clock"]


def test_a_clock_that_nobody_doubts_is_left_alone(db: Connection) -> None:
    facts.write(db, facts.CLOCK_SEEN, NOW)
    assert not facts.confirm_clock(db, now=NOW + 1)
    assert facts.read(db, facts.CLOCK_SEEN) == NOW
    assert acts(db) == []

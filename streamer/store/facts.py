"""Single facts about the database, and the book of what operators did."""

from __future__ import annotations

import secrets

from streamer.core.times import rfc3339
from streamer.store.sqlite import Connection

CLOCK_SEEN = "wall_clock_seen_at"
"""The last wall time that was believed, in ms since 1970."""
CLOCK_BOOT = "wall_clock_seen_in_boot"
"""The boot in which it was; see `streamer.clock.boot_number` …"""
CLOCK_BOOTTIME = "wall_clock_seen_at_boottime"
"""… and what the clock that nobody sets said then, in ms."""
CLOCK_DOUBTED = "wall_clock_doubted_at"
"""The wall time that was not believed: pruning waits for an operator as long as it is here."""

PROBED_AT = "probed_at"
"""When a readiness probe was last stored, in ms since 1970: nothing reads it, the write counts."""

INSTANCE = "instance"
"""A random number by which one database, and so one installation, is told from another."""


def read(db: Connection, name: str) -> int | None:
    """Return a fact, or None when it was never set."""
    row = db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def write(db: Connection, name: str, value: int) -> None:
    """Set a fact."""
    db.execute(
        "INSERT INTO facts (name, value) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def remove(db: Connection, name: str) -> None:
    """Forget a fact."""
    db.execute("DELETE FROM facts WHERE name = ?", (name,))


def ensure_instance(db: Connection) -> None:
    """Give a database its random number, once."""
    if read(db, INSTANCE) is None:
        write(db, INSTANCE, secrets.randbits(62))


def instance(db: Connection) -> str:
    """Return the database's random number as text; empty when it was never given one."""
    number = read(db, INSTANCE)
    return "" if number is None else f"{number:016x}"


def record_act(db: Connection, act: str, detail: str, *, now: int) -> None:
    """Write down what an operator did; the book is never changed."""
    db.execute("INSERT INTO operator_acts (at, act, detail) VALUES (?, ?, ?)", (now, act, detail))


def confirm_clock(db: Connection, *, now: int) -> bool:
    """Believe the wall clock again, as an operator's act; False when it was not in doubt."""
    if read(db, CLOCK_DOUBTED) is None:
        return False
    remove(db, CLOCK_DOUBTED)
    remove(db, CLOCK_BOOT)  # this process does not know the other clock
    write(db, CLOCK_SEEN, now)
    record_act(db, "confirm-clock", f"the time is {rfc3339(now)}", now=now)
    return True

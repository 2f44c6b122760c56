"""Single facts about the database, and the book of what operators did."""

from __future__ import annotations

from streamer.store.sqlite import Connection


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


def record_act(db: Connection, act: str, detail: str, *, now: int) -> None:
    """Write down what an operator did; the book is never changed."""
    db.execute("INSERT INTO operator_acts (at, act, detail) VALUES (?, ?, ?)", (now, act, detail))

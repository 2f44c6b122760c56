"""Webhooks that wait to be switched on: operators ask for it, the service does it.

Kept as a fact for each source, the value being the webhook's number at
Customer.io, with an operator's act for each step. One wish for each source: a
later one takes the place of an earlier.
"""

from __future__ import annotations

from streamer.store import facts
from streamer.store.sqlite import Connection

_PREFIX = "switch_on_webhook:"


def pending(db: Connection) -> dict[str, int]:
    """Return the webhook that waits to be switched on, by source."""
    rows = db.execute(
        "SELECT substr(name, ?), value FROM facts WHERE name >= ? AND name < ? ORDER BY name",
        (len(_PREFIX) + 1, _PREFIX, _PREFIX[:-1] + ";"),
    )
    return {str(source): int(webhook_id) for source, webhook_id in rows}


def ask(db: Connection, source: str, webhook_id: int, *, now: int) -> None:
    """Wish for a webhook to be switched on as soon as the service can be called."""
    facts.write(db, _PREFIX + source, webhook_id)
    facts.record_act(db, "ask-switch-on", _detail(source, webhook_id), now=now)


def withdraw(db: Connection, source: str, *, now: int) -> bool:
    """Take the wish back; False when there is none."""
    webhook_id = facts.read(db, _PREFIX + source)
    if webhook_id is None:
        return False
    facts.remove(db, _PREFIX + source)
    facts.record_act(db, "withdraw-switch-on", _detail(source, webhook_id), now=now)
    return True


def note(db: Connection, source: str, webhook_id: int, *, on: bool, now: int) -> None:
    """Write down that a webhook was switched on or off; a wish about it is fulfilled, or over."""
    if facts.read(db, _PREFIX + source) == webhook_id:
        facts.remove(db, _PREFIX + source)
    act = "switch-on" if on else "switch-off"
    facts.record_act(db, act, _detail(source, webhook_id), now=now)


def _detail(source: str, webhook_id: int) -> str:
    return f"webhook {webhook_id} of source {source}"

"""Wishes for webhooks to be switched on: one for each source, each step in the book of acts."""

from __future__ import annotations

from streamer.store import facts, switch_on
from streamer.store.sqlite import Connection
from tests.store.build import NOW


def acts(db: Connection) -> list[tuple[str, str]]:
    return [tuple(row) for row in db.execute("SELECT act, detail FROM operator_acts ORDER BY id")]


def test_nothing_waits_at_first(db: Connection) -> None:
    facts.write(db, facts.PROBED_AT, NOW)
    assert switch_on.pending(db) == {}


def test_a_later_wish_takes_the_place_of_an_earlier(db: Connection) -> None:
    switch_on.ask(db, "customerio", 1, now=NOW)
    switch_on.ask(db, "other", 2**40, now=NOW)
    switch_on.ask(db, "customerio", 3, now=NOW)
    assert switch_on.pending(db) == {"customerio": 3, "other": 2**40}
    assert acts(db)[0] == ("ask-switch-on", "webhook 1 of source customerio")


def test_a_wish_can_be_taken_back_once(db: Connection) -> None:
    switch_on.ask(db, "customerio", 1, now=NOW)
    assert switch_on.withdraw(db, "customerio", now=NOW)
    assert not switch_on.withdraw(db, "customerio", now=NOW)
    assert switch_on.pending(db) == {}
    assert [act for act, _ in acts(db)] == ["ask-switch-on", "withdraw-switch-on"]


def test_a_wish_is_fulfilled_by_switching_that_webhook_and_no_other(db: Connection) -> None:
    switch_on.ask(db, "customerio", 1, now=NOW)
    switch_on.note(db, "customerio", 2, on=True, now=NOW)
    assert switch_on.pending(db) == {"customerio": 1}
    switch_on.note(db, "customerio", 1, on=False, now=NOW)
    assert switch_on.pending(db) == {}
    assert [act for act, _ in acts(db)] == ["ask-switch-on", "switch-on", "switch-off"]

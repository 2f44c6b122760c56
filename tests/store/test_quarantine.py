"""Quarantine keeps each body once, within its cap, and counts what it holds."""

from __future__ import annotations

import hashlib

import pytest

from streamer.core.limits import TRUNCATED_COPY_BYTES
from streamer.store import quarantine
from streamer.store.sqlite import Connection
from tests.store.build import NOW, ROOM, append, counted_totals, said_totals, unreadable


def test_a_call_is_kept_raw_with_what_is_known_of_it(db: Connection) -> None:
    raw = b"\xff\x00not text"
    append(db, unreadable(raw, event_id="half \ud800", content_encoding="br"))
    row = db.execute(
        "SELECT body, body_sha256, body_bytes, content_encoding, event_id, times FROM quarantine"
    ).fetchone()
    assert tuple(row) == (raw, hashlib.sha256(raw).digest(), len(raw), "br", "half ?", 1)


def test_the_same_body_is_kept_once_and_counted(db: Connection) -> None:
    for late in (0, 5, 3):
        append(db, unreadable(b"x", received_at=NOW + late))
    append(db, unreadable(b"x", source="other"))
    rows = db.execute(
        "SELECT source, times, received_at, last_received_at FROM quarantine ORDER BY id"
    ).fetchall()
    assert [tuple(row) for row in rows] == [
        ("customerio", 3, NOW, NOW + 5), ("other", 1, NOW, NOW),
    ]  # fmt: skip
    assert said_totals(db) == counted_totals(db)


def test_beyond_the_cap_only_the_beginning_and_the_hash_are_kept(db: Connection) -> None:
    cap = TRUNCATED_COPY_BYTES * 3
    bodies = [bytes([number]) * TRUNCATED_COPY_BYTES * 2 for number in range(3)]
    for raw in bodies:
        quarantine.keep(db, unreadable(raw), bytes_max=cap)
    rows = db.execute("SELECT length(body), body_bytes, body_sha256 FROM quarantine").fetchall()
    assert [row[0] for row in rows] == [2 * TRUNCATED_COPY_BYTES, *[TRUNCATED_COPY_BYTES] * 2]
    assert {row[1] for row in rows} == {2 * TRUNCATED_COPY_BYTES}
    assert [row[2] for row in rows] == [hashlib.sha256(raw).digest() for raw in bodies]
    assert quarantine.held_bytes(db) == counted_totals(db)[3]
    quarantine.keep(db, unreadable(bodies[2]), bytes_max=cap)
    assert db.execute("SELECT times FROM quarantine WHERE id = 3").fetchone()[0] == 2


def test_a_body_that_was_cut_on_its_way_in_is_known_by_its_whole_digest(db: Connection) -> None:
    digest = hashlib.sha256(b"the whole").digest()
    for _ in range(2):
        cut = unreadable(b"the", body_bytes=9, body_sha256=digest)
        quarantine.keep(db, cut, bytes_max=ROOM)
    row = db.execute("SELECT body, body_bytes, times FROM quarantine").fetchone()
    assert tuple(row) == (b"the", 9, 2)


@pytest.mark.parametrize("kept", [1, 3])
def test_what_is_discarded_is_gone_and_not_counted(db: Connection, kept: int) -> None:
    append(db, *(unreadable(b"x" * number) for number in range(1, kept + 1)))
    assert quarantine.discard(db, 1)
    assert not quarantine.discard(db, 1)
    assert said_totals(db) == counted_totals(db)
    assert said_totals(db)[2] == kept - 1

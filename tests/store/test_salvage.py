"""Salvage rescues what is readable around any damage, and trusts nothing that makes no sense."""

from __future__ import annotations

import json
import random
from contextlib import closing
from pathlib import Path

import pytest

from streamer.core.errors import StoreError
from streamer.core.limits import POSITION_LEAP
from streamer.store import (
    backup,
    check,
    cursors,
    dead_letters,
    destinations,
    replays,
    salvage,
    sqlite,
)
from streamer.store.destinations import Declared
from tests.store.build import (
    NOW,
    accept,
    append,
    append_at,
    body,
    burial,
    declare,
    event,
    fill_every_table,
    only_cursor,
    open_fresh,
    read_all,
)

PAGE = 4096
EVENTS = 200


def make(path: Path, *, extra: tuple[int, ...] = ()) -> dict[int, bytes]:
    """Make a database whose outbox spans many pages; return the bodies by position."""
    with closing(open_fresh(path)) as db:
        declare(db, Declared("hook", "http", lanes=2), Declared("lake", "aep"))
        append(
            db,
            *(
                event(number, body=body(f"event-{number}", text="x" * 1200))
                for number in range(1, EVENTS + 1)
            ),
        )
        append_at(db, extra)
        stored = read_all(db)
        accept(db, only_cursor(db, "lake"), stored[:90], buried=(burial(stored[90]),))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return {one.position: one.body for one in stored}


def pages_of(path: Path, table: str) -> list[int]:
    """List the leaf pages of a table that hold events, by what is written on them."""
    found = []
    with path.open("rb") as file:
        for number in range(path.stat().st_size // PAGE):
            page = file.read(PAGE)
            if page[0] == 13 and table.encode() in page:
                found.append(number)
    return found


def spoil(path: Path, pages: list[int]) -> None:
    with path.open("r+b") as file:
        for number in pages:
            file.seek(number * PAGE)
            file.write(b"\xa5" * PAGE)


def rescued(target: Path) -> dict[int, bytes]:
    with closing(sqlite.open_reader(target)) as db:
        return {one.position: one.body for one in read_all(db)}


def test_a_sound_database_is_rescued_whole(path: Path, tmp_path: Path) -> None:
    with closing(open_fresh(path)) as db:
        fill_every_table(db)
        before = read_all(db)
        letters = dead_letters.list_letters(db, state=None)
        running = replays.list_replays(db)
        places = {at.id: (at.lane, at.progress) for at in cursors.load_all(db)}
    said = salvage.salvage(path, tmp_path / "new.db", now=NOW)
    assert (said.refused, said.doubtful_events, said.lost_letters, said.damaged) == (0, 0, 0, [])
    assert said.rows["outbox"] == 22
    assert said.rows["quarantine"] == 2
    with closing(sqlite.open_reader(tmp_path / "new.db")) as new:
        assert read_all(new) == before
        assert dead_letters.list_letters(new, state=None) == letters
        assert replays.list_replays(new) == running
        assert {at.id: (at.lane, at.progress) for at in cursors.load_all(new)} == places
        act = new.execute("SELECT act, detail FROM operator_acts ORDER BY id DESC").fetchone()
        assert act[0] == "salvage"
        assert "22 outbox" in act[1]
    assert check.check(tmp_path / "new.db") == []


@pytest.mark.parametrize(
    ("chosen", "lost_max"),
    [
        ([3], 3),
        ([0], 3),
        ([-1], 3),
        ([5, 6, 7], 9),
        ([2, 4, 6, 20], 12),
        ([3, 4, 6, 7, 8, 9, 10], 21),
    ],
    ids=["one", "first", "last", "neighbours", "scattered", "island"],
)
def test_only_what_is_on_a_damaged_page_is_lost(
    path: Path, tmp_path: Path, chosen: list[int], lost_max: int
) -> None:
    bodies = make(path)
    pages = pages_of(path, "xxxxxxxx")
    assert len(pages) > 40
    spoil(path, [pages[index] for index in chosen])
    damaged = path.read_bytes()
    said = salvage.salvage(path, tmp_path / "new.db", now=NOW)
    found = rescued(tmp_path / "new.db")
    assert found.items() <= bodies.items()
    assert 0 < len(bodies) - len(found) <= lost_max
    assert said.damaged
    assert path.read_bytes() == damaged, "the damaged file is evidence"
    assert check.check(tmp_path / "new.db") == []
    with closing(sqlite.open_writer(tmp_path / "new.db")) as new:
        append(new, event("new"))
        assert read_all(new)[-1].position == EVENTS + POSITION_LEAP + 1


def test_damage_before_a_gap_of_a_thousand_million_is_passed(path: Path, tmp_path: Path) -> None:
    bodies = make(path, extra=(10**9, 10**9 + 1))
    pages = pages_of(path, "xxxxxxxx")
    spoil(path, pages[-3:])
    salvage.salvage(path, tmp_path / "new.db", now=NOW)
    found = rescued(tmp_path / "new.db")
    assert found.items() <= bodies.items()
    assert len(found) > EVENTS - 15


def test_an_event_whose_body_is_not_its_own_goes_to_quarantine(path: Path, tmp_path: Path) -> None:
    make(path)
    with closing(sqlite.open_writer(path)) as db:
        for position, text in ((5, json.dumps({"event_id": "event-6"})), (7, "{")):
            db.execute("UPDATE outbox SET body = ? WHERE position = ?", (text, position))
    said = salvage.salvage(path, tmp_path / "new.db", now=NOW)
    assert said.doubtful_events == 2
    assert {5, 7}.isdisjoint(rescued(tmp_path / "new.db"))
    with closing(sqlite.open_reader(tmp_path / "new.db")) as new:
        kept = new.execute("SELECT reason, body FROM quarantine ORDER BY id").fetchall()
    assert [tuple(row) for row in kept] == [("salvaged", b'{"event_id": "event-6"}'),
                                            ("salvaged", b"{")]  # fmt: skip
    assert check.check(tmp_path / "new.db") == []


def test_an_open_letter_whose_event_is_lost_is_closed(path: Path, tmp_path: Path) -> None:
    make(path)
    with closing(sqlite.open_writer(path)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("DELETE FROM outbox WHERE position = 91")
    said = salvage.salvage(path, tmp_path / "new.db", now=NOW)
    assert said.lost_letters == 1
    with closing(sqlite.open_reader(tmp_path / "new.db")) as new:
        (letter,) = dead_letters.list_letters(new, state=None)
    assert (letter.state, letter.closed_at) == ("discarded", NOW)
    assert "lost" in letter.detail


def test_what_is_not_known_of_a_destination_is_sent_again_and_never_skipped(
    path: Path, tmp_path: Path
) -> None:
    make(path)
    with closing(sqlite.open_writer(path)) as db:
        replays.start(db, replays.Request("lake", 1, 5), events=5, now=NOW)
        db.execute("DELETE FROM cursors WHERE replay_id > 0")
        db.execute("DELETE FROM cursors WHERE destination = 'hook' AND lane = 1")
        db.execute("UPDATE cursors SET position = 80 WHERE destination = 'hook'")
        db.execute("DELETE FROM destinations WHERE name = 'lake'")
    salvage.salvage(path, tmp_path / "new.db", now=NOW)
    assert check.check(tmp_path / "new.db") == []
    with closing(sqlite.open_writer(tmp_path / "new.db")) as new:
        assert [at.progress.position for at in cursors.load(new, "hook")] == [80, 0]
        assert destinations.load(new, "lake").kind == "lost"
        declare(new, Declared("lake", "aep", start="now"), Declared("hook", "http", lanes=2))
        assert only_cursor(new, "lake").progress.position == 90
        assert replays.list_replays(new)[0].state == "cancelled"


def test_a_rescued_database_can_be_restored(path: Path, tmp_path: Path) -> None:
    bodies = make(path)
    spoil(path, pages_of(path, "xxxxxxxx")[3:4])
    salvage.salvage(path, tmp_path / "new.db", now=NOW)
    restored = backup.restore(tmp_path / "new.db", path, now=NOW)
    assert restored.replaced is not None
    assert rescued(path).items() <= bodies.items()
    assert check.check(path) == []


def test_what_cannot_be_a_database_is_refused_and_nothing_left_behind(
    path: Path, tmp_path: Path
) -> None:
    path.write_bytes(b"\xa5" * PAGE * 4)
    with pytest.raises(StoreError):
        salvage.salvage(path, tmp_path / "new.db", now=NOW)
    assert not (tmp_path / "new.db").exists()
    (tmp_path / "new.db").write_text("precious")
    with pytest.raises(StoreError, match="exists already"):
        salvage.salvage(path, tmp_path / "new.db", now=NOW)
    assert (tmp_path / "new.db").read_text() == "precious"


@pytest.mark.parametrize("seed", range(12))
def test_whatever_bits_are_flipped_salvage_ends_and_its_result_is_sound(
    path: Path, tmp_path: Path, seed: int
) -> None:
    bodies = make(path)
    chance = random.Random(seed)  # noqa: S311 - chooses what to damage
    content = bytearray(path.read_bytes())
    for _ in range(40):
        # The first page stays: without its header nothing is a database.
        at = chance.randrange(PAGE, len(content))
        content[at] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    try:
        salvage.salvage(path, tmp_path / "new.db", now=NOW)
    except StoreError:
        assert not (tmp_path / "new.db").exists()
        return
    assert check.check(tmp_path / "new.db") == []
    assert len(rescued(tmp_path / "new.db").keys() & bodies.keys()) > EVENTS / 2

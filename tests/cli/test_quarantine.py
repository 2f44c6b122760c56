"""The quarantine is looked into safely, read again, and emptied only on purpose."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from streamer.cli.quarantine import ENTRIES_AT_ONCE, PREVIEW_BYTES, preview
from tests.cli.desk import CONFIG, Desk
from tests.store.build import append, body, event, unreadable

BYTES = b"\x00\xff\x1b[2J{"


@pytest.fixture
def held(desk: Desk) -> Desk:
    """Three entries: bytes, an event that is readable now, and one of another source."""
    with desk.database() as db:
        append(
            db,
            unreadable(BYTES, reason="not_utf8"),
            unreadable(body("event-1")),
            unreadable(b"[]", source="other", reason="not_an_object"),
        )
    return desk


def ids(desk: Desk) -> list[int]:
    """Return the numbers of what is left in quarantine."""
    return [number for (number,) in desk.query("SELECT id FROM quarantine ORDER BY id")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [1, 2, 3]),
        (["--source", "other"], [3]),
        (["--reason", "not_utf8"], [1]),
        (["--limit", "1"], [3]),
    ],
)
def test_entries_are_listed(held: Desk, options: list[str], expected: list[int]) -> None:
    assert [one["id"] for one in held.ask("quarantine", "list", *options)] == expected


def test_the_list_for_people_shows_reasons_and_no_bytes(held: Desk) -> None:
    out = held.run("quarantine", "list").out
    assert "not_an_object" in out
    assert "example" not in out
    assert len(out.splitlines()) == 4


def test_an_entry_is_shown_without_anything_that_a_terminal_obeys(held: Desk) -> None:
    out = held.run("quarantine", "show", "1").out
    assert "Reason      not_utf8: odd" in out
    assert "000000  00 ff 1b 5b 32 4a 7b" in out
    assert "...[2J{" in out
    assert "\x1b" not in out
    assert '{"event_id": "event-1"' in held.run("quarantine", "show", "2").out
    assert held.ask("quarantine", "show", "1")["beginning"] == "\x00\\xff\x1b[2J{"


def test_the_bytes_go_to_a_new_private_file_as_they_are(held: Desk, tmp_path: Path) -> None:
    output = tmp_path / "bytes"
    answer = held.run("quarantine", "show", "1", "--output", str(output))
    assert (answer.code, answer.out) == (0, f"wrote 7 bytes to {output}\n")
    assert output.read_bytes() == BYTES
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    again = held.run("quarantine", "show", "2", "--output", str(output))
    assert again.code == 1
    assert "cannot be written" in again.err
    assert output.read_bytes() == BYTES


def test_a_preview_ends_between_characters_and_says_that_there_is_more(desk: Desk) -> None:
    text = "ü" * PREVIEW_BYTES
    assert list(preview(b"x" + text.encode())) == ["x" + "ü" * (PREVIEW_BYTES // 2 - 1)]
    with desk.database() as db:
        append(db, unreadable(b"x" + text.encode()))
    assert "… and 2.0 KiB more" in desk.run("quarantine", "show", "1").out


def test_a_body_that_ends_inside_a_character_is_shown_as_hexadecimal() -> None:
    assert list(preview("ü".encode()[:1])) == [f"000000  {'c3':<48} ."]


def test_what_is_readable_now_becomes_an_event(held: Desk) -> None:
    answer = held.run("quarantine", "retry", "--all")
    assert answer.code == 0
    assert "entry 2 is an event now, at position 1" in answer.out
    assert "entry 1 stays: not_utf8: byte 1 is not UTF-8" in answer.out
    assert ids(held) == [1, 3]
    assert held.ask("events", "show", "event-1")["position"] == 1
    assert held.acts() == [("quarantine retry", "2")]


def test_a_retry_that_moves_nothing_is_an_error(held: Desk) -> None:
    answer = held.run("quarantine", "retry", "1", "--json")
    assert answer.code == 1
    assert answer.json == [
        {
            "entry": 1,
            "became": "unreadable",
            "position": None,
            "detail": "not_utf8: byte 1 is not UTF-8",
        }
    ]
    assert "nothing left the quarantine" in answer.err
    assert held.acts() == []


def test_a_conflict_and_a_repeat_are_told_apart(desk: Desk) -> None:
    with desk.database() as db:
        append(db, event(1), event(1, body=body("event-1", other=True)), unreadable(event(1).body))
    out = desk.run("quarantine", "retry", "--all").out
    assert "entry 1 stays: its event id is stored already with another body" in out
    assert "entry 2 repeats the event at position 1" in out
    assert ids(desk) == [1]


def test_the_limit_of_the_configuration_counts(desk: Desk) -> None:
    with desk.database() as db:
        append(db, unreadable(body("event-1", content="x" * 2000), reason="too_large"))
    small = "[outbox]\nbody_max_bytes = 1024\n"
    desk.config_file.write_text(CONFIG + small, encoding="utf-8")
    assert "outbox.body_max_bytes allows 1024" in desk.run("quarantine", "retry", "1").out
    desk.config_file.write_text(CONFIG, encoding="utf-8")
    assert desk.run("quarantine", "retry", "1").code == 0


def test_a_large_quarantine_is_read_in_several_transactions(desk: Desk) -> None:
    count = 2 * ENTRIES_AT_ONCE + 1
    with desk.database() as db:
        append(db, *(unreadable(body(f"event-{number}")) for number in range(count)))
    results = desk.ask("quarantine", "retry", "--all")
    assert [one["position"] for one in results] == list(range(1, count + 1))
    assert len(desk.acts()) == 3


def test_a_large_quarantine_is_deleted_in_several_transactions(desk: Desk) -> None:
    count = 2 * ENTRIES_AT_ONCE + 1
    with desk.database() as db:
        append(db, *(unreadable(b"%d" % number) for number in range(count)))
    answer = desk.run("quarantine", "discard", "--all", "--yes")
    assert answer.out == f"deleted {count} entries\n"
    assert ids(desk) == []
    assert [detail for _, detail in desk.acts()] == [
        "20, from 1 to 20",
        "20, from 21 to 40",
        "1, from 41 to 41",
    ]


@pytest.mark.parametrize("command", ["retry", "discard"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say which entries"),
        (["1", "--all"], "say which entries"),
        (["1", "--source", "other"], "go with --all"),
        (["2", "9"], "there is no entry 9"),
        (["--all", "--source", "nobody"], "no source 'nobody'"),
        (["--all", "--source", "customerio", "--reason", "odd"], "no entry fits"),
    ],
)
def test_what_is_meant_must_be_clear(
    held: Desk, command: str, arguments: list[str], said: str
) -> None:
    answer = held.run("quarantine", command, *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert ids(held) == [1, 2, 3]


def test_deleting_wants_a_yes_and_is_written_down(held: Desk) -> None:
    assert held.run("quarantine", "discard", "1", "3").code == 2
    assert ids(held) == [1, 2, 3]
    answer = held.run("quarantine", "discard", "1", "3", "--yes")
    assert (answer.code, answer.out) == (0, "deleted 2 entries\n")
    assert ids(held) == [2]
    assert held.acts() == [("quarantine discard", "2, from 1 to 3")]
    assert json.loads(held.run("status", "--json").out)["quarantine"] == 1

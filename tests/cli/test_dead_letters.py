"""Dead letters are found, shown, retried, given up and exported, and never by accident."""

from __future__ import annotations

import io
import json

import pytest

from streamer.cli import dead_letters as dead_letters_command
from streamer.cli.dead_letters import export_lines
from streamer.core.times import rfc3339
from streamer.store import dead_letters, sqlite
from tests.cli.desk import CONFIG, Desk
from tests.store.build import NOW, append, body, burial, event, read_all


class Terminal(io.StringIO):
    """Standard input with a person at it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def letters(desk: Desk) -> Desk:
    """Five events; the hook refused 2, 3 and 5 for two reasons, the archive refused 2."""
    with desk.database() as db:
        append(db, *(event(number) for number in range(1, 6)))
        stored = read_all(db)
        db.execute("UPDATE cursors SET position = 5")
        dead_letters.bury(db, "hook", [burial(stored[1]), burial(stored[2])], now=NOW)
        dead_letters.bury(db, "hook", [burial(stored[4], "http_422")], now=NOW)
        dead_letters.bury(db, "archive", [burial(stored[1], "unredactable")], now=NOW)
    return desk


def states(desk: Desk) -> list[str]:
    """Return the letters' states, in the order of their numbers."""
    return [state for (state,) in desk.query("SELECT state FROM dead_letters ORDER BY id")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [1, 2, 3, 4]),
        (["--destination", "hook"], [1, 2, 3]),
        (["--reason", "http_422"], [3]),
        (["--state", "discarded"], []),
        (["--state", "any", "--limit", "1"], [4]),
    ],
)
def test_letters_are_listed_by_destination_reason_and_state(
    letters: Desk, options: list[str], expected: list[int]
) -> None:
    assert [one["id"] for one in letters.ask("dead-letters", "list", *options)] == expected


def test_a_list_for_people_names_the_reason_and_no_body(letters: Desk) -> None:
    out = letters.run("dead-letters", "list").out
    assert "http_422" in out
    assert "the answer was no" in out
    assert "@example.com" not in out
    assert letters.run("dead-letters", "list", "--state", "closed").code == 2


def test_a_letter_is_shown_with_its_event(letters: Desk) -> None:
    out = letters.run("dead-letters", "show", "3").out
    assert "Dead letter   3 of hook, open" in out
    assert "Buried        2026-09-21 14:13:20 UTC after 2 attempts" in out
    assert '"recipient": "5@example.com"' in out
    shown = letters.ask("dead-letters", "show", "3")
    assert shown["body"] == json.loads(event(5).body)
    assert (shown["reason"], shown["buried_at"]) == ("http_422", rfc3339(NOW))


def test_a_letter_that_is_not_there_is_a_wrong_use(letters: Desk) -> None:
    answer = letters.run("dead-letters", "show", "9")
    assert (answer.code, answer.out) == (2, "")
    assert "there is no dead letter 9" in answer.err


def test_a_retry_is_one_replay_for_each_destination(letters: Desk) -> None:
    started = letters.ask("dead-letters", "retry", "--all")
    assert started == [
        {"replay": 1, "destination": "hook", "events": 3},
        {"replay": 2, "destination": "archive", "events": 1},
    ]
    assert states(letters) == ["retrying"] * 4
    rows = letters.query("SELECT kind, positions, from_position, to_position FROM replays")
    assert rows == [("dead_letters", "[2, 3, 5]", 2, 5), ("dead_letters", "[2]", 2, 2)]


def test_a_retry_of_very_many_is_several_replays_each_in_a_transaction_of_its_own(
    letters: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters_command, "REPLAY_PICKED_EVENTS_MAX", 2)
    started = letters.ask("dead-letters", "retry", "--all", "--destination", "hook")
    assert [one["events"] for one in started] == [2, 1]
    assert letters.query("SELECT positions FROM replays ORDER BY id") == [("[2, 3]",), ("[5]",)]
    assert states(letters) == ["retrying"] * 3 + ["open"]


def test_a_retry_of_some_leaves_the_others(letters: Desk) -> None:
    answer = letters.run("dead-letters", "retry", "3", "1", "1")
    assert answer.code == 0
    assert "replay 1 sends 2 dead letters to hook again" in answer.out
    assert "streamer replay list" in answer.out
    assert states(letters) == ["retrying", "open", "retrying", "open"]


def test_a_retry_by_reason_takes_only_those(letters: Desk) -> None:
    letters.ask("dead-letters", "retry", "--all", "--reason", "http_422")
    assert states(letters) == ["open", "open", "retrying", "open"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say which dead letters"),
        (["1", "--all"], "say which dead letters"),
        (["1", "--reason", "http_400"], "go with --all"),
        (["1", "77"], "there is no dead letter 77"),
        (["--all", "--reason", "other"], "no dead letter fits"),
    ],
)
@pytest.mark.parametrize("command", ["retry", "discard", "export"])
def test_what_is_meant_must_be_clear(
    letters: Desk, command: str, arguments: list[str], said: str
) -> None:
    answer = letters.run("dead-letters", command, *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert states(letters) == ["open"] * 4
    assert letters.acts() == []


def test_a_letter_under_way_is_not_sent_twice(letters: Desk) -> None:
    letters.run("dead-letters", "retry", "1")
    answer = letters.run("dead-letters", "retry", "1", "2")
    assert answer.code == 2
    assert "dead letter 1 is not open, it is retrying" in answer.err
    assert states(letters) == ["retrying", "open", "open", "open"]


def test_nothing_is_retried_to_a_destination_that_is_gone_or_must_not_get_it(
    letters: Desk,
) -> None:
    letters.config_file.write_text(CONFIG.partition("[destinations.hook]")[0], encoding="utf-8")
    answer = letters.run("dead-letters", "retry", "1")
    assert answer.code == 2
    assert "'hook' is not in the configuration" in answer.err
    letters.config_file.write_text(CONFIG, encoding="utf-8")
    letters.query("UPDATE destinations SET exclude = '[\"email.sent\"]' WHERE name = 'hook'")
    answer = letters.run("dead-letters", "retry", "1")
    assert answer.code == 2
    assert "hook is set not to get email.sent any more" in answer.err
    assert states(letters) == ["open"] * 4


def test_giving_up_wants_a_yes_and_is_written_down(letters: Desk) -> None:
    answer = letters.run("dead-letters", "discard", "--all", "--destination", "hook")
    assert answer.code == 2
    assert "--yes" in answer.err
    assert states(letters) == ["open"] * 4
    answer = letters.run("dead-letters", "discard", "--all", "--destination", "hook", "--yes")
    assert (answer.code, answer.out) == (0, "discarded 3 dead letters\n")
    assert states(letters) == ["discarded"] * 3 + ["open"]
    assert letters.acts() == [("dead-letters discard", "3 dead letters (3 of hook): 1 2 3")]


def test_very_many_are_given_up_in_several_transactions_and_all_are_named_in_the_book(
    letters: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters_command, "LETTERS_AT_ONCE", 2)
    answer = letters.run("dead-letters", "discard", "--all", "--yes")
    assert answer.out == "discarded 4 dead letters\n"
    assert states(letters) == ["discarded"] * 4
    assert letters.acts() == [
        ("dead-letters discard", "2 dead letters (2 of hook): 1 2"),
        ("dead-letters discard", "2 dead letters (1 of hook, 1 of archive): 3 4"),
    ]


@pytest.mark.parametrize(
    ("typed", "code", "state"), [("y\n", 0, "discarded"), ("\n", 2, "open"), ("", 2, "open")]
)
def test_a_person_is_asked_and_only_a_yes_counts(
    letters: Desk, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, state: str
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    answer = letters.run("dead-letters", "discard", "4")
    assert answer.code == code
    assert "Give up 1 dead letter (1 of archive) for good? [y/N]" in answer.err
    assert states(letters)[3] == state


def test_an_export_is_one_line_for_each_letter_with_its_cloudevent(letters: Desk) -> None:
    lines = letters.run("dead-letters", "export", "--all", "--destination", "hook").out.splitlines()
    exported = [json.loads(line) for line in lines]
    assert [one["id"] for one in exported] == [1, 2, 3]
    assert exported[2]["reason"] == "http_422"
    assert exported[2]["event"]["id"] == "event-5"
    assert exported[2]["event"]["type"] == "io.customer.email.sent"
    assert exported[2]["event"]["data"] == json.loads(event(5).body)


def test_an_export_that_is_read_slowly_neither_keeps_the_log_nor_minds_what_goes_meanwhile(
    letters: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters_command, "EXPORT_EVENTS", 2)
    reader = sqlite.open_reader(letters.path)
    lines = export_lines(reader, dead_letters.list_letters(reader), raw=False)
    exported = [json.loads(next(lines))["id"]]
    with letters.database() as db:
        dead_letters.discard(db, [3], now=NOW)
        db.execute("DELETE FROM outbox WHERE position = 5")
        busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    exported += [json.loads(line)["id"] for line in lines]
    reader.close()
    assert (busy, exported) == (0, [1, 2, 4])


def test_a_raw_export_has_the_body_and_stays_on_one_line(desk: Desk) -> None:
    raw = body("event-1").replace(b", ", b",\r\n").replace(b"{}", b'{"n": 1.500}')
    with desk.database() as db:
        append(db, event(1, body=raw))
        db.execute("UPDATE cursors SET position = 1")
        dead_letters.bury(db, "hook", [burial(read_all(db)[0])], now=NOW)
    (line,) = desk.run("dead-letters", "export", "1", "--raw").out.splitlines()
    assert json.loads(line)["event"] == json.loads(raw)
    assert "1.500" in line

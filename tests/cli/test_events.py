"""Events are listed without their bodies, and one is shown with its whole story."""

from __future__ import annotations

import json

import pytest

from streamer.cli.wording import moment_text
from streamer.core.settlement import Progress
from streamer.core.times import rfc3339
from streamer.store import dead_letters, replays
from streamer.store.cursors import CursorState
from tests.cli.desk import Desk
from tests.store.build import (
    NOW,
    accept,
    append,
    body,
    burial,
    event,
    only_cursor,
    read_all,
    unreadable,
)
from tests.support.service import run_command


@pytest.fixture
def filled(desk: Desk) -> Desk:
    """Four events; the archive took the first two, the hook is to be sent them all."""
    with desk.database() as db:
        append(db, *(event(number, received_at=NOW + number * 1000) for number in range(1, 5)))
        accept(
            db, only_cursor(db, "archive"), read_all(db)[:2], receipts={1: "r-1"}, now=NOW + 9000
        )
    return desk


def test_a_list_shows_the_newest_last_and_no_body(filled: Desk) -> None:
    answer = filled.run("events", "list", "--limit", "2")
    lines = answer.out.splitlines()
    assert lines[0].split()[:2] == ["POSITION", "RECEIVED"]
    assert [line.split()[0] for line in lines[1:]] == ["3", "4"]
    assert "event-4" in lines[2]
    assert "@example.com" not in answer.out


def test_the_list_as_json_tells_what_is_known_without_the_body(filled: Desk) -> None:
    (one,) = filled.ask("events", "list", "--after", "3")
    assert one == {
        "position": 4,
        "source": "customerio",
        "event_id": "event-4",
        "type": "email.sent",
        "occurred_at": rfc3339(NOW),
        "received_at": rfc3339(NOW + 4000),
        "body_bytes": len(event(4).body),
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--since", rfc3339(NOW + 3000)], [3, 4]),
        (["--until", rfc3339(NOW + 2000)], [1]),
        (["--type", "sms.*", "--type", "email.*", "--limit", "1"], [4]),
        (["--type", "sms.*"], []),
        (["--since", moment_text(rfc3339(NOW + 3000))], [3, 4]),
        (["--since", "2000w"], [1, 2, 3, 4]),
        (["--since", "1s"], []),
        (["--until", "1s"], [1, 2, 3, 4]),
        (["--undelivered", "archive", "--type", "email.sent"], [3, 4]),
        (["--person", "3@Example.com"], [3]),
        (["--person", "3"], []),
    ],
)
def test_a_list_is_narrowed_by_options(
    filled: Desk, options: list[str], expected: list[int]
) -> None:
    assert [one["position"] for one in filled.ask("events", "list", *options)] == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--since", "yesterday"], "--since 'yesterday' is no time"),
        (["--limit", "0"], "--limit is a number from 1"),
        (["--since", "1h", "--until", "2h"], "--since lies behind --until"),
        (["--since", "2026-01-01", "--until", "2026-01-01"], "--since is --until"),
        (["--since", "99999999999999d"], "is no time"),
        (["--source", "custmerio"], "Did you mean customerio?"),
        (["--undelivered", "archiv"], "Did you mean archive?"),
    ],
)
def test_a_list_that_makes_no_sense_is_a_wrong_use(
    filled: Desk, options: list[str], said: str
) -> None:
    answer = filled.run("events", "list", *options)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


def test_an_empty_outbox_is_said_so(desk: Desk) -> None:
    assert desk.run("events", "list").out.startswith("No events are kept: `streamer send-sample`")
    assert desk.run("events", "list", "--type", "sms.*").out == "No event fits.\n"


def test_one_event_is_shown_with_what_each_destination_made_of_it(filled: Desk) -> None:
    answer = filled.run("events", "show", "event-2")
    assert "Position   2" in answer.out
    assert '"recipient": "2@example.com"' in answer.out
    lines = answer.out.splitlines()
    archive = lines.index("archive: accepted")
    assert lines[archive + 1] == "  accepted 2026-09-21 14:13:29 UTC, attempt 1, receipt r-1"
    assert "hook: pending, 1 event before it (ready)" in lines


def test_an_event_is_found_by_its_position_too(filled: Desk) -> None:
    assert filled.ask("events", "show", "2") == filled.ask("events", "show", "event-2")


def test_an_id_of_digits_is_an_id_before_it_is_a_position(filled: Desk) -> None:
    with filled.database() as db:
        append(db, event("x", event_id="1"))
    assert filled.ask("events", "show", "1")["position"] == 5


def test_the_json_of_an_event_has_its_body_and_its_stories(filled: Desk) -> None:
    with filled.database() as db:
        stored = read_all(db)
        state = CursorState("waiting", 2, NOW, NOW + 60_000, "http_503: later")
        accept(db, only_cursor(db, "hook"), stored[1:2], progress=Progress(2), state=state)
        dead_letters.bury(db, "hook", [burial(stored[0])], now=NOW)
    first, third = filled.ask("events", "show", "1"), filled.ask("events", "show", "3")
    assert first["body"] == json.loads(event(1).body)
    assert first["destinations"]["archive"]["acceptances"] == [
        {
            "first_at": rfc3339(NOW + 9000),
            "last_at": rfc3339(NOW + 9000),
            "attempt": 1,
            "replay": None,
            "receipt": "r-1",
            "certain": True,
        }
    ]
    hook = first["destinations"]["hook"]
    assert hook["fate"] == "dead_letter"
    assert (hook["dead_letter"]["id"], hook["dead_letter"]["reason"]) == (1, "http_400")
    pending = third["destinations"]["hook"]
    assert (pending["fate"], pending["attempt"]) == ("pending", 2)
    assert pending["next_attempt_at"] == rfc3339(NOW + 60_000)
    assert pending["last_error"] == "http_503: later"


def test_a_dead_letter_and_its_replay_are_told_in_words(filled: Desk) -> None:
    with filled.database() as db:
        db.execute("UPDATE cursors SET position = 4")
        dead_letters.bury(db, "hook", [burial(read_all(db)[0])], now=NOW)
    out = filled.run("events", "show", "1").out
    assert "hook: refused for good, dead letter 1: http_400" in out
    assert "dead letter 1 (open) since 2026-09-21 14:13:20 UTC after 2 attempts: http_400" in out
    with filled.database() as db:
        request = replays.Request("hook", 1, 1, positions=(1,), letter_ids=(1,))
        replays.start(db, request, events=1, now=NOW)
    out = filled.run("events", "show", "1").out
    assert "hook: being retried, dead letter 1" in out
    assert "  replay 1 will send it" in out
    with filled.database() as db:
        db.execute("UPDATE dead_letters SET state = 'discarded', closed_at = ?", (NOW,))
    assert "hook: given up by an operator, dead letter 1" in filled.run("events", "show", "1").out


def test_what_the_filter_leaves_out_is_said_so(desk: Desk) -> None:
    with desk.database() as db:
        append(db, event(1, metric="opened"))
    assert "hook: left out by its filter" in desk.run("events", "show", "1").out


def test_raw_is_the_body_as_it_came_and_nothing_else(desk: Desk) -> None:
    raw = b'{"event_id" : "event-1",\r\n "n": 1.50, "t": "Gr\xc3\xbc\xc3\x9fe"}\n'
    with desk.database() as db:
        append(db, event(1, body=raw))
    arguments = ("events", "show", "1", "--raw", "--config", str(desk.config_file))
    assert run_command(*arguments).stdout == raw.decode().replace("\r\n", "\n")
    assert desk.run("events", "show", "1", "--raw").out == raw.decode()
    assert desk.run("events", "show", "1", "--json").out.count("1.50") == 1


def test_an_event_that_is_only_in_quarantine_is_found_there(desk: Desk) -> None:
    with desk.database() as db:
        append(db, unreadable(b'{"event_id":"odd', event_id="odd"))
    answer = desk.run("events", "show", "odd")
    assert answer.code == 0
    assert "only in quarantine: entry 1, not_json" in answer.out
    found = desk.ask("events", "show", "odd")
    assert (found["position"], found["destinations"]) == (None, {})
    assert [entry["id"] for entry in found["quarantine"]] == [1]
    raw = desk.run("events", "show", "odd", "--raw")
    assert (raw.code, raw.out) == (2, "")
    assert "streamer quarantine show 1" in raw.err


def test_an_id_that_came_with_another_body_names_that_too(filled: Desk) -> None:
    with filled.database() as db:
        append(db, event(1, body=body("event-1", other=True)))
        append(db, unreadable(b"{", source="other", event_id="event-1"))
    assert "also in quarantine: entry 1, id_conflict" in filled.run("events", "show", "1").out
    assert [one["id"] for one in filled.ask("events", "show", "1")["quarantine"]] == [1]


def test_an_unknown_event_is_a_wrong_use_that_says_so(filled: Desk) -> None:
    for wanted in ("nothing", "99", "9" * 40):
        answer = filled.run("events", "show", wanted)
        assert answer.code == 2
        assert f"there is no event '{wanted}'" in answer.err


def test_an_id_of_two_sources_wants_to_know_which(filled: Desk) -> None:
    with filled.database() as db:
        append(db, event(1, source="other"))
    answer = filled.run("events", "show", "event-1")
    assert answer.code == 2
    assert "customerio, other" in answer.err
    assert filled.ask("events", "show", "event-1", "--source", "other")["position"] == 5


def test_what_is_undelivered_is_listed_from_the_cursor_on(filled: Desk) -> None:
    def listed(*options: str) -> list[int]:
        return [one["position"] for one in filled.ask("events", "list", *options)]

    assert listed("--undelivered", "hook", "--limit", "2") == [1, 2]
    assert listed("--undelivered", "hook", "--after", "2") == [3, 4]
    filled.query("UPDATE cursors SET position = 4 WHERE destination = 'archive'")
    said = filled.run("events", "list", "--undelivered", "archive").out
    assert said == "archive has settled every event that is kept.\n"

"""``status`` answers at once, with the contract for programs and sentences for people."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamer.cli.status import describe
from streamer.core.times import rfc3339
from streamer.store import alarms, dead_letters, destinations, lockfile, status
from streamer.store.cursors import CursorState
from tests.cli.desk import Desk
from tests.store.build import NOW, accept, append, burial, event, only_cursor, read_all, unreadable
from tests.support.service import ROOT, clean_environment, run_command

HEAVY = ("aiohttp", "aiosqlite", "hypercorn", "quart", "rich", "structlog", "prometheus_client")


def fill(desk: Desk) -> None:
    """Leave a destination waiting with a dead letter, an alarm and something in quarantine."""
    with desk.database() as db:
        append(db, *(event(number) for number in range(1, 5)), unreadable(b"{"))
        stored = read_all(db)
        waiting = CursorState("waiting", 3, NOW, NOW + 60_000, "http_503: try later")
        accept(db, only_cursor(db, "hook"), stored[:1], state=waiting)
        dead_letters.bury(db, "hook", [burial(stored[0])], now=NOW)
        alarms.note(db, "STR-301", "hook", "it refuses us", times=2, now=NOW)


def test_the_json_is_the_contract(desk: Desk) -> None:
    fill(desk)
    found = desk.ask("status")
    assert set(found) >= {"outbox", "destinations", "sources", "quarantine", "alarms"}
    assert found["outbox"]["first_position"] == 1
    assert found["outbox"]["last_position"] == 4
    assert found["outbox"]["events"] == 4
    assert found["outbox"]["bytes"] > 0
    hook = found["destinations"]["hook"]
    assert hook["kind"] == "http"
    assert hook["state"] == "waiting"
    assert (hook["cursor"], hook["lag_events"], hook["attempt"]) == (1, 3, 3)
    assert hook["lag_seconds"] > 0
    assert hook["next_attempt_at"] == rfc3339(NOW + 60_000)
    assert hook["last_error"] == "http_503: try later"
    assert hook["dead_letters"] == 1
    source = found["sources"]["customerio"]
    assert (source["received"], source["duplicates"], source["bad_signatures"]) == (4, 0, 0)
    assert source["last_received_at"] == rfc3339(NOW)
    assert source["last_test_at"] is None
    assert found["quarantine"] == 1
    (alarm,) = found["alarms"]
    assert alarm["code"] == "STR-301"
    assert (alarm["first_at"], alarm["last_at"]) == (rfc3339(NOW), rfc3339(NOW))
    assert found["service_running"] is False


def test_people_read_what_is_wrong_and_what_to_do_about_it(desk: Desk) -> None:
    fill(desk)
    answer = desk.run("status")
    assert answer.code == 0
    assert "hook (http): waiting, 3 events pending, the oldest for " in answer.out
    assert (
        "3 attempts so far, next attempt 2026-09-21 14:14:20 UTC; "
        "at once: `streamer destination resume hook`"
    ) in answer.out
    assert "last error: http_503: try later" in answer.out
    assert "1 dead letter: see `streamer dead-letters list --destination hook`" in answer.out
    assert "Quarantine   1 entry: see `streamer quarantine list`" in answer.out
    assert "STR-301 critical: A destination refuses everything and is held (hook)" in answer.out
    assert "what to do: mend what it says, then `streamer destination resume hook`" in answer.out
    assert f"More on each code: {ROOT / 'docs' / 'operating.md'}" in answer.out


def test_a_quiet_service_is_described_as_quiet(desk: Desk) -> None:
    answer = desk.run("status")
    assert "Service      stopped" in answer.out
    assert "archive (file): ready, nothing pending (cursor 0)" in answer.out
    assert "customerio: 0 events, last call never" in answer.out
    assert answer.out.rstrip().endswith("No alarms")


def test_a_held_lock_is_a_running_service(desk: Desk) -> None:
    with lockfile.hold(desk.data_dir):
        assert desk.ask("status")["service_running"] is True


def test_paused_and_forgotten_destinations_say_how_to_go_on(desk: Desk) -> None:
    with desk.database() as db:
        destinations.pause(db, "hook", now=NOW)
        destinations.retire(db, "archive")
        found = status.read(db, now=NOW)
    said = list(describe(found, running=None))
    assert "  hook (http): paused, nothing pending (cursor 0)" in said
    assert "    go on with `streamer destination resume hook`" in said
    assert "  archive (file): ready, not configured any more, nothing pending (cursor 0)" in said
    assert "    its events are not pruned until `streamer destination forget archive`" in said
    assert said[0] == "Service      not known (ask as its own user)"


def test_what_a_destination_wrote_cannot_steer_the_terminal(desk: Desk) -> None:
    with desk.database() as db:
        append(db, event(1))
        state = CursorState("held", 1, NOW, NOW, "\x1b[2Jgone\nforged line")
        accept(db, only_cursor(db, "hook"), read_all(db), state=state)
    answer = desk.run("status")
    assert "\x1b" not in answer.out
    assert r"\x1b[2Jgone\nforged line" in answer.out


def test_no_database_is_an_error_with_the_next_step(desk: Desk) -> None:
    desk.path.unlink()
    answer = desk.run("status", "--json")
    assert (answer.code, answer.out) == (1, "")
    assert "there is no database" in answer.err
    assert "streamer serve" in answer.err


def test_a_database_of_another_schema_is_not_read(desk: Desk) -> None:
    with desk.database() as db:
        db.execute("PRAGMA user_version = 1")
    assert "streamer db migrate" in desk.run("status").err
    with desk.database() as db:
        db.execute("PRAGMA user_version = 99")
    answer = desk.run("status")
    assert answer.code == 1
    assert "the database has schema 99" in answer.err


def test_a_wrong_configuration_ends_with_78_and_a_wrong_option_with_2(desk: Desk) -> None:
    assert desk.run("status", "--wrong").code == 2
    desk.config_file.write_text("[destinations.x]\nkind = 'nothing'\n", encoding="utf-8")
    assert desk.run("status").code == 78


def test_a_hundred_thousand_pending_events_take_no_longer_than_none(desk: Desk) -> None:
    with desk.database() as db:
        db.execute("BEGIN")
        one = (
            "INSERT INTO outbox (lane_key, received_at, source, event_id, body)"
            " VALUES (0, ?, 's', ?, '{}')"
        )
        db.executemany(one, ((NOW, str(number)) for number in range(100_000)))
        db.execute("UPDATE totals SET outbox_events = 100000, outbox_bytes = 200000")
        db.execute("COMMIT")
    times = []
    found = {}
    for _ in range(3):
        began = time.monotonic()
        found = desk.ask("status")
        times.append(time.monotonic() - began)
    assert found["destinations"]["archive"]["lag_events"] == 100_000
    assert found["destinations"]["hook"]["lag_events"] == 100_000
    assert min(times) < 0.3


def test_a_real_process_prints_one_json_value_and_loads_nothing_heavy(
    desk: Desk, tmp_path: Path
) -> None:
    ended = run_command("status", "--json", "--config", str(desk.config_file), cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["quarantine"] == 0
    script = (
        "import sys; from streamer.cli.commands import app;"
        f"app(['status', '--config', {str(desk.config_file)!r}], result_action='return_value');"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, check=True, env=clean_environment(), text=True,
    )  # fmt: skip
    assert loaded.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["events list", "replay list", "quarantine list", "db status"])
def test_every_list_is_one_json_value(desk: Desk, command: str) -> None:
    assert desk.ask(*command.split()) is not None


@pytest.mark.parametrize(("state", "what"), [("held", "probe"), ("waiting", "attempt")])
def test_who_waits_says_until_when_and_how_not_to(desk: Desk, state: str, what: str) -> None:
    with desk.database() as db:
        append(db, event(1))
        db.execute(
            "UPDATE cursors SET state = ?, next_attempt_at = ? WHERE destination = 'hook'",
            (state, NOW + 60_000),
        )
    said = desk.run("status").out
    next_one = f"    next {what} 2026-09-21 14:14:20 UTC; "
    assert f"{next_one}at once: `streamer destination resume hook`\n" in said


def test_a_destination_before_its_first_start_is_known_and_said_not_to_have_begun(
    desk: Desk,
) -> None:
    added = '[destinations.added]\nkind = "stdout"\n'
    desk.config_file.write_text(desk.config_file.read_text() + added)
    assert "added (stdout): configured, not started yet" in desk.run("status").out
    found = desk.ask("status")["destinations"]
    assert list(found) == ["added", "archive", "hook"]
    assert (found["added"]["state"], found["added"]["kind"]) == ("not started", "stdout")
    assert "configured, not started yet" in desk.run("destination", "list").out
    assert desk.run("dead-letters", "list", "--destination", "added").code == 0
    for command in (["pause", "added"], ["resume", "added"]):
        answer = desk.run("destination", *command)
        assert (answer.code, answer.out) == (2, "")
        assert "destination 'added' is configured, not started yet" in answer.err
    replay = desk.run("replay", "start", "added", "--all", "--yes")
    assert "configured, not started yet" in replay.err

"""Destinations are paused, resumed, tested and forgotten by name, and never by a slip of it."""

from __future__ import annotations

import socket
from contextlib import nullcontext

import pytest

from streamer.core.alarms import ORPHAN_CURSOR
from streamer.store import alarms, dead_letters, lockfile
from tests.cli.desk import CONFIG, Desk
from tests.store.build import NOW, append, burial, event, read_all

PAUSED = "hook is not paused any more: "
RUNNING = "hook was not paused: "
WITHOUT_HOOK = CONFIG.partition("[destinations.hook]")[0]


def test_the_list_tells_state_lag_and_counters(desk: Desk) -> None:
    with desk.database() as db:
        append(db, event(1))
    desk.run("destination", "pause", "hook")
    found = desk.ask("destination", "list")
    assert {name: one["state"] for name, one in found.items()} == {
        "archive": "ready",
        "hook": "paused",
    }
    assert found["hook"]["lag_events"] == 1
    line = desk.run("destination", "list").out.splitlines()[2]
    assert line.split() == ["hook", "http", "paused", "1", "0", "0"]


def test_pausing_and_resuming_are_written_where_the_service_looks(desk: Desk) -> None:
    answer = desk.run("destination", "pause", "hook")
    assert answer.out == "hook is paused; go on with `streamer destination resume hook`\n"
    (before,) = desk.query("SELECT paused_at, poked FROM destinations WHERE name = 'hook'")
    assert before[0] > NOW
    assert desk.run("destination", "resume", "hook").code == 0
    (after,) = desk.query("SELECT paused_at, poked FROM destinations WHERE name = 'hook'")
    assert after == (None, before[1] + 1)
    assert desk.acts() == [("pause", "hook"), ("resume", "hook")]
    assert desk.query("SELECT paused_at FROM destinations WHERE name = 'archive'") == [(None,)]


@pytest.mark.parametrize(
    ("state", "paused", "runs", "said"),
    [
        ("ready", True, True, f"{PAUSED}it is being drained"),
        ("ready", False, True, f"{RUNNING}it is being drained"),
        ("held", False, True, f"{RUNNING}it is held, and probed now with a few events"),
        ("held", True, True, f"{PAUSED}it is held, and probed now with a few events"),
        ("waiting", False, True, f"{RUNNING}the next attempt is made now"),
        ("held", False, False, f"{RUNNING}it is tried when the service starts"),
    ],
)
def test_resuming_says_what_happens_and_promises_no_more(
    desk: Desk, state: str, *, paused: bool, runs: bool, said: str
) -> None:
    if paused:
        desk.run("destination", "pause", "hook")
    with desk.database() as db:
        next_attempt_at = None if state == "ready" else NOW
        db.execute(
            "UPDATE cursors SET state = ?, next_attempt_at = ? WHERE destination = 'hook'",
            (state, next_attempt_at),
        )
    with lockfile.hold(desk.data_dir) if runs else nullcontext():
        answer = desk.run("destination", "resume", "hook")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(said)


@pytest.mark.parametrize("command", ["pause", "resume", "test", "forget"])
def test_an_unknown_name_is_answered_with_the_one_that_was_meant(desk: Desk, command: str) -> None:
    near = desk.run("destination", command, "archiv")
    assert (near.code, near.out) == (2, "")
    assert "there is no destination 'archiv'" in near.err
    assert "Did you mean archive?" in near.err
    assert "There are archive, hook." in desk.run("destination", command, "zzz").err
    assert desk.acts() == []


def test_a_directory_that_can_be_written_passes_its_test(desk: Desk) -> None:
    answer = desk.run("destination", "test", "archive")
    assert answer.code == 0
    assert all(line.startswith("ok") for line in answer.out.splitlines())
    assert answer.out
    assert all(finding["ok"] for finding in desk.ask("destination", "test", "archive"))


def test_a_directory_that_cannot_be_made_fails_its_test_and_says_what_to_do(desk: Desk) -> None:
    (desk.data_dir / "archive").write_text("a file in its place", encoding="utf-8")
    answer = desk.run("destination", "test", "archive")
    assert answer.code == 1
    assert "FAILED  the directory cannot be written" in answer.out
    assert "Move it away, or set another `directory`." in answer.out
    assert "failed" in answer.err
    as_json = desk.run("destination", "test", "archive", "--json")
    assert as_json.code == 1
    assert not all(finding["ok"] for finding in as_json.json)


def test_a_server_is_connected_to_for_real(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = f"[destinations.hook]\nkind = 'http'\nurl = 'http://127.0.0.1:{port}/events'\n"
        desk.config_file.write_text(WITHOUT_HOOK + url, encoding="utf-8")
        answer = desk.run("destination", "test", "hook")
        assert "ok      the server can be reached" in answer.out
    answer = desk.run("destination", "test", "hook")
    assert answer.code == 1
    assert "FAILED  the server cannot be reached" in answer.out
    assert "See whether it can be reached" in answer.out
    assert "hook: 1 test of 2 failed" in answer.err


def test_a_secret_that_is_missing_is_a_wrong_configuration(desk: Desk) -> None:
    secret = 'signing_key = { env = "NOT_SET_ANYWHERE" }\n'
    desk.config_file.write_text(CONFIG + secret, encoding="utf-8")
    answer = desk.run("destination", "test", "hook")
    assert (answer.code, answer.out) == (78, "")
    assert "NOT_SET_ANYWHERE" in answer.err


def test_the_secrets_of_others_are_not_needed_for_a_test(desk: Desk) -> None:
    """The source's key file does not exist here, and neither does the hook's variable."""
    secret = 'signing_key = { env = "NOT_SET_ANYWHERE" }\n'
    desk.config_file.write_text(CONFIG + secret, encoding="utf-8")
    assert desk.run("destination", "test", "archive").code == 0


def test_what_is_configured_is_not_forgotten(desk: Desk) -> None:
    answer = desk.run("destination", "forget", "hook", "--yes")
    assert answer.code == 2
    assert "still in the configuration" in answer.err
    assert len(desk.query("SELECT * FROM destinations")) == 2


def test_forgetting_says_first_what_is_lost_and_wants_a_yes(desk: Desk) -> None:
    with desk.database() as db:
        append(db, *(event(number) for number in range(1, 5)))
        db.execute("UPDATE cursors SET position = 1")
        dead_letters.bury(db, "hook", [burial(read_all(db)[0])], now=NOW)
        for name in ("archive", "hook"):
            alarms.note(db, ORPHAN_CURSOR.code, name, "it keeps events", times=1, now=NOW)
    desk.config_file.write_text(WITHOUT_HOOK, encoding="utf-8")
    assert desk.run("destination", "forget", "hook").code == 2
    assert len(desk.query("SELECT * FROM destinations")) == 2
    answer = desk.run("destination", "forget", "hook", "--yes")
    assert answer.code == 0
    assert answer.out == "forgot hook: let go of 3 unsettled events and 1 dead letter\n"
    assert desk.query("SELECT name FROM destinations") == [("archive",)]
    assert desk.query("SELECT * FROM cursors WHERE destination = 'hook'") == []
    assert desk.query("SELECT * FROM dead_letters") == []
    standing = desk.query("SELECT subject FROM alarms WHERE cleared_at IS NULL")
    assert standing == [("archive",)], "nothing is said of what is not known any more"
    assert desk.acts() == [("forget", "hook")]


def test_a_running_service_must_know_first_that_the_destination_is_gone(desk: Desk) -> None:
    """It drains by the configuration that it read last."""
    desk.config_file.write_text(WITHOUT_HOOK, encoding="utf-8")
    with lockfile.hold(desk.data_dir):
        answer = desk.run("destination", "forget", "hook", "--yes")
        assert answer.code == 2
        assert "reload the service" in answer.err
        desk.query("UPDATE destinations SET configured = 0 WHERE name = 'hook'")
        assert desk.run("destination", "forget", "hook", "--yes").code == 0

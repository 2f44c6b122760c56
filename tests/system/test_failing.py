"""A part that dies takes no call with it: the service stops as a signal stops it, and says why."""

from __future__ import annotations

import json
import resource
import signal
import sqlite3
from typing import Any

import pytest

from tests.support.processes import Installation, Process, ask, eventually
from tests.support.recording_destination import RecordingDestination, always
from tests.support.serial_sender import SerialSender
from tests.system.half_sent import half_sent

DRAIN_DIES = "PRAGMA legacy_alter_table = ON; ALTER TABLE outbox RENAME COLUMN lane_key TO lost"
CONTROL_DIES = "INSERT INTO destinations (name, kind, include) VALUES ('odd', 'file', '{}')"


def body(number: int) -> bytes:
    return b'{"event_id":"event-%d","object_type":"email","metric":"sent"}' % number


def damage(installation: Installation, script: str) -> None:
    """Do what nobody should: write to the database beside the running service."""
    connection = sqlite3.connect(installation.database, isolation_level=None)
    connection.executescript(script)
    connection.close()


def lines(installation: Installation) -> list[dict[str, Any]]:
    """Read the log, every line of which must be JSON: no traceback, no banner."""
    return [json.loads(line) for line in installation.log().splitlines()]


def the_failure(installation: Installation) -> dict[str, Any]:
    """Return the one line at level critical."""
    [line] = [line for line in lines(installation) if line["level"] == "critical"]
    assert line["event"] == "service.failed"
    assert line["hint"]
    return line


def started(installation: Installation, sender: SerialSender) -> Process:
    """Start it and let it settle an event."""
    process = installation.start()
    sender.send(1, body(1))
    eventually(lambda: installation.is_drained("archive"), "the first event is settled")
    return process


@pytest.mark.parametrize(
    ("script", "part"),
    [(DRAIN_DIES, "the drain of archive"), (CONTROL_DIES, "the look at the control rows")],
)
def test_a_loop_that_dies_ends_the_process_and_is_named_in_one_line(
    installation: Installation, sender: SerialSender, script: str, part: str
) -> None:
    process = started(installation, sender)
    damage(installation, script)
    assert process.wait(15) == 1
    failure = the_failure(installation)
    assert failure["part"] == part
    assert failure["raised"].startswith(f"{failure['exception']} at ")
    last = lines(installation)[-1]
    assert (last["event"], last["reason"]) == ("service.stopped", f"{part} failed")


def test_a_call_under_way_when_a_loop_dies_is_answered(
    installation: Installation, sender: SerialSender
) -> None:
    process = started(installation, sender)
    with half_sent(installation, body(2)) as finish:
        damage(installation, CONTROL_DIES)
        eventually(lambda: "service.leaving" in installation.log(), "it leaves")
        finish()
    assert process.wait(15) == 1
    assert ("event-2",) in installation.query("SELECT event_id FROM outbox")
    the_failure(installation)


def test_a_writer_that_dies_answers_503_to_the_end_and_nobody_waits_for_it(
    installation: Installation, sender: SerialSender
) -> None:
    """One destination always has something to write down, which nobody can any more."""
    with RecordingDestination(always(503)) as hook:
        installation.configure(
            f'{installation.file_destination()}[destinations.hook]\nkind = "http"\n'
            f'url = "{hook.url}"\nbackoff_base_seconds = 0.05\nbackoff_max_seconds = 1\n',
            server="graceful_seconds = 30",
        )
        process = started(installation, sender)
        log_bytes = installation.database.with_name("streamer.db-wal").stat().st_size
        # Nothing can be written beyond the log's present end: to SQLite an I/O error.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (log_bytes, log_bytes))
        answers = []
        for number in range(2, 10_000):
            answers.append(sender.once(body(number)))
            if "service.leaving" in installation.log():
                break
        answers.append(sender.once(body(10_000)))
        assert process.wait(15) == 1
    assert answers[-1] == "status 503"
    assert set(answers) <= {None, "status 503"}
    failure = the_failure(installation)
    assert (failure["part"], failure["exception"]) == ("the writer", "StoreDamaged")
    assert "STR-206" in failure["hint"]
    stored = installation.query("SELECT event_id FROM outbox")
    assert len(stored) == answers.count(None) + 1, "what was answered 200, and nothing else"


def test_what_fails_at_the_start_is_one_line_too(
    installation: Installation, sender: SerialSender
) -> None:
    process = started(installation, sender)
    assert process.stop() == 0
    damage(installation, CONTROL_DIES)
    before = len(lines(installation))
    assert installation.start().wait(15) == 1
    failures = [line for line in lines(installation)[before:] if line["level"] == "critical"]
    assert [line["part"] for line in failures] == ["starting or stopping"]


def test_a_signal_after_a_failure_does_not_make_it_look_like_a_stop(
    installation: Installation, sender: SerialSender
) -> None:
    process = started(installation, sender)
    damage(installation, DRAIN_DIES)
    eventually(lambda: "service.leaving" in installation.log(), "it leaves")
    process.signal(signal.SIGTERM)
    assert ask(installation.port, "/livez")[0] == 200
    assert process.wait(15) == 1


def test_a_refused_settlement_holds_one_destination_and_no_other(
    installation: Installation, sender: SerialSender
) -> None:
    installation.configure(installation.file_destination() + installation.file_destination("copy"))
    process = installation.start()
    sender.send(1, body(1))
    eventually(lambda: installation.is_drained("archive", "copy"), "the first event is settled")
    damage(
        installation,
        "CREATE TRIGGER refuse BEFORE UPDATE OF accepted ON destinations WHEN new.name = 'copy'"
        " BEGIN SELECT raise(ABORT, 'it does not fit'); END",
    )
    sender.send(2, body(2))
    eventually(lambda: installation.is_drained("archive"), "the other one goes on")

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(installation.command("status", "--json").stdout)
        return found if any(one["code"] == "STR-309" for one in found["alarms"]) else {}

    status = eventually(shown, "the alarm is shown")
    assert {one["subject"] for one in status["alarms"] if one["code"] == "STR-309"} == {"copy"}
    assert status["destinations"]["archive"]["state"] == "ready"
    assert status["destinations"]["copy"]["state"] == "held"
    assert status["destinations"]["copy"]["lag_events"] == 1
    damage(installation, "DROP TRIGGER refuse")
    assert installation.command("destination", "resume", "copy").returncode == 0
    eventually(lambda: installation.is_drained("copy"), "it is settled after all")
    assert process.stop() == 0
    assert [line["id"] for line in installation.archived("copy")] == ["event-1", "event-2"]

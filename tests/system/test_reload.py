"""What a reload must not do: end the service, forget a pause, or be half done."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Installation, Process, eventually
from tests.support.recording_destination import RecordingDestination
from tests.support.serial_sender import SerialSender

HOOK = '[destinations.hook]\nkind = "http"\nurl = "http://127.0.0.1:9/x"\n'


def body(number: int) -> bytes:
    return b'{"event_id":"event-%d","object_type":"email","metric":"sent"}' % number


def lines(installation: Installation, event: str) -> list[dict[str, Any]]:
    """Return what the log says under a name."""
    every = [json.loads(line) for line in installation.log().splitlines()]
    return [line for line in every if line["event"] == event]


def reload(installation: Installation, process: Process, said: str = "reload.done") -> None:
    """Reload, and wait for what comes of it."""
    before = len(lines(installation, said))
    process.signal(signal.SIGHUP)
    eventually(lambda: len(lines(installation, said)) > before, said)


REFUSED = {
    "a header that we set": HOOK + 'headers = { webhook-x = "1" }\n',
    "authorities that are not there": HOOK + 'ca_file = "/nonexistent.pem"\n',
    "authorities that are none": HOOK + 'ca_file = "{directory}/words"\n',
    "a token that no header can carry": HOOK + 'bearer_token = { file = "{directory}/words" }\n',
    "a key that is none": HOOK + 'signing_key = { file = "{directory}/words" }\n',
    "a secret that is not there": HOOK + 'signing_key = { file = "{directory}/missing" }\n',
    "a name that is none": '[destinations."-x"]\nkind = "stdout"\n',
    "a kind that is none": '[destinations.x]\nkind = "fil"\n',
    "one directory twice": (
        '[destinations.other]\nkind = "file"\ndirectory = "{directory}/./archive"\n'
    ),
    "no table at all": "[[",
}


def test_whatever_check_refuses_a_reload_refuses_and_the_old_configuration_stays(
    installation: Installation, sender: SerialSender
) -> None:
    """One process for all: whatever ended it would be noticed by the next."""
    process = installation.start()
    process.wait_ready()
    good = installation.config_file.read_text()
    (installation.directory / "words").write_text("whsec_!!! two words\n")
    for number, (what, section) in enumerate(REFUSED.items()):
        text = section.replace("{directory}", str(installation.directory))
        installation.config_file.write_text(f"{good}\n{text}")
        assert installation.command("check").returncode == 78, what
        sender.send(number, body(number))
        reload(installation, process, "reload.refused")
        refusal = lines(installation, "reload.refused")[-1]
        assert refusal["error"], what
        assert "\n" not in json.dumps(refusal["error"]) + str(refusal.get("problems")), what
    # An empty key would let anybody sign, so the whole is refused for the source's sake too.
    installation.config_file.write_text(good)
    (installation.directory / "key").write_bytes(b"")
    assert installation.command("check").returncode == 78
    reload(installation, process, "reload.refused")
    sender.send(99, body(99))
    eventually(lambda: len(installation.archived()) == len(REFUSED) + 1, "it drains as before")
    names = installation.query("SELECT name FROM destinations WHERE configured")
    assert names == [("archive",)]
    assert process.stop() == 0
    assert not sender.failures


def test_a_database_that_cannot_be_written_refuses_a_reload_and_nothing_has_changed(
    installation: Installation, sender: SerialSender
) -> None:
    process = installation.start()
    sender.send(1, body(1))
    shell = sqlite3.connect(installation.database, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    installation.configure(HOOK)
    reload(installation, process, "reload.refused")
    shell.execute("ROLLBACK")
    shell.close()
    sender.send(2, body(2))
    eventually(lambda: len(installation.archived()) == 2, "the old destination gets events")
    assert process.stop() == 0
    assert not lines(installation, "service.failed")


@pytest.mark.parametrize("way", ["changed", "taken out and put back"])
def test_a_paused_destination_stays_paused_through_a_reload(
    installation: Installation, sender: SerialSender, way: str
) -> None:
    with RecordingDestination() as hook:
        section = HOOK.replace("http://127.0.0.1:9/x", hook.url)
        installation.configure(HOOK)
        process = installation.start()
        process.wait_ready()
        # Until the pause is noticed nothing arrives anyhow: nobody listens on port 9.
        assert installation.command("destination", "pause", "hook").returncode == 0
        for number in range(20):
            sender.send(number, body(number))
        if way != "changed":
            installation.configure()
            reload(installation, process)
        installation.configure(section + "batch_events_max = 50\n")
        reload(installation, process)
        # A second destination that has all of them shows that there was time for the first.
        installation.configure(
            section + "batch_events_max = 50\n" + installation.file_destination()
        )
        reload(installation, process)
        eventually(lambda: installation.is_drained("archive"), "another gets everything")
        assert not hook.deliveries
        assert installation.command("destination", "resume", "hook").returncode == 0
        eventually(lambda: installation.is_drained("hook"), "a resume sends")
        assert process.stop() == 0


def test_what_needs_a_restart_is_said_again_as_long_as_it_does(installation: Installation) -> None:
    process = installation.start()
    process.wait_ready()
    good = installation.config_file.read_text()
    installation.config_file.write_text(good.replace("[server]", "[server]\ndeadline_seconds = 1"))
    reload(installation, process)
    reload(installation, process)
    settings = [line["setting"] for line in lines(installation, "reload.needs_restart")]
    assert settings == ["server.deadline_seconds"] * 2
    installation.config_file.write_text(good)
    reload(installation, process)
    assert len(lines(installation, "reload.needs_restart")) == 2
    assert process.stop() == 0


def test_the_size_of_a_body_is_what_it_was_at_the_start(
    installation: Installation, sender: SerialSender
) -> None:
    installation.configure(installation.file_destination())
    process = installation.start()
    process.wait_ready()
    good = installation.config_file.read_text()
    installation.config_file.write_text(good.replace("[outbox]", "[outbox]\nbody_max_bytes = 1024"))
    reload(installation, process)
    assert [line["setting"] for line in lines(installation, "reload.needs_restart")] == [
        "outbox.body_max_bytes"
    ]
    large = b'{"event_id":"event-1","object_type":"email","metric":"sent","data":"%s"}'
    sender.send(1, large % (b"x" * 2_000))
    assert installation.query("SELECT reason FROM quarantine") == []
    assert installation.value("SELECT count(*) FROM outbox") == 1
    assert process.stop() == 0


def test_the_last_of_many_reloads_is_what_counts(
    installation: Installation, sender: SerialSender
) -> None:
    process = installation.start()
    process.wait_ready()
    shell = sqlite3.connect(installation.database, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    process.signal(signal.SIGHUP)
    eventually(lambda: lines(installation, "reload.begun"), "the first has read the file")
    installation.configure(installation.file_destination("other"))
    for _ in range(5):
        process.signal(signal.SIGHUP)
    shell.execute("ROLLBACK")
    shell.close()
    eventually(lambda: len(lines(installation, "reload.done")) == 2, "two reloads")
    sender.send(1, body(1))
    eventually(lambda: installation.archived("other"), "the new destination gets it")
    assert process.stop() == 0
    assert len(lines(installation, "reload.begun")) == 2


def test_a_reload_before_it_has_started_is_kept_and_not_deadly(installation: Installation) -> None:
    """The lock is an early sign of it: well before anything is served."""
    lock = installation.data_dir / "streamer.lock"
    process = installation.start()
    while not lines(installation, "service.started"):
        if lock.exists() or _ignores_or_catches(process.pid, signal.SIGHUP):
            process.signal(signal.SIGHUP)
        assert process.popen.poll() is None, installation.log()
    eventually(lambda: lines(installation, "reload.done"), "it was remembered")
    assert process.stop() == 0


def _ignores_or_catches(pid: int, number: signal.Signals) -> bool:
    """Tell whether a signal is deadly: before Python runs our first line, nobody could help it."""
    said = Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = dict(line.split(":\t", 1) for line in said if line.startswith(("SigIgn", "SigCgt")))
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks.values())


def test_an_alarm_of_a_missing_section_ends_with_it(
    installation: Installation, sender: SerialSender
) -> None:
    """It stands only while events are kept, and a section that is back ends it at once."""

    def standing() -> bool:
        return bool(
            installation.query("SELECT 1 FROM alarms WHERE code = 'STR-305' AND cleared_at IS NULL")
        )

    installation.configure(installation.file_destination() + HOOK)
    process = installation.start()
    sender.send(1, body(1))
    eventually(lambda: installation.is_drained("archive"), "it is settled")
    installation.configure()
    reload(installation, process)
    eventually(standing, "one of them keeps an event")
    rows = installation.query("SELECT subject FROM alarms WHERE code = 'STR-305'")
    assert rows == [("hook",)], "the other one has settled everything"
    installation.configure(HOOK)
    reload(installation, process)
    eventually(lambda: not standing(), "it is configured again")
    installation.configure()
    reload(installation, process)
    eventually(standing, "it keeps an event again")
    assert installation.command("destination", "forget", "hook", "--yes").returncode == 0
    eventually(lambda: not standing(), "it is forgotten")
    assert process.stop() == 0


def test_a_stop_while_a_reload_waits_for_a_drain_stops_that_drain_too(
    installation: Installation, sender: SerialSender
) -> None:
    with ExitStack() as held, socket.create_server(("127.0.0.1", 0)) as silent:
        section = HOOK.replace("127.0.0.1:9", f"127.0.0.1:{silent.getsockname()[1]}")
        installation.configure(section, server="graceful_seconds = 0.5")
        process = installation.start()
        sender.send(1, body(1))
        silent.settimeout(10)
        held.enter_context(silent.accept()[0])
        installation.configure(section + "lanes = 2\n", server="graceful_seconds = 0.5")
        process.signal(signal.SIGHUP)
        eventually(lambda: installation.value("SELECT lanes FROM destinations") == 2, "declared")
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert lines(installation, "reload.given_up")
    assert not lines(installation, "service.failed")

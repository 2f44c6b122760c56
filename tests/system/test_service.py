"""The service as a process: what it refuses to start with, how it stops, reloads and recovers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import time
from functools import partial
from pathlib import Path

import pytest

from tests.support.processes import Installation, Process, ask, eventually
from tests.support.recording_destination import RecordingDestination, always
from tests.support.serial_sender import SerialSender
from tests.support.traffic import plan


def body(number: int, text: str = "") -> bytes:
    return (
        b'{"event_id":"event-%d","object_type":"email","metric":"sent","timestamp":1750000000,'
        b'"data":{"subject":"%s"}}' % (number, text.encode())
    )


def http_destination(url: str, extra: str = "") -> str:
    return (
        f'[destinations.hook]\nkind = "http"\nurl = "{url}"\n'
        f"backoff_base_seconds = 0.05\nbackoff_max_seconds = 1\n{extra}\n"
    )


def archive_cursor(installation: Installation) -> int:
    statement = "SELECT max(position) FROM cursors WHERE destination = 'archive'"
    return int(installation.value(statement) or 0)


def moved(installation: Installation, before: int) -> bool:
    return archive_cursor(installation) > before


class TestStarting:
    def test_a_second_service_on_the_same_data_is_refused(self, installation: Installation) -> None:
        first = installation.start()
        first.wait_ready()
        second = installation.command("serve")
        assert second.returncode == 1
        assert f"{installation.data_dir} is in use by process {first.pid}" in second.stderr
        assert "Traceback" not in second.stderr
        assert first.stop() == 0

    @pytest.mark.parametrize("listener", ["server", "admin"])
    def test_a_port_in_use_is_an_error_that_the_service_manager_tries_again(
        self, installation: Installation, listener: str
    ) -> None:
        """With 78 it would leave the service down, and ingest with it, for good."""
        installation.environment[f"STREAMER_{listener.upper()}__BIND"] = (
            f"127.0.0.1:{installation.port}"
        )
        if listener == "admin":
            installation.environment["STREAMER_SERVER__BIND"] = "127.0.0.1:0"
        refused = installation.command("serve")
        assert refused.returncode == 1
        assert f"cannot listen on 127.0.0.1:{installation.port}" in refused.stderr
        assert f"{listener}.bind" in refused.stderr
        assert "Traceback" not in refused.stderr

    def test_every_mistake_in_the_configuration_is_told_at_once(
        self, installation: Installation
    ) -> None:
        installation.configure('[destinations.x]\nkind = "fil"\n', server="dead_line = 3\n")
        refused = installation.command("serve")
        assert refused.returncode == 78
        assert "dead_line" in refused.stderr
        assert "destinations.x" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert not installation.database.exists()

    def test_a_database_of_a_newer_version_is_refused_untouched(
        self, installation: Installation
    ) -> None:
        process = installation.start()
        process.wait_ready()
        assert process.stop() == 0
        with sqlite3.connect(installation.database) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.close()
        refused = installation.command("serve")
        assert refused.returncode not in {0, 2}
        assert "newer" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert installation.value("PRAGMA user_version") == version + 1

    def test_a_destination_that_cannot_be_opened_does_not_stop_ingest(
        self, installation: Installation, sender: SerialSender
    ) -> None:
        installation.archive.write_text("a file where a directory should be")
        with RecordingDestination() as hook:
            installation.configure(installation.file_destination() + http_destination(hook.url))
            process = installation.start()
            sender.send(1, body(1))
            eventually(
                lambda: hook.first_positions(accepted_only=True) == [1], "other drains go on"
            )
            eventually(
                lambda: installation.query(
                    "SELECT 1 FROM cursors WHERE destination = 'archive' AND state = 'waiting'"
                    " AND last_error <> ''"
                ),
                "it waits and says why",
            )
            installation.archive.unlink()
            process.signal(signal.SIGHUP)
            eventually(lambda: installation.is_drained("archive"), "it is mended by a reload")
            assert process.stop() == 0
        assert [line["id"] for line in installation.archived()] == ["event-1"]


class TestFailing:
    def test_below_the_floor_calls_are_refused_until_there_is_room_again(
        self, installation: Installation, sender: SerialSender
    ) -> None:
        good = installation.config_file.read_text()
        installation.config_file.write_text(
            good.replace("ingest_floor_bytes = 1", f"ingest_floor_bytes = {2**50}")
        )
        process = installation.start()
        eventually(lambda: sender.once(body(1)) == "status 503", "the disk is looked at")
        assert ask(installation.port, "/readyz")[0] == 503
        assert ask(installation.port, "/livez")[0] == 200
        installation.config_file.write_text(good)
        process.signal(signal.SIGHUP)
        eventually(lambda: sender.once(body(1)) is None, "calls are taken again")
        assert process.stop() == 0

    @pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
    def test_a_failing_disk_costs_backoffs_and_loses_nothing(
        self, installation: Installation, sender: SerialSender
    ) -> None:
        installation.configure()  # no destination: every sync is the database's
        inject = "inject=fsync,fdatasync:error=EIO:when=30..31"
        trace = ("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", inject)
        process = installation.start(*trace, "-e", "trace=fsync,fdatasync")
        if process.popen.poll() or "ptrace" in installation.log():
            pytest.skip("tracing is not allowed here")
        for number in range(60):
            sender.send(number, body(number))
        assert process.stop() == 0
        # Under tracing on a busy machine a call may also run into the sender's own limit.
        reasons = [failure.reason for failure in sender.failures if failure.reason != "timeout"]
        assert reasons == ["status 503"] * 2
        stored = installation.query("SELECT event_id FROM outbox ORDER BY position")
        assert stored == [(f"event-{number}",) for number in range(60)]
        assert installation.value("PRAGMA integrity_check") == "ok"

    def test_a_foreign_transaction_costs_a_backoff_and_no_hour(
        self, installation: Installation, sender: SerialSender
    ) -> None:
        process = installation.start()
        sender.send(1, body(1))
        shell = sqlite3.connect(installation.database, isolation_level=None)
        shell.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert sender.once(body(2)) == "status 503"
        assert time.monotonic() - began < 4.0
        shell.execute("ROLLBACK")
        shell.close()
        sender.send(2, body(2))
        eventually(lambda: len(installation.archived()) == 2, "both are archived")
        assert process.stop() == 0
        assert not sender.hours_earned


class TestReload:
    def reload(self, installation: Installation, process: Process, said: str) -> None:
        before = installation.log().count(said)
        process.signal(signal.SIGHUP)
        eventually(lambda: installation.log().count(said) > before, said)

    def test_a_new_destination_gets_everything_and_a_removed_one_nothing_more(
        self, installation: Installation, sender: SerialSender
    ) -> None:
        process = installation.start()
        sender.send(1, body(1))
        eventually(lambda: installation.is_drained("archive"), "the first event is settled")
        with RecordingDestination() as hook:
            installation.configure(http_destination(hook.url))
            self.reload(installation, process, "reload.done")
            sender.send(2, body(2))
            eventually(lambda: hook.first_positions(accepted_only=True) == [1, 2], "both arrive")
            assert process.stop() == 0
        assert [line["id"] for line in installation.archived()] == ["event-1"]

    def test_a_new_key_counts_from_the_reload_and_the_old_one_no_more(
        self, installation: Installation, sender: SerialSender
    ) -> None:
        process = installation.start()
        sender.send(1, body(1))
        assert sender.once(body(2), key=b"another-key") == "status 503"
        (installation.directory / "key").write_bytes(b"another-key")
        self.reload(installation, process, "reload.done")
        assert sender.once(body(2), key=b"another-key") is None
        assert sender.once(body(3)) == "status 503"
        assert process.stop() == 0

    @pytest.mark.parametrize("mistake", ["[[", "[server]\nbidn = 1\n", "missing"])
    def test_a_mistake_leaves_the_old_configuration_in_force(
        self, installation: Installation, sender: SerialSender, mistake: str
    ) -> None:
        process = installation.start()
        sender.send(1, body(1))
        if mistake == "missing":
            installation.config_file.unlink()
        else:
            installation.config_file.write_text(mistake)
        self.reload(installation, process, "reload.refused")
        sender.send(2, body(2))
        eventually(lambda: len(installation.archived()) == 2, "it drains as before")
        assert process.stop() == 0
        assert not sender.failures

    def test_reloading_again_and_again_under_load_costs_no_call(
        self, installation: Installation, sender: SerialSender
    ) -> None:
        process = installation.start()
        for number in range(200):
            if number % 10 == 0:
                os.kill(process.pid, signal.SIGHUP) if number else process.wait_ready()
            sender.send(number, body(number))
        eventually(lambda: installation.is_drained("archive"), "all is settled")
        assert process.stop() == 0
        assert not sender.failures
        assert [line["id"] for line in installation.archived()] == [
            f"event-{number}" for number in range(200)
        ]


class TestServiceManager:
    def test_it_says_ready_alive_and_stopping(self, installation: Installation) -> None:
        address = installation.directory / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(address))
            manager.settimeout(15)
            process = installation.start(NOTIFY_SOCKET=str(address), WATCHDOG_USEC="600000")
            heard: list[str] = []
            while heard.count("WATCHDOG=1") < 3:
                heard += manager.recv(4096).decode().split("\n")
            assert heard.index("READY=1") >= 0
            assert "STOPPING=1" not in heard
            process.signal(signal.SIGTERM)
            assert process.wait() == 0
            manager.settimeout(0.1)
            heard.clear()
            while "STOPPING=1" not in heard:
                heard += manager.recv(4096).decode().split("\n")


def test_a_kill_in_the_middle_of_a_backlog_leaves_each_line_once(
    installation: Installation, sender: SerialSender
) -> None:
    installation.configure(http_destination("http://127.0.0.1:9/"))
    process = installation.start()
    calls = [call for call in plan(400, seed=3) if call.kind in {"new", "unknown"}]
    for call in calls:
        sender.send(call.number, call.body)
    assert process.stop() == 0
    installation.configure(installation.file_destination() + "batch_events_max = 5\n")
    for _ in range(3):
        before = archive_cursor(installation)
        process = installation.start()
        eventually(partial(moved, installation, before), "the drain goes on")
        process.signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    process = installation.start()
    eventually(lambda: installation.is_drained("archive"), "all is settled")
    assert process.stop() == 0
    assert [line["id"] for line in installation.archived()] == [call.event_id for call in calls]


def test_an_idle_service_costs_next_to_nothing(installation: Installation) -> None:
    process = installation.start()
    process.wait_ready()
    eventually(lambda: "service.started" in installation.log(), "it has started")
    stat = Path(f"/proc/{process.pid}/stat")
    if not stat.exists():
        pytest.skip("there is no /proc")

    def ticks() -> int:
        fields = stat.read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before, began = ticks(), time.monotonic()
    eventually(lambda: time.monotonic() - began > 2.0, "two seconds have passed")
    share = (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
    assert share < 0.2, f"an idle service uses {share:.0%} of a core"
    assert process.stop() == 0


def test_a_refusing_destination_shows_in_the_status(
    installation: Installation, sender: SerialSender
) -> None:
    with RecordingDestination(always(401)) as hook:
        installation.configure(http_destination(hook.url))
        process = installation.start()
        sender.send(1, body(1))
        eventually(lambda: installation.value("SELECT state FROM cursors") == "held", "it is held")
        assert installation.value("SELECT count(*) FROM dead_letters") == 0
        hook.answer = always(200)
        os.kill(process.pid, signal.SIGHUP)
        eventually(lambda: installation.is_drained("hook"), "a reload tries again at once")
        assert process.stop() == 0

"""How the service stops: no call is cut off, nothing keeps it, and an impatient person is heard."""

from __future__ import annotations

import json
import re
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from streamer.core import limits
from tests.support.processes import KEY, LAME_DUCK_SECONDS, Installation, Manager, eventually
from tests.support.recording_destination import RecordingDestination
from tests.support.serial_sender import SerialSender
from tests.system.half_sent import half_sent


def body(number: int) -> bytes:
    return b'{"event_id":"event-%d","object_type":"email","metric":"sent"}' % number


def http_destination(url: str) -> str:
    return f'[destinations.hook]\nkind = "http"\nurl = "{url}"\n'


def test_a_signal_twice_does_not_cut_calls_off(
    installation: Installation, sender: SerialSender
) -> None:
    # Long enough for the second call to come before it is over, however busy the machine is.
    process = installation.start(STREAMER_SERVER__LAME_DUCK_SECONDS="3")
    sender.send(1, body(1))
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGTERM)
    sender.send(2, body(2))
    assert process.wait() == 0
    assert not sender.failures


def test_an_interrupt_twice_ends_it_at_once(installation: Installation) -> None:
    installation.configure(server="graceful_seconds = 30")
    installation.config_file.write_text(
        installation.config_file.read_text().replace(
            "lame_duck_seconds = 0.3", "lame_duck_seconds = 10"
        )
    )
    process = installation.start()
    process.wait_ready()
    process.signal(signal.SIGINT)
    eventually(lambda: "service.leaving" in installation.log(), "it begins to leave")
    process.signal(signal.SIGINT)
    assert process.wait(5) == -signal.SIGINT
    assert "Traceback" not in installation.log()


def test_a_destination_that_hangs_does_not_keep_it_from_stopping(
    installation: Installation, sender: SerialSender
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        installation.configure(http_destination(url), server="graceful_seconds = 0.5")
        process = installation.start()
        sender.send(1, body(1))
        silent.settimeout(10)
        connection, _ = silent.accept()
        with connection:
            assert process.stop() == 0
    assert installation.value("SELECT position FROM cursors") == 0


def test_a_call_that_is_half_sent_at_a_stop_is_answered(installation: Installation) -> None:
    process = installation.start()
    process.wait_ready()
    with half_sent(installation, body(1)) as finish:
        process.signal(signal.SIGTERM)
        # Long after the lame duck, when no new connection is taken any more.
        eventually(lambda: "service.leaving" in installation.log(), "it leaves")
        left_at = time.monotonic()
        eventually(lambda: time.monotonic() - left_at > 1.0, "the lame duck has passed")
        finish()
    assert process.wait() == 0
    assert installation.query("SELECT event_id FROM outbox") == [("event-1",)]


def more_calls(calls: Callable[[], int]) -> None:
    """Wait until some more calls are answered."""
    served = calls()
    eventually(lambda: calls() > served + 50, "calls are answered")


def wait_for_stops(manager: Manager, stops: int) -> None:
    eventually(lambda: len(manager.exit_codes) == stops, "the process has ended")


def test_eight_senders_with_new_connections_go_through_three_stops(
    installation: Installation,
) -> None:
    stopped = threading.Event()
    senders = [SerialSender(installation.url, KEY) for _ in range(8)]

    def push(sender: SerialSender, first: int) -> None:
        for number in range(first, first + 100_000):
            sender.send(number, body(number))
            sender.close()
            if stopped.is_set():
                return

    def calls() -> int:
        return sum(len(sender.acknowledged) for sender in senders)

    with Manager(installation) as manager:
        threads = [
            threading.Thread(target=push, args=(sender, 100_000 * index))
            for index, sender in enumerate(senders)
        ]
        for thread in threads:
            thread.start()
        for stops in range(1, 4):
            more_calls(calls)
            manager.strike(signal.SIGTERM)
            wait_for_stops(manager, stops)
        more_calls(calls)
        stopped.set()
        for thread in threads:
            thread.join()
    acknowledged = {f"event-{one.number}" for sender in senders for one in sender.acknowledged}
    assert [one for sender in senders for one in sender.hours_earned] == []
    assert set(manager.exit_codes) == {0}
    assert {row[0] for row in installation.query("SELECT event_id FROM outbox")} == acknowledged


@pytest.mark.parametrize("used", [False, True], ids=["new", "kept"])
def test_a_call_on_its_way_when_the_listener_closes_is_answered(
    installation: Installation, *, used: bool
) -> None:
    process = installation.start()
    process.wait_ready()
    sender = SerialSender(installation.url, KEY)
    if used:
        sender.send(1, body(1))
    else:
        sender.connect()
    process.signal(signal.SIGTERM)
    eventually(lambda: "service.leaving" in installation.log(), "it leaves")
    left_at = time.monotonic()
    # Just after the lame duck: nothing new is taken, and what is silent is about to be closed.
    eventually(lambda: time.monotonic() - left_at > LAME_DUCK_SECONDS + 0.2, "it closes")
    sender.send(2, body(2))
    assert process.wait() == 0
    sender.close()
    assert not sender.failures
    assert ("event-2",) in installation.query("SELECT event_id FROM outbox")


def test_a_lock_of_another_program_does_not_keep_it_from_stopping(
    installation: Installation, sender: SerialSender
) -> None:
    """What was delivered and could not be written down is delivered again."""
    held: list[sqlite3.Connection] = []

    def lock(number: int, request: bytes) -> tuple[int, bytes]:
        if number == 0:
            held.append(sqlite3.connect(installation.database, check_same_thread=False))
            held[0].execute("BEGIN IMMEDIATE")
        return 200, b""

    with RecordingDestination(lock) as hook:
        installation.configure(http_destination(hook.url), server="graceful_seconds = 0.5")
        process = installation.start()
        sender.send(1, body(1))
        eventually(lambda: hook.deliveries, "it is delivered")
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0
        said = [json.loads(line) for line in installation.log().splitlines()]
        events = [line["event"] for line in said]
        [given_up] = [line for line in said if line["event"] == "drain.given_up"]
        assert (given_up["destination"], given_up["tracks"]) == ("hook", 1)
        assert "service.commits_given_up" in events
        assert events[-1] == "service.stopped"
        assert said[-1]["pending"] == {"hook": 1}
        assert "critical" not in {line["level"] for line in said}
        held[0].rollback()
        held[0].close()
        following = installation.start()
        eventually(lambda: installation.is_drained("hook"), "it is settled")
        assert following.stop() == 0
    assert hook.positions(accepted_only=True) == [1, 1]


def test_a_reload_that_cannot_write_does_not_keep_it_from_stopping(
    installation: Installation,
) -> None:
    installation.configure(server="graceful_seconds = 0.5")
    process = installation.start()
    process.wait_ready()
    shell = sqlite3.connect(installation.database, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    process.signal(signal.SIGHUP)
    eventually(lambda: "reload.begun" in installation.log(), "it reloads")
    process.signal(signal.SIGTERM)
    eventually(lambda: "service.leaving" in installation.log(), "a stop is heard meanwhile")
    process.signal(signal.SIGHUP)
    assert process.wait(10) == 0
    shell.close()
    said = [json.loads(line)["event"] for line in installation.log().splitlines()]
    assert said.index("reload.given_up") < said.index("service.leaving")
    assert "reload.refused" not in said
    assert said.count("reload.begun") == 1


def test_a_loaded_stop_fits_into_what_the_unit_leaves_beside_the_configured_seconds(
    installation: Installation, sender: SerialSender
) -> None:
    """Everything that can hold a stop up does: a call, a silent connection, a destination, a lock.

    Each has its own limit beside the configured seconds; whatever those are, the rest must fit
    into what `TimeoutStopSec` leaves when they are at their defaults.
    """
    graceful_seconds = 0.5
    unit = Path(__file__).parents[2] / "systemd" / "streamer.service"
    found = re.search(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.MULTILINE)
    assert found is not None
    beside = int(found[1]) - limits.LAME_DUCK_SECONDS - limits.GRACEFUL_SECONDS
    with ExitStack() as held, socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        installation.configure(
            http_destination(url) + installation.file_destination(),
            server=f"graceful_seconds = {graceful_seconds}",
        )
        process = installation.start()
        sender.send(1, body(1))
        silent.settimeout(10)
        held.enter_context(silent.accept()[0])
        held.enter_context(socket.create_connection(("127.0.0.1", installation.port)))
        half = held.enter_context(socket.create_connection(("127.0.0.1", installation.port)))
        shell = held.enter_context(closing(sqlite3.connect(installation.database)))
        shell.execute("BEGIN IMMEDIATE")
        half.sendall(b"POST /webhooks/customerio HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        process.signal(signal.SIGTERM)
        assert process.wait(60) == 0
    said = [json.loads(line) for line in installation.log().splitlines()]
    assert {"drain.given_up", "service.commits_given_up"} <= {line["event"] for line in said}
    assert said[-1]["seconds"] - LAME_DUCK_SECONDS - graceful_seconds < beside

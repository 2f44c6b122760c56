"""Commands change what a running service does, through the database and nothing else.

The service, its commands and the destination's server are all real. A test
waits by asking again, a bounded number of times: each question is a process
of its own and takes long enough.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import CONFIG, Service, running_service

QUESTIONS_MAX = 60


class Receiver(ThreadingHTTPServer):
    """Takes batches of one event; refuses one type for good."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.accepted: list[str] = []
        """Event ids, in the order of their coming."""
        self.refuses_type = ""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        (event,) = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if event["type"] == self.server.refuses_type:
            self.send_response(422)
        else:
            self.server.accepted.append(event["id"])
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        """Say nothing."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def service(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    hook = f"""
[destinations.hook]
kind = "http"
url = "http://127.0.0.1:{receiver.server_port}/events"
batch_events_max = 1
"""
    with running_service(tmp_path_factory.mktemp("service"), CONFIG + hook) as running:
        yield running


def ask(service: Service, *arguments: str) -> Any:  # noqa: ANN401 - whatever was printed
    """Run a command with ``--json`` that must succeed."""
    ended = service.run(*arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def tell(service: Service, *arguments: str) -> None:
    """Run a command that must succeed."""
    ended = service.run(*arguments)
    assert ended.returncode == 0, ended.stderr


def wait_until(holds: Callable[[], bool]) -> None:
    """Ask until something holds; ``holds`` runs a command, which takes its time."""
    for _ in range(QUESTIONS_MAX):
        if holds():
            return
    raise AssertionError("it never came to hold")


def lag(service: Service, name: str) -> int:
    """Return how many events are pending for a destination."""
    return int(ask(service, "status")["destinations"][name]["lag_events"])


def send(service: Service, name: str = "email.delivered", count: int = 1) -> list[str]:
    """Send sample events and return their ids."""
    sent = ask(service, "send-sample", name, "--count", str(count))
    return [answer["event_id"] for answer in sent["answers"]]


def archived(service: Service) -> list[str]:
    """Return the ids in the archive's files."""
    paths: list[Path] = sorted((service.data_dir / "archive").glob("*.ndjson"))
    lines = [line for path in paths for line in path.read_bytes().splitlines()]
    return [json.loads(line)["id"] for line in lines]


def test_a_paused_destination_gets_nothing_until_it_is_resumed(service: Service) -> None:
    tell(service, "destination", "pause", "archive")
    # What the service has noticed shows in what it does: the hook gets it, the archive does not.
    ids = send(service, count=3)
    wait_until(lambda: lag(service, "hook") == 0)
    assert ask(service, "status")["destinations"]["archive"]["state"] == "paused"
    again = send(service, count=2)
    wait_until(lambda: lag(service, "hook") == 0)
    assert not set(again) & set(archived(service))
    shown = ask(service, "events", "show", again[0])["destinations"]["archive"]
    assert (shown["fate"], shown["state"]) == ("pending", "paused")
    tell(service, "destination", "resume", "archive")
    wait_until(lambda: lag(service, "archive") == 0)
    assert archived(service)[-5:] == ids + again
    shown = ask(service, "events", "show", again[0])["destinations"]["archive"]
    assert shown["fate"] == "accepted"


def test_a_dead_letter_is_retried_and_closes_itself(service: Service, receiver: Receiver) -> None:
    receiver.refuses_type = "io.customer.sms.failed"
    (refused,) = send(service, "sms.failed")
    send(service)  # an event is only buried when the destination takes others
    wait_until(lambda: bool(ask(service, "dead-letters", "list")))
    (letter,) = ask(service, "dead-letters", "list")
    assert (letter["event_id"], letter["destination"]) == (refused, "hook")
    tell(service, "dead-letters", "retry", str(letter["id"]))
    wait_until(lambda: not ask(service, "replay", "list", "--running"))
    (still,) = ask(service, "dead-letters", "list")
    assert still["attempts"] > letter["attempts"]
    receiver.refuses_type = ""
    (started,) = ask(service, "dead-letters", "retry", "--all")
    wait_until(lambda: not ask(service, "replay", "list", "--running"))
    assert ask(service, "dead-letters", "list") == []
    assert receiver.accepted[-1] == refused
    shown = ask(service, "events", "show", refused)["destinations"]["hook"]
    assert shown["fate"] == "accepted"
    assert [at["replay"] for at in shown["acceptances"]] == [started["replay"]]


def test_a_replay_sends_everything_once_more_beside_the_live_order(
    service: Service, receiver: Receiver
) -> None:
    send(service, count=5)
    wait_until(lambda: lag(service, "hook") == 0)
    before = list(receiver.accepted)
    cursor = ask(service, "status")["destinations"]["hook"]["cursor"]
    ended = service.run("replay", "start", "hook", "--all", "--yes", "--watch")
    assert ended.returncode == 0, ended.stderr
    assert f"is done: {cursor} accepted, 0 dead letters" in ended.stdout
    again = receiver.accepted[len(before) :]
    assert len(again) == cursor
    assert set(again) == set(before)
    assert ask(service, "status")["destinations"]["hook"]["cursor"] == cursor


def test_a_rewind_sends_from_there_on_in_order(service: Service, receiver: Receiver) -> None:
    ids = send(service, count=3)
    wait_until(lambda: lag(service, "hook") == 0)
    before = len(receiver.accepted)
    first = ask(service, "events", "show", ids[0])["position"]
    moved = ask(service, "replay", "start", "hook", "--rewind", "--from", str(first), "--yes")
    assert moved["events"] == 3
    wait_until(lambda: lag(service, "hook") == 0 and len(receiver.accepted) >= before + 3)
    assert receiver.accepted[before:] == ids


def test_a_copy_is_written_and_nothing_is_replaced_meanwhile(service: Service) -> None:
    backup = service.data_dir.parent / "copy.db"
    tell(service, "db", "backup", str(backup))
    assert backup.stat().st_size > 0
    status = ask(service, "db", "status")
    assert status["service_running"] is True
    for command in (["db", "migrate"], ["db", "restore", str(backup), "--yes"]):
        refused = service.run(*command)
        assert refused.returncode == 1
        assert "Stop the service first" in refused.stderr

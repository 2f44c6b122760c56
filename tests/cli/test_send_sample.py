"""Signed sample events against a service that really runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamer.core.samples import TEST_EVENT_ID, sample_names
from streamer.store import sqlite
from tests.support.service import CONFIG, Service, clean_environment, run_command, running_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


def stored(service: Service) -> dict[str, dict[str, Any]]:
    """Return the bodies in the outbox by event id."""
    connection = sqlite.open_reader(service.data_dir / "streamer.db")
    try:
        rows = connection.execute("SELECT event_id, body FROM outbox").fetchall()
    finally:
        connection.close()
    return {event_id: json.loads(body) for event_id, body in rows}


def send(service: Service, *arguments: str) -> dict[str, Any]:
    """Send with ``--json``; return the summary, with the exit code in it."""
    ended = service.run("send-sample", *arguments, "--json")
    assert ended.stderr == ""
    return {**json.loads(ended.stdout), "exit_code": ended.returncode}


def test_an_event_that_is_answered_200_is_in_the_outbox(service: Service) -> None:
    sent = send(service, "sms.clicked")
    assert (sent["exit_code"], sent["statuses"], sent["failed"]) == (0, {"200": 1}, 0)
    body = stored(service)[sent["answers"][0]["event_id"]]
    assert (body["object_type"], body["metric"]) == ("sms", "clicked")


def test_a_person_sees_each_answer(service: Service) -> None:
    ended = service.run("send-sample")
    assert ended.returncode == 0
    assert "email.delivered" in ended.stdout
    assert ended.stdout.splitlines()[0].split() == ["EVENT", "ID", "TYPE", "STATUS", "MS"]
    assert ended.stdout.splitlines()[-1] == f"{service.url}/webhooks/customerio: 1 answered 200"


def test_of_several_calls_the_pace_is_told(service: Service) -> None:
    last = service.run("send-sample", "--count", "3").stdout.splitlines()[-1]
    assert re.search(r"3 answered 200; median .* ms, longest .* ms, \d+ a second$", last)


def test_a_key_that_the_service_does_not_have_is_named_with_its_file(
    service: Service, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("another key")
    path = tmp_path / "streamer.toml"
    path.write_text(CONFIG)
    ended = run_command("send-sample", "--config", str(path), "--url", service.url)
    assert ended.returncode == 1
    assert "signature wrong" in ended.stdout
    assert f"the first key of customerio (file {tmp_path / 'key'}) as {path} has it" in ended.stderr
    assert "another key" not in ended.stdout + ended.stderr


def test_invocations_at_the_same_time_send_different_events(service: Service) -> None:
    command = [sys.executable, "-m", "streamer", "send-sample", "--count", "25", "--json"]
    running = [
        subprocess.Popen(
            [*command, "--config", str(service.config)],
            env=clean_environment(service.environment),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = [json.loads(process.communicate(timeout=30)[0])["answers"] for process in running]
    event_ids = {answer["event_id"] for part in answers for answer in part}
    assert len(event_ids) == 50
    assert event_ids <= set(stored(service))


def test_all_sends_every_known_type(service: Service) -> None:
    sent = send(service, "--all")
    assert sent["exit_code"] == 0
    assert [answer["type"] for answer in sent["answers"]] == list(sample_names())
    assert {answer["event_id"] for answer in sent["answers"]} <= set(stored(service))


def test_a_duplicate_is_answered_200_and_stored_once(service: Service) -> None:
    before = len(stored(service))
    sent = send(service, "--duplicate")
    assert (sent["exit_code"], sent["statuses"]) == (0, {"200": 2})
    first, second = sent["answers"]
    assert first["event_id"] == second["event_id"]
    assert len(stored(service)) == before + 1


def test_a_wrong_signature_is_expected_to_be_refused(service: Service) -> None:
    sent = send(service, "--bad-signature")
    assert (sent["exit_code"], sent["statuses"]) == (0, {"503": 1})
    assert sent["answers"][0]["reason"] == "signature wrong"
    assert sent["answers"][0]["event_id"] not in stored(service)
    assert "STR-101" in service.run("send-sample", "--bad-signature").stdout


def test_variant_and_content_reach_the_body(service: Service) -> None:
    sent = send(service, "email.sent", "--variant", "newsletter", "--with-content")
    body = stored(service)[sent["answers"][0]["event_id"]]
    assert {"newsletter_id", "content"} <= set(body["data"])


def test_the_test_event_has_the_id_that_customerio_gives_it(service: Service) -> None:
    sent = send(service, "--test-event", "--count", "2")
    assert (sent["exit_code"], sent["statuses"]) == (0, {"200": 2})
    assert {answer["event_id"] for answer in sent["answers"]} == {TEST_EVENT_ID}


def test_a_rate_is_kept(service: Service) -> None:
    sent = send(service, "--count", "6", "--rate", "20")
    assert sent["statuses"] == {"200": 6}
    connection = sqlite.open_reader(service.data_dir / "streamer.db")
    try:
        event_ids = [answer["event_id"] for answer in sent["answers"]]
        places = ", ".join("?" * len(event_ids))
        query = (
            f"SELECT max(received_at) - min(received_at) FROM outbox WHERE event_id IN ({places})"  # noqa: S608 - question marks
        )
        [(span_ms,)] = connection.execute(query, event_ids).fetchall()
    finally:
        connection.close()
    assert span_ms >= 200, "five gaps of a twentieth of a second, and the first may come late"


def test_an_answer_that_was_not_expected_ends_with_1(service: Service) -> None:
    sent = send(service, "--url", f"{service.url}/webhooks/nobody")
    assert (sent["exit_code"], sent["failed"], sent["statuses"]) == (1, 1, {"404": 1})
    assert sent["answers"][0]["reason"] == "no such source"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["emial.sent"], "did you mean email.sent?"),
        (["email.sent", "--variant", "letter"], "it has campaign"),
        (["--all", "--variant", "campaign"], "exclude each other"),
        (["--test-event", "--all"], "without types or variants"),
        (["--source", "nobody"], "customerio"),
        (["--url", "ftp://example.com"], "no URL"),
        (["--count", "0"], ">= 1"),
    ],
)
def test_what_makes_no_sense_sends_nothing(
    service: Service, arguments: list[str], said: str
) -> None:
    before = len(stored(service))
    ended = service.run("send-sample", *arguments)
    assert ended.returncode == 2
    assert said in ended.stdout + ended.stderr
    assert len(stored(service)) == before


def test_a_key_that_only_the_service_is_given_is_asked_for_plainly(tmp_path: Path) -> None:
    path = tmp_path / "streamer.toml"
    path.write_text(CONFIG.replace('file = "key"', 'credential = "key"'))
    ended = run_command("send-sample", "--config", str(path))
    assert ended.returncode == 78
    assert "CREDENTIALS_DIRECTORY=/etc/streamer/credentials" in ended.stderr


def test_when_nobody_is_there_it_says_how_to_start_it(tmp_path: Path, service: Service) -> None:
    nowhere = f"unix:{tmp_path / 'socket'}"
    ended = service.run("send-sample", "--url", nowhere)
    assert ended.returncode == 1
    assert "streamer serve" in ended.stderr
    assert "Traceback" not in ended.stderr

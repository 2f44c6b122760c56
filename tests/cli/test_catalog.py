"""``streamer catalog``: the known types as lists and schemas, and the report of what is new."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from streamer.cli.commands import app
from streamer.core import catalogue
from streamer.core.catalogue.types import every_type
from streamer.core.errors import UsageError
from streamer.core.samples import sample_event
from streamer.store import drift, migrate
from tests.cli.desk import Answer, Desk
from tests.store.build import NOW, append, body, event, transact


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Answer:
    """Run a command that takes no configuration."""
    app(["catalog", *arguments], result_action="return_value")
    written = capsys.readouterr()
    return Answer(0, written.out, written.err)


@pytest.fixture
def surveyed(desk: Desk) -> Desk:
    """A database in which a few things that nobody knows were found."""
    with desk.database() as db:
        append(
            db,
            event(1, body=body("event-1", score=1), received_at=NOW),
            event(2, body=body("event-2", score=None), received_at=NOW + 60_000),
            event(3, body=body("event-3", subject=["x"]), received_at=NOW + 120_000),
            event(4),
        )
        found = drift.survey(db, 0)
        transact(db, lambda at: drift.add(at, found))
    return desk


def test_the_list_has_every_type_with_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, "list").out.splitlines()
    assert lines[0].split() == ["TYPE", "MEANING"]
    assert {line.split()[0] for line in lines[1:]} == set(catalogue.type_names())
    assert len(lines) - 1 == len(every_type())
    assert "guess" in next(line for line in lines if line.startswith("email.deferred"))


def test_a_chosen_type_is_shown_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "list", "--type", "push.sent", "--type", "sms.replied").out
    assert "push.sent: " in shown
    assert "sms.replied: " in shown
    assert "email" not in shown.split()[0]
    assert "  recipients[].device_id?" in shown
    assert "  content?" in shown
    assert "  inbound_event_id  " in shown


def test_the_list_for_programs_has_all_fields(capsys: pytest.CaptureFixture[str]) -> None:
    listed: list[dict[str, Any]] = run(capsys, "list", "--json").json
    assert [one["title"] for one in listed] == [one.title for one in every_type()]
    clicked = next(one for one in listed if one["type"] == "email.clicked")
    assert clicked["variants"] == ["campaign", "broadcast", "newsletter", "transactional"]
    by_path = {field["path"]: field for field in clicked["fields"]}
    assert by_path["link_id"]["kind"] == "text or a whole number"
    assert by_path["link_id"]["always"]
    assert not by_path["machine"]["always"]
    assert "identifiers.cio_id" in by_path


def test_the_schema_takes_a_sample_and_refuses_a_broken_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    schema = run(capsys, "schema", "--type", "email.*").json
    document: Any = sample_event("email.clicked", number=1, at_seconds=5)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    document["data"]["subject"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(sample_event("sms.sent", number=1, at_seconds=5), schema)


def test_the_asyncapi_document_names_the_types(capsys: pytest.CaptureFixture[str]) -> None:
    described = run(capsys, "schema", "--format", "asyncapi", "--type", "email.unsubscribed").json
    assert described["asyncapi"] == "3.0.0"
    assert described["info"]["version"]
    assert list(described["components"]["messages"]) == [
        "EmailUnsubscribed",
        "EmailUnsubscribedPerson",
    ]


@pytest.mark.parametrize("command", ["list", "schema"])
def test_a_type_that_is_not_known_is_refused_with_the_one_that_may_be_meant(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(UsageError, match=r"did you mean email\.clicked"):
        run(capsys, command, "--type", "emial.clicked")
    assert capsys.readouterr().out == ""


def test_the_report_tells_what_where_and_which_event(surveyed: Desk) -> None:
    answer = surveyed.run("catalog", "drift")
    assert answer.code == 0
    heading, subject, score = answer.out.splitlines()
    assert heading.split() == ["KIND", "WHAT", "FOUND", "EVENTS", "FIRST", "SEEN", "LAST", "SEEN",
                               "EXAMPLE"]  # fmt: skip
    assert subject.split() == [
        "value", "email.sent", "data.subject", "array", "(not", "string)", "1",
        "2026-09-21", "14:15:20", "UTC", "2026-09-21", "14:15:20", "UTC", "3",
    ]  # fmt: skip
    assert score.split()[:7] == [
        "field", "email.sent", "data.score", "integer,", "null", "2", "2026-09-21",
    ]  # fmt: skip
    assert score.split()[-1] == "2"
    assert "position 4 of 4" in answer.err
    example = surveyed.run("events", "show", score.split()[-1])
    assert '"score": null' in example.out


def test_the_report_for_programs(surveyed: Desk) -> None:
    newest, older = surveyed.ask("catalog", "drift")
    assert newest == {
        "kind": "value", "type": "email.sent", "path": "data.subject", "found": ["array"],
        "expected": ["null", "string"], "events": 1,
        "first_at": "2026-09-21T14:15:20.000Z", "last_at": "2026-09-21T14:15:20.000Z",
        "position": 3, "source": "customerio", "event_id": "event-3",
    }  # fmt: skip
    assert (older["path"], older["found"], older["expected"]) == (
        "data.score", ["integer", "null"], [],
    )  # fmt: skip
    assert surveyed.ask("catalog", "drift", "--limit", "1") == [newest]


def test_an_empty_report_says_how_far_was_looked(desk: Desk) -> None:
    with desk.database() as db:
        append(db, event(1), event(2))
    answer = desk.run("catalog", "drift")
    assert (answer.code, answer.err) == (0, "")
    assert "up to position 0 of 2" in answer.out
    assert desk.ask("catalog", "drift") == []


def test_an_example_that_is_gone_is_not_offered(surveyed: Desk) -> None:
    surveyed.query("DELETE FROM outbox WHERE position = 3")
    first = surveyed.run("catalog", "drift").out.splitlines()[1]
    assert first.split()[-1] == "UTC"
    assert surveyed.ask("catalog", "drift")[0]["event_id"] is None


def test_what_found_no_place_is_one_row(surveyed: Desk) -> None:
    surveyed.query(
        "INSERT INTO drift VALUES ('more', '', '', '', 5, ?, ?, 4)", NOW + 999_999, NOW + 999_999
    )
    first = surveyed.run("catalog", "drift").out.splitlines()[1]
    assert first.split()[:4] == ["more", "all", "that", "found"]


def test_forgetting_asks_and_is_written_down(surveyed: Desk) -> None:
    refused = surveyed.run("catalog", "forget-drift")
    assert refused.code == 2
    assert len(surveyed.ask("catalog", "drift")) == 2
    done = surveyed.run("catalog", "forget-drift", "--yes")
    assert (done.code, done.out) == (0, "Forgot 2 rows.\n")
    assert surveyed.ask("catalog", "drift") == []
    assert surveyed.acts()[-1] == ("forget-drift", "2 rows")


@pytest.mark.parametrize("limit", ["0", "-1", "100001"])
def test_a_limit_that_makes_no_sense_is_refused(surveyed: Desk, limit: str) -> None:
    answer = surveyed.run("catalog", "drift", f"--limit={limit}")
    assert answer.code == 2
    assert "--limit is a number from 1" in answer.err


def test_a_database_of_an_older_program_is_told_from_an_empty_report(desk: Desk) -> None:
    older = len(migrate.load_migrations()) - 1
    with desk.database() as db:
        db.execute(f"PRAGMA user_version = {older}")
    answer = desk.run("catalog", "drift")
    assert answer.code == 1
    assert json.dumps(answer.out) == '""'
    assert f"schema {older}" in answer.err

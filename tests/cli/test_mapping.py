"""Mappings are shown and tried as a destination applies them, and nothing is sent."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from streamer.core.samples import sample_body
from tests.cli.desk import CONFIG, Desk
from tests.store.build import append, body, event

LAKE = """
[destinations.lake]
kind = "aep"
inlet_url = "https://dcs.example.com/collection/1"
flow_id = "f"
ims_org_id = "o@AdobeOrg"
tenant = "acme"
dataset_id = "d"
schema_id = "https://ns.adobe.com/acme/schemas/s"
client_id = "c"
client_secret = { credential = "nobody-has-this" }
exclude = ["email.opened"]
privacy = { hash = ["recipient"], drop = ["subject"] }
mapping = "mapping.toml"
"""
MAPPING = """\
remove = ["channel"]

[[rules]]
destination = "_{tenant}.customerio.host"
source = "get_url_host(data.href)"
types = ["email.clicked"]
note = "where the link leads"

[[rules]]
destination = "directMarketing.linkURL"
source = "lower(data.href)"

[fields]
"_{tenant}.customerio.host" = "text"
"""
CLICK = {
    "event_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ",
    "object_type": "email",
    "metric": "clicked",
    "timestamp": 1613063489,
    "data": {
        "href": "https://Example.com/Offer",
        "recipient": "Ann@example.com",
        "subject": "private",
        "delivery_id": "D1",
    },
}


@pytest.fixture
def lake(desk: Desk) -> Desk:
    """A desk with a destination that maps, by a file of its own, and whose secret is elsewhere."""
    desk.config_file.write_text(CONFIG + LAKE, encoding="utf-8")
    desk.config_file.with_name("mapping.toml").write_text(MAPPING, encoding="utf-8")
    return desk


@pytest.fixture
def click(tmp_path: Path) -> str:
    """A file with an event."""
    file = tmp_path / "click.json"
    file.write_text(json.dumps(CLICK), encoding="utf-8")
    return str(file)


def test_the_table_shows_built_in_rules_and_those_of_the_file_over_them(lake: Desk) -> None:
    answer = lake.run("mapping", "show", "--type", "email.clicked")
    assert (answer.code, answer.err) == (0, "")
    head, *rows = answer.out.splitlines()
    assert head.split() == ["DESTINATION", "SOURCE", "TYPES", "ORIGIN", "NOTE"]
    by_destination = {row.split()[0]: row for row in rows}
    assert "built-in" in by_destination["eventType"]
    assert '"directMarketing.emailClicked"' in by_destination["eventType"]
    host = by_destination["_{tenant}.customerio.host"]
    assert "mapping.toml:3" in host
    assert host.endswith("where the link leads")
    assert not any(path.startswith("channel.") for path in by_destination), "they are removed"
    assert "identityMap.Email" in by_destination
    assert "identityMap.Phone" not in by_destination, "it is for other types"


def test_the_table_for_programs_has_every_rule_of_every_type(lake: Desk) -> None:
    rules = lake.ask("mapping", "show")
    assert [rule["destination"] for rule in rules[-3:]] == [
        "identityMap.Email",
        "identityMap.Email",
        "identityMap.Phone",
    ]
    assert rules[-1] == {
        "destination": "identityMap.Phone",
        "source": "data.recipient",
        "types": ["sms.*", "whatsapp.*"],
        "origin": "identities",
        "note": "as phone",
    }
    assert rules[-5] == {
        "destination": "_{tenant}.customerio.host",
        "source": "get_url_host(data.href)",
        "types": ["email.clicked"],
        "origin": f"{lake.config_file.with_name('mapping.toml')}:3",
        "note": "where the link leads",
    }
    assert "sms.sent" in {pattern for rule in rules for pattern in rule["types"]}
    assert len(rules) > len(lake.ask("mapping", "show", "--type", "sms.sent"))


@pytest.mark.parametrize("name", ["email", "email.*", ".sent", "email."])
def test_a_type_is_named_in_full(lake: Desk, name: str) -> None:
    answer = lake.run("mapping", "show", "--type", name)
    assert (answer.code, answer.out) == (2, "")
    assert "is no type of event" in answer.err


def test_what_a_destination_does_with_a_type_is_told(lake: Desk) -> None:
    assert "leaves email.opened out" in lake.run("mapping", "show", "--type", "email.opened").err
    assert "no type that is known" in lake.run("mapping", "show", "--type", "fax.sent").err


def test_a_body_in_a_file_becomes_what_the_destination_would_send(lake: Desk, click: str) -> None:
    answer = lake.run("mapping", "render", click)
    assert (answer.code, answer.err) == (0, "")
    entity = answer.json
    assert entity["_id"] == CLICK["event_id"]
    assert entity["timestamp"] == "2021-02-11T17:11:29Z"
    own = entity["_acme"]["customerio"]
    assert own["host"] == "example.com"
    assert entity["directMarketing"]["linkURL"] == "https://example.com/offer"
    assert "channel" not in entity
    assert "private" not in answer.out, "what the privacy rules drop is dropped here too"
    assert "Ann@example.com" not in answer.out
    assert len(own["recipient"]) == 64


def test_a_body_can_come_from_standard_input(
    lake: Desk, click: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO(json.dumps(CLICK).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
    assert lake.run("mapping", "render", "-").out == lake.run("mapping", "render", click).out


@pytest.mark.parametrize("wanted", ["1", "event-1"])
def test_a_stored_event_is_found_by_its_id_and_its_position(lake: Desk, wanted: str) -> None:
    with lake.database() as db:
        append(db, event(1, body=body("event-1", href="https://Example.com/", delivery_id="D")))
    entity = lake.run("mapping", "render", "--event", wanted).json
    assert entity["_id"] == "event-1"
    assert entity["_acme"]["customerio"]["sequence"] == 1


def test_programs_get_the_entity_with_what_was_noticed(lake: Desk, click: str) -> None:
    told = lake.ask("mapping", "render", click)
    assert set(told) == {"entity", "shed", "time_replaced", "rules"}
    assert told["entity"]["_id"] == CLICK["event_id"]
    assert (told["shed"], told["time_replaced"], told["rules"]) == ([], False, None)
    traced = lake.ask("mapping", "render", click, "--trace")["rules"]
    assert traced[-2] == {
        "destination": "_{tenant}.customerio.host",
        "source": "get_url_host(data.href)",
        "origin": f"{lake.config_file.with_name('mapping.toml')}:3",
        "kind": "text",
        "fate": "written",
    }


def test_a_trace_tells_of_every_rule_beside_the_entity(lake: Desk, click: str) -> None:
    answer = lake.run("mapping", "render", click, "--trace")
    assert answer.json["_id"] == CLICK["event_id"], "standard output is the entity alone"
    lines = answer.err.splitlines()
    host = "_{tenant}.customerio.host <- get_url_host(data.href): written (text)"
    assert host in lines
    assert "_{tenant}.customerio.headers <- data.headers: no value" in lines
    assert "example.com/" not in answer.err, "kinds are told, and no values"


def test_a_rule_of_the_users_that_gave_nothing_is_told_without_asking(
    lake: Desk, tmp_path: Path
) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(CLICK | {"data": {"delivery_id": "D1"}}))
    answer = lake.run("mapping", "render", str(file))
    assert answer.code == 0
    first, second = answer.err.splitlines()
    assert first.endswith("mapping.toml:3, _{tenant}.customerio.host: no value")
    assert second.endswith("mapping.toml:9, directMarketing.linkURL: no value")


def test_what_is_shed_and_replaced_is_told(lake: Desk, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    long = CLICK | {"timestamp": "soon", "data": {**CLICK["data"], "content": "x" * 20_000}}  # type: ignore[dict-item]  # it is a dictionary
    file.write_text(json.dumps(long))
    answer = lake.run("mapping", "render", str(file))
    assert "own time cannot be used" in answer.err
    assert "left out or shortened so that it fits: content" in answer.err
    assert answer.json["timestamp"] == "2020-01-01T00:00:00.000Z", "the same on any day"
    told = lake.run("mapping", "render", str(file), "--json").json
    assert (told["shed"], told["time_replaced"]) == (["content"], True)


@pytest.mark.parametrize("timestamp", [-5, None, "soon", 10**12])
def test_a_time_that_cannot_be_used_gives_the_same_on_any_day(
    lake: Desk, tmp_path: Path, timestamp: object
) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(CLICK | {"timestamp": timestamp}))
    answer = lake.run("mapping", "render", str(file))
    assert answer.json["timestamp"] == "2020-01-01T00:00:00.000Z"
    assert "own time cannot be used" in answer.err


def test_what_cannot_be_mapped_ends_with_an_error_and_no_entity(lake: Desk, click: str) -> None:
    lake.config_file.with_name("mapping.toml").write_text(
        '[[rules]]\ndestination = "directMarketing.clicks.value"\nsource = "data.href"\n'
    )
    answer = lake.run("mapping", "render", click)
    assert (answer.code, answer.out) == (1, "")
    assert "cannot be mapped: directMarketing.clicks.value: " in answer.err
    assert "mapping.toml:1" in answer.err
    assert "--trace" in answer.err
    assert "Offer" not in answer.err


def test_nothing_to_say_is_told_and_no_error(lake: Desk, click: str) -> None:
    consent = LAKE.replace('mapping = "mapping.toml"', 'produces = "consent"')
    lake.config_file.write_text(CONFIG + consent)
    answer = lake.run("mapping", "render", click)
    assert (answer.code, answer.out) == (0, "")
    assert "nothing is said of email.clicked" in answer.err
    assert lake.run("mapping", "render", click, "--json").json["entity"] is None


def test_a_filter_is_told_and_the_entity_shown_all_the_same(lake: Desk, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_bytes(sample_body("email.opened", number=1, at_seconds=1_790_000_000))
    answer = lake.run("mapping", "render", str(file))
    assert "lake leaves email.opened out by its filter" in answer.err
    assert answer.json["eventType"] == "directMarketing.emailOpened"


def test_without_a_destination_the_built_in_mapping_is_shown_and_said_to_be(
    desk: Desk, click: str
) -> None:
    answer = desk.run("mapping", "render", click)
    assert answer.code == 0
    assert "no destination of kind aep is configured" in answer.err
    assert answer.json["_tenant"]["customerio"]["subject"] == "private"


def test_another_file_can_be_tried_in_place_of_the_destinations_own(
    lake: Desk, click: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[[rules]]\ndestination = "producedBy"\nconstant = "other"\n')
    entity = lake.run("mapping", "render", click, "--mapping", str(other)).json
    assert entity["producedBy"] == "other"
    assert "host" not in entity["_acme"]["customerio"]
    assert "channel" in entity


def test_an_odd_pattern_of_the_file_is_noted(lake: Desk, click: str) -> None:
    file = lake.config_file.with_name("mapping.toml")
    file.write_text(MAPPING.replace("email.clicked", "email.clickd"))
    answer = lake.run("mapping", "render", click)
    assert "line 6: 'email.clickd' matches no event type" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("render",), 2, "either a file or an event"),
        (("render", "x.json", "--event", "1"), 2, "either a file or an event"),
        (("render", "no-such.json"), 2, "cannot be read: No such file"),
        (("render", "--trcae"), 2, "there is no option --trcae"),
        (("render", "--event", "no-such"), 2, "there is no event 'no-such'"),
        (("show", "--destination", "lak"), 2, "Did you mean lake?"),
        (("show", "--destination", "hook"), 2, "'hook' has no mapping"),
        (("show", "--destination", "raw"), 2, "'raw' has no mapping"),
        (("show", "--mapping", "no-such.toml"), 78, "no-such.toml cannot be read"),
    ],
)
def test_what_makes_no_sense_is_told_with_what_to_do(
    lake: Desk, arguments: tuple[str, ...], code: int, told: str
) -> None:
    raw = LAKE.replace("lake", "raw").replace('kind = "aep"', 'kind = "aep"\nmode = "raw"')
    lake.config_file.write_text(CONFIG + LAKE + raw)
    answer = lake.run("mapping", *arguments)
    assert (answer.code, answer.out) == (code, "")
    assert told in answer.err


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"event_id": ""}'])
def test_a_file_that_is_no_event_is_refused(lake: Desk, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "event.json"
    file.write_bytes(content)
    answer = lake.run("mapping", "render", str(file))
    assert (answer.code, answer.out) == (2, "")
    assert "is no event" in answer.err


def test_of_several_destinations_one_must_be_named(lake: Desk) -> None:
    lake.config_file.write_text(CONFIG + LAKE + LAKE.replace("lake", "pond"))
    answer = lake.run("mapping", "show")
    assert (answer.code, answer.out) == (2, "")
    assert "lake, pond" in answer.err
    assert lake.run("mapping", "show", "--destination", "pond").code == 0


def test_a_wrong_mapping_file_is_told_line_by_line(lake: Desk) -> None:
    file = lake.config_file.with_name("mapping.toml")
    file.write_text(MAPPING.replace("lower(", "lowr(").replace("get_url_host", "get_host"))
    answer = lake.run("mapping", "show")
    assert answer.code == 78
    assert "2 errors in the mapping file" in answer.err
    assert "line 5, rules[0].source: there is no function get_host()" in answer.err
    assert "line 11, rules[1].source: there is no function lowr()" in answer.err


def test_a_file_that_is_tried_is_to_be_mended_and_tried_again(desk: Desk, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("rule = 1\n")
    answer = desk.run("mapping", "show", "--mapping", str(wrong))
    assert answer.code == 78
    assert "line 1, rule: is not a known key" in answer.err
    assert "Mend what is listed and run the same command again." in answer.err
    answer = desk.run("mapping", "show", "--mapping", str(tmp_path / "absent.toml"))
    assert (answer.code, "Look at its name" in answer.err) == (78, True)

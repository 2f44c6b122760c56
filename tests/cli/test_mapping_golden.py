"""What must come of events is kept in files, and every difference from it is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamer.core.samples import sample_body
from tests.cli.desk import Answer, Desk

AT_SECONDS = 1_790_000_000


@pytest.fixture
def golden(tmp_path: Path, desk: Desk) -> Path:
    """A directory with two events and what comes of them."""
    directory = tmp_path / "golden"
    directory.mkdir()
    for name in ("email.clicked", "sms.sent"):
        body = sample_body(name, number=1, at_seconds=AT_SECONDS)
        (directory / f"{name}.event.json").write_bytes(body)
    answer = desk.run("mapping", "test", str(directory), "--update")
    assert answer.code == 0
    assert sorted(line.split()[0] for line in answer.out.splitlines()[:2]) == ["written"] * 2
    return directory


def run(desk: Desk, directory: Path, *more: str) -> Answer:
    return desk.run("mapping", "test", str(directory), *more)


def test_what_was_written_compares_as_the_same(desk: Desk, golden: Path) -> None:
    answer = run(desk, golden)
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "same       email.clicked",
        "same       sms.sent",
        "2 events: all as expected",
    ]


def test_how_a_file_is_laid_out_does_not_matter(desk: Desk, golden: Path) -> None:
    file = golden / "sms.sent.xdm.json"
    entity = json.loads(file.read_text())
    file.write_text(json.dumps(dict(reversed(entity.items()))))
    assert run(desk, golden).code == 0
    assert run(desk, golden, "--update").out.count("same") == 2


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ('"value": 1', '"value": 1.0', ['-      "value": 1.0', '+      "value": 1']),
        ('"value": 1', '"value": true', ['-      "value": true', '+      "value": 1']),
        ('"producedBy": "system"', '"producedBy": "sys"', ['-  "producedBy": "sys",']),
        ('"producedBy": "system",', "", ['+  "producedBy": "system",']),
        ("{", '{"more": null,', ['-  "more": null,']),
    ],
)
def test_any_other_difference_is_shown_and_ends_with_1(
    desk: Desk, golden: Path, old: str, new: str, shown: list[str]
) -> None:
    file = golden / "email.clicked.xdm.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    answer = run(desk, golden)
    assert answer.code == 1
    lines = [line.removeprefix("           ") for line in answer.out.splitlines()]
    assert lines[0] == "different  email.clicked"
    assert set(shown) <= set(lines)
    assert "same       sms.sent" in lines
    assert lines[-1] == "1 of 2 events is not as expected"


def test_an_update_says_what_it_wrote_and_makes_all_as_expected(desk: Desk, golden: Path) -> None:
    (golden / "sms.sent.xdm.json").write_text("{}")
    (golden / "email.clicked.xdm.json").write_text("{")
    answer = run(desk, golden, "--update")
    assert answer.code == 0
    assert answer.out.count("written") == 2
    assert run(desk, golden).code == 0


def test_everything_that_cannot_be_compared_is_told_at_once(desk: Desk, golden: Path) -> None:
    (golden / "sms.sent.xdm.json").unlink()
    (golden / "email.clicked.event.json").unlink()
    (golden / "no-json.event.json").write_text("{")
    (golden / "half.event.json").write_bytes((golden / "sms.sent.event.json").read_bytes())
    (golden / "half.xdm.json").write_text("{")
    answer = run(desk, golden)
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "wrong      email.clicked",
        "wrong      half",
        "wrong      no-json",
        "wrong      sms.sent",
        "4 of 4 events are not as expected",
    ]
    told = "\n".join(lines)
    assert "email.clicked.event.json is missing" in told
    assert "half.xdm.json is not JSON" in told
    assert "no-json.event.json is no event" in told
    assert "sms.sent.xdm.json is missing" in told
    assert "--update" in told


def test_an_event_that_cannot_be_mapped_is_wrong_even_when_updating(
    desk: Desk, golden: Path, tmp_path: Path
) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(
        '[[rules]]\ndestination = "directMarketing.clicks.value"\nsource = "data.href"\n'
    )
    before = (golden / "email.clicked.xdm.json").read_text()
    answer = run(desk, golden, "--update", "--mapping", str(mapping))
    assert answer.code == 1
    assert "cannot be mapped: directMarketing.clicks.value" in answer.out
    assert (golden / "email.clicked.xdm.json").read_text() == before


def test_an_event_that_nothing_is_sent_for_is_null(desk: Desk, golden: Path) -> None:
    text = desk.config_file.read_text()
    desk.config_file.write_text(
        text
        + """
[destinations.consent]
kind = "aep"
produces = "consent"
inlet_url = "https://dcs.example.com/collection/1"
flow_id = "f"
ims_org_id = "o@AdobeOrg"
tenant = "acme"
dataset_id = "d"
schema_id = "s"
"""
    )
    assert run(desk, golden).code == 1
    assert run(desk, golden, "--update").code == 0
    assert (golden / "sms.sent.xdm.json").read_text() == "null\n"
    assert run(desk, golden).code == 0


def test_programs_get_an_array(desk: Desk, golden: Path) -> None:
    (golden / "sms.sent.xdm.json").write_text("{}")
    answer = run(desk, golden, "--json")
    assert answer.code == 1
    same, different = answer.json
    assert same == {"name": "email.clicked", "verdict": "same", "detail": []}
    assert (different["name"], different["verdict"]) == ("sms.sent", "different")
    assert any(line.startswith("+") for line in different["detail"])


def test_a_directory_without_events_is_a_mistake(desk: Desk, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    answer = run(desk, empty)
    assert (answer.code, answer.out) == (2, "")
    assert "holds no file that ends in .event.json" in answer.err
    missing = run(desk, tmp_path / "missing")
    assert missing.code == 2
    assert "cannot be read: No such file" in missing.err

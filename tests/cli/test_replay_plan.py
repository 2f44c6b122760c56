"""What a replay would send is said by destination, span and type before anything is sent."""

from __future__ import annotations

import pytest

from streamer.cli.replay import TYPES_SHOWN
from streamer.cli.wording import moment_text
from streamer.core.times import rfc3339
from tests.cli.desk import Desk
from tests.store.build import (
    NOW,
    append,
    event,
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--all"], {"email.sent": 5, "email.opened": 1}),
        (["--from", "3"], {"email.sent": 3, "email.opened": 1}),
        (["--from", "3", "--to", "4"], {"email.sent": 1, "email.opened": 1}),
        (["--to", "2"], {"email.sent": 2}),
        (["--to", "99"], {"email.sent": 6, "email.opened": 2}),
        (["--since", rfc3339(NOW + 5000)], {"email.sent": 2}),
        (["--until", rfc3339(NOW + 3000)], {"email.sent": 2}),
        (["--all", "--type", "*.opened"], {"email.opened": 1}),
        (["--all", "--type", "sms.*"], {}),
        (["--event", "event-2", "--event", "event-8"], {"email.sent": 1, "email.opened": 1}),
    ],
)
def test_a_dry_run_counts_by_type_and_writes_nothing(
    replayable: Desk, options: list[str], expected: dict[str, int]
) -> None:
    answer = replayable.run("replay", "start", "archive", *options, "--dry-run", "--json")
    assert answer.code == 0
    assert answer.json["events"] == sum(expected.values())
    assert answer.json["by_type"] == expected
    assert replayable.query("SELECT * FROM replays") == []
    assert replayable.acts() == []


def test_a_plan_is_readable_without_json(replayable: Desk) -> None:
    since, until = rfc3339(NOW + 1000), rfc3339(NOW + 9000)
    options = ["--since", since, "--until", until, "--dry-run"]
    out = replayable.run("replay", "start", "archive", *options).out
    assert out.splitlines() == [
        "Destination  archive",
        "Positions    1 to 6",
        f"Received     since {moment_text(since)} before {moment_text(until)}",
        "Events       6",
        "           5  email.sent",
        "           1  email.opened",
    ]


def test_a_plan_is_complete_for_programs(replayable: Desk) -> None:
    since = rfc3339(NOW + 1000)
    answer = replayable.run("replay", "start", "archive", "--since", since, "--dry-run", "--json")
    assert answer.json == {
        "destination": "archive",
        "from_position": 1,
        "to_position": 6,
        "since": since,
        "until": None,
        "events": 6,
        "by_type": {"email.sent": 5, "email.opened": 1},
    }


@pytest.mark.parametrize(
    ("types", "shown", "rest"),
    [
        (TYPES_SHOWN + 1, TYPES_SHOWN + 1, None),
        (TYPES_SHOWN + 2, TYPES_SHOWN, "and 2 other types: 2"),
    ],
)
def test_types_with_few_events_are_summed_up(
    desk: Desk, types: int, shown: int, rest: str | None
) -> None:
    with desk.database() as db:
        append(db, *(event(number, metric=f"odd{number}") for number in range(types)))
        append(db, event(types, metric="odd5"))
        db.execute("UPDATE cursors SET position = 100")
    lines = desk.run("replay", "start", "archive", "--all", "--dry-run").out.splitlines()
    assert lines[2] == f"Events       {types + 1}"
    assert lines[3] == "           2  email.odd5"
    listed = [line for line in lines[3:] if not line.startswith("and ")]
    assert len(listed) == shown
    assert lines[3 + shown :] == ([] if rest is None else [rest])


def test_a_rewind_that_is_only_planned_says_from_where_to_where(replayable: Desk) -> None:
    options = ["--rewind", "--from", "4", "--dry-run"]
    lines = replayable.run("replay", "start", "archive", *options).out.splitlines()
    assert lines[:3] == [
        "Destination  archive",
        "Cursor       from 6 back to 3",
        "Events       3",
    ]
    planned = replayable.run("replay", "start", "archive", *options, "--json").json
    assert planned["by_type"] == {"email.sent": 2, "email.opened": 1}


def test_the_filter_of_the_destination_counts_too(replayable: Desk) -> None:
    answer = replayable.run("replay", "start", "hook", "--all", "--dry-run", "--json")
    assert answer.json["by_type"] == {"email.sent": 5}

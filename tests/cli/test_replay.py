"""A replay says what it would send before it does, and a rewind only ever goes back."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from streamer.cli import common
from streamer.cli.replay import TYPES_SHOWN
from streamer.cli.watch import watch_replay
from streamer.cli.wording import moment_text
from streamer.config.model import Config
from streamer.core.settlement import Progress
from streamer.core.times import rfc3339
from streamer.store import cursors, destinations, lockfile, replays
from streamer.store.cursors import CursorState
from streamer.store.destinations import Declared
from streamer.store.sqlite import Connection
from tests.cli.desk import CONFIG, Desk
from tests.store.build import (
    NOW,
    accept,
    append,
    counted_steps,
    event,
    fill_outbox,
    only_cursor,
    read_all,
)
from tests.support.service import clean_environment


@pytest.fixture
def filled(desk: Desk) -> Desk:
    """Eight events a second apart, of which 4 and 8 were opened; six of them are settled."""
    with desk.database() as db:
        for number in range(1, 9):
            metric = "sent" if number % 4 else "opened"
            append(db, event(number, metric=metric, received_at=NOW + number * 1000))
        db.execute("UPDATE cursors SET position = 6")
    return desk


def start(desk: Desk, *options: str) -> replays.Replay:
    """Start a replay and return its row."""
    started = desk.run("replay", "start", *options, "--yes", "--json").json
    with desk.database() as db:
        replay = replays.load(db, started["replay"])
    assert replay is not None
    assert replay.events == started["events"]
    return replay


def test_a_rewind_counts_nothing_while_it_holds_the_lock(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = 20_000
    with desk.database() as db:
        fill_outbox(db, events)
        db.execute("UPDATE cursors SET position = ?", (events,))
    steps: list[int] = []
    change = common.change_database

    def counted(settings: Config, work: Callable[[Connection], object]) -> object:
        def work_counted(db: Connection) -> object:
            with counted_steps(db) as taken:
                result = work(db)
            steps.extend(taken)
            return result

        return change(settings, work_counted)

    monkeypatch.setattr(common, "change_database", counted)
    answer = desk.run("replay", "start", "archive", "--rewind", "--all", "--yes", "--json")
    assert answer.json["events"] == events
    assert len(steps) == 1
    assert steps[0] < events / 10


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
    filled: Desk, options: list[str], expected: dict[str, int]
) -> None:
    answer = filled.run("replay", "start", "archive", *options, "--dry-run", "--json")
    assert answer.code == 0
    assert answer.json["events"] == sum(expected.values())
    assert answer.json["by_type"] == expected
    assert filled.query("SELECT * FROM replays") == []
    assert filled.acts() == []


def test_a_plan_is_readable_without_json(filled: Desk) -> None:
    since, until = rfc3339(NOW + 1000), rfc3339(NOW + 9000)
    options = ["--since", since, "--until", until, "--dry-run"]
    out = filled.run("replay", "start", "archive", *options).out
    assert out.splitlines() == [
        "Destination  archive",
        "Positions    1 to 6",
        f"Received     since {moment_text(since)} before {moment_text(until)}",
        "Events       6",
        "           5  email.sent",
        "           1  email.opened",
    ]


def test_a_plan_is_complete_for_programs(filled: Desk) -> None:
    since = rfc3339(NOW + 1000)
    answer = filled.run("replay", "start", "archive", "--since", since, "--dry-run", "--json")
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


def test_a_rewind_that_is_only_planned_says_from_where_to_where(filled: Desk) -> None:
    options = ["--rewind", "--from", "4", "--dry-run"]
    lines = filled.run("replay", "start", "archive", *options).out.splitlines()
    assert lines[:3] == [
        "Destination  archive",
        "Cursor       from 6 back to 3",
        "Events       3",
    ]
    planned = filled.run("replay", "start", "archive", *options, "--json").json
    assert planned["by_type"] == {"email.sent": 2, "email.opened": 1}


def test_the_filter_of_the_destination_counts_too(filled: Desk) -> None:
    answer = filled.run("replay", "start", "hook", "--all", "--dry-run", "--json")
    assert answer.json["by_type"] == {"email.sent": 5}


def test_a_replay_ends_at_the_cursor_and_says_what_is_left_out(filled: Desk) -> None:
    answer = filled.run("replay", "start", "archive", "--all", "--yes")
    assert answer.code == 0
    assert "replay 1 sends 6 events to archive" in answer.out
    assert "it ends at position 6: what is pending goes out by itself" in answer.err
    assert "the service is stopped: the replay begins when it starts" in answer.err
    assert filled.query("SELECT from_position, to_position, events FROM replays") == [(1, 6, 6)]
    assert filled.acts() == [("replay", "1: 6 events to archive")]


def test_a_replay_beyond_the_cursor_is_warned_of(filled: Desk) -> None:
    answer = filled.run("replay", "start", "archive", "--from", "5", "--to", "8", "--yes")
    assert "what lies behind position 6 is pending and will be sent twice" in answer.err
    assert filled.query("SELECT to_position FROM replays") == [(8,)]


def test_with_lanes_a_replay_reaches_to_the_furthest_of_them(filled: Desk) -> None:
    with filled.database() as db:
        destinations.declare(db, [Declared("archive", "file", lanes=2)], now=NOW)
        db.execute("UPDATE cursors SET position = 8 WHERE lanes = 2 AND lane = 1")
    assert start(filled, "archive", "--from", "2").to_position == 8


def test_picked_events_are_replayed_by_their_positions(filled: Desk) -> None:
    replay = start(filled, "archive", "--event", "event-5", "--event", "event-2")
    assert (replay.kind, replay.positions) == ("events", (2, 5))
    assert (replay.from_position, replay.to_position) == (2, 5)


def test_the_bounds_of_a_range_are_kept_in_the_row(filled: Desk) -> None:
    options = ["--since", rfc3339(NOW + 2000), "--until", rfc3339(NOW + 5000), "--type", "*.sent"]
    replay = start(filled, "archive", *options)
    assert (replay.since, replay.until, replay.include) == (NOW + 2000, NOW + 5000, ("*.sent",))
    assert replay.events == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["archive"], "nothing was asked for"),
        (["archive", "--type", "email.*"], "nothing was asked for"),
        (["archive", "--all", "--from", "1"], "--all goes with no bounds"),
        (["archive", "--event", "event-1", "--to", "2"], "--event goes with no bounds"),
        (["archive", "--event", "event-1", "--type", "*"], "--event goes with no bounds"),
        (["archive", "--from", "5", "--to", "4"], "--from lies behind --to"),
        (["archive", "--from", "0"], "positions begin at 1"),
        (["archive", "--since", "soon"], "--since 'soon' is no time"),
        (["archive", "--since", "1h", "--until", "1d", "--dry-run"], "--since lies behind"),
        (["archive", "--event", "event-77"], "there is no event 'event-77'"),
        (["hook", "--event", "event-4"], "hook is set not to get email.opened"),
        (["archiv", "--all"], "Did you mean archive?"),
    ],
)
def test_what_makes_no_sense_is_refused(filled: Desk, arguments: list[str], said: str) -> None:
    answer = filled.run("replay", "start", *arguments, "--yes")
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert filled.query("SELECT * FROM replays") == []


def test_nothing_is_started_without_a_yes_or_without_events(filled: Desk) -> None:
    assert filled.run("replay", "start", "archive", "--all").code == 2
    answer = filled.run("replay", "start", "archive", "--all", "--type", "sms.sent", "--yes")
    assert answer.code == 1
    assert "there is nothing to send again" in answer.err
    assert filled.query("SELECT * FROM replays") == []


def test_a_type_that_nobody_knows_is_warned_of(filled: Desk) -> None:
    answer = filled.run("replay", "start", "archive", "--all", "--type", "emial.*", "--dry-run")
    assert "did you mean email.*?" in answer.err


def test_nothing_is_replayed_to_a_destination_that_nobody_drains(filled: Desk) -> None:
    filled.config_file.write_text(CONFIG.partition("[destinations.hook]")[0], encoding="utf-8")
    answer = filled.run("replay", "start", "hook", "--all", "--yes")
    assert answer.code == 2
    assert "'hook' is not in the configuration" in answer.err


def test_what_holds_a_replay_up_is_said_at_the_start(filled: Desk) -> None:
    filled.run("destination", "pause", "archive")
    first = filled.run("replay", "start", "archive", "--all", "--yes")
    assert "archive is paused" in first.err
    assert "another replay is running" not in first.err
    assert (
        "another replay is running"
        in filled.run("replay", "start", "archive", "--all", "--yes").err
    )


def test_a_rewind_moves_every_lane_back_and_is_written_down(filled: Desk) -> None:
    with filled.database() as db:
        db.execute("INSERT INTO settled_marks VALUES (2, 1), (6, 2)")
        before = only_cursor(db, "archive").generation
    answer = filled.run("replay", "start", "archive", "--rewind", "--from", "4", "--yes", "--json")
    assert answer.json == {"destination": "archive", "cursor": 3, "before": 6, "events": 3}
    with filled.database() as db:
        cursor = only_cursor(db, "archive")
    assert (cursor.progress.position, cursor.generation) == (3, before + 1)
    assert filled.query("SELECT position FROM settled_marks") == [(2,)]
    assert filled.query("SELECT * FROM replays") == []
    assert filled.acts() == [("rewind", "archive from 6 to 3")]


@pytest.mark.parametrize(
    ("options", "position"),
    [
        (["--all"], 0),
        (["--since", rfc3339(NOW + 5000)], 4),
        (["--from", "2", "--since", rfc3339(NOW)], 1),
    ],
)
def test_a_rewind_begins_where_it_was_asked_to(
    filled: Desk, options: list[str], position: int
) -> None:
    dry = filled.run("replay", "start", "hook", "--rewind", *options, "--dry-run", "--json")
    assert filled.acts() == []
    answer = filled.run("replay", "start", "hook", "--rewind", *options, "--yes", "--json")
    assert answer.json["cursor"] == position
    assert answer.json["events"] == dry.json["events"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--from", "7"], "a rewind only goes back"),
        (["--from", "8"], "a rewind only goes back"),
        (["--since", "2027-01-01"], "nothing was received since then"),
        (["--from", "2", "--to", "3"], "sends everything from one point on"),
        (["--all", "--type", "email.*"], "sends everything from one point on"),
        (["--event", "event-1"], "sends everything from one point on"),
    ],
)
def test_a_rewind_never_goes_on_and_never_takes_a_part(
    filled: Desk, options: list[str], said: str
) -> None:
    answer = filled.run("replay", "start", "archive", "--rewind", *options, "--yes")
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert filled.query("SELECT DISTINCT position FROM cursors") == [(6,)]


def test_a_rewind_never_skips_what_the_slowest_lane_has_still_to_send(filled: Desk) -> None:
    with filled.database() as db:
        destinations.declare(db, [Declared("archive", "file", lanes=2)], now=NOW)
        db.execute("UPDATE cursors SET position = 2 WHERE lanes = 2 AND lane = 0")
    answer = filled.run("replay", "start", "archive", "--rewind", "--from", "4", "--yes")
    assert answer.code == 2
    assert "stands at 2, and a rewind only goes back" in answer.err


def test_a_rewind_to_what_was_pruned_says_where_the_outbox_begins(filled: Desk) -> None:
    filled.query("DELETE FROM outbox WHERE position < 3")
    answer = filled.run("replay", "start", "archive", "--rewind", "--from", "2", "--yes")
    assert answer.code == 2
    assert "the oldest event that is left has position 3" in answer.err


def test_replays_are_listed_with_their_progress_and_what_holds_them_up(filled: Desk) -> None:
    replay = start(filled, "archive", "--from", "1", "--to", "4")
    with filled.database() as db:
        state = CursorState("waiting", 2, NOW, NOW + 1000, "http_503: later")
        cursor = only_cursor(db, "archive", replay_id=replay.id)
        accept(db, cursor, read_all(db)[:1], progress=Progress(1), state=state)
    out = filled.run("replay", "list").out
    assert "1 of 4, 25 %" in out
    assert "waiting: http_503: later" in out
    (listed,) = filled.ask("replay", "list", "--running")
    assert (listed["state"], listed["accepted"], listed["events"]) == ("running", 1, 4)
    assert listed["trouble"] == "waiting: http_503: later"


def test_a_replay_is_called_off_once(filled: Desk) -> None:
    start(filled, "archive", "--all")
    answer = filled.run("replay", "cancel", "1")
    assert (answer.code, answer.out) == (0, "replay 1 is cancelled after 0 of 6, 0 %\n")
    assert filled.ask("replay", "list", "--running") == []
    assert [one["state"] for one in filled.ask("replay", "list")] == ["cancelled"]
    with filled.database() as db:
        assert cursors.load(db, "archive", replay_id=1) == []
    again = filled.run("replay", "cancel", "1")
    assert (again.code, again.out) == (2, "")
    assert "replay 1 is over already: cancelled" in again.err
    assert "there is no replay 7" in filled.run("replay", "cancel", "7").err


def test_a_retry_that_is_called_off_opens_its_letters_again(filled: Desk) -> None:
    filled.query(
        "INSERT INTO dead_letters (destination, position, source, event_id, reason, attempts,"
        " buried_at) VALUES ('archive', 2, 'customerio', 'event-2', 'odd', 1, 1)"
    )
    filled.run("dead-letters", "retry", "1")
    filled.run("replay", "cancel", "1")
    assert filled.query("SELECT state FROM dead_letters") == [("open",)]


def test_watching_looks_until_the_replay_is_over(filled: Desk) -> None:
    replay = start(filled, "archive", "--all")
    looks = itertools.count(1)

    def pause(seconds: float) -> None:
        assert seconds > 0
        if next(looks) == 3:
            with filled.database() as db:
                replays.add_counts(db, replay.id, accepted=6, buried=0)
                replays.finish(db, replay, "done", now=NOW)

    over = watch_replay(filled.config, replay.id, pause=pause)
    assert (over.state, over.accepted) == ("done", 6)
    assert next(looks) == 4


def test_who_stops_watching_does_not_stop_the_replay(filled: Desk) -> None:
    command = ["replay", "start", "archive", "--all", "--watch", "--yes"]
    called = [sys.executable, "-m", "streamer", *command, "--config", str(filled.config_file)]
    with (
        lockfile.hold(filled.data_dir),  # as if a service ran that never comes to it
        subprocess.Popen(
            called, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "replay 1 sends 6 events to archive\n"
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "the replay goes on" in said
    assert [one["state"] for one in filled.ask("replay", "list")] == ["running"]


def test_nobody_waits_for_a_service_that_does_not_run(filled: Desk) -> None:
    answer = filled.run("replay", "start", "archive", "--all", "--watch", "--yes")
    assert answer.code == 0
    assert "the service is stopped" in answer.err

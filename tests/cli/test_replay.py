"""A replay says what it would send before it does, and a rewind only ever goes back."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from streamer.cli import common
from streamer.cli.watch import watch_replay
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
    counted_steps,
    fill_outbox,
    only_cursor,
    read_all,
)
from tests.support.service import clean_environment


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


def test_a_replay_ends_at_the_cursor_and_says_what_is_left_out(replayable: Desk) -> None:
    answer = replayable.run("replay", "start", "archive", "--all", "--yes")
    assert answer.code == 0
    assert "replay 1 sends 6 events to archive" in answer.out
    assert "it ends at position 6: what is pending goes out by itself" in answer.err
    assert "the service is stopped: the replay begins when it starts" in answer.err
    assert replayable.query("SELECT from_position, to_position, events FROM replays") == [(1, 6, 6)]
    assert replayable.acts() == [("replay", "1: 6 events to archive")]


def test_a_replay_beyond_the_cursor_is_warned_of(replayable: Desk) -> None:
    answer = replayable.run("replay", "start", "archive", "--from", "5", "--to", "8", "--yes")
    assert "what lies behind position 6 is pending and will be sent twice" in answer.err
    assert replayable.query("SELECT to_position FROM replays") == [(8,)]


def test_with_lanes_a_replay_reaches_to_the_furthest_of_them(replayable: Desk) -> None:
    with replayable.database() as db:
        destinations.declare(db, [Declared("archive", "file", lanes=2)], now=NOW)
        db.execute("UPDATE cursors SET position = 8 WHERE lanes = 2 AND lane = 1")
    assert start(replayable, "archive", "--from", "2").to_position == 8


def test_picked_events_are_replayed_by_their_positions(replayable: Desk) -> None:
    replay = start(replayable, "archive", "--event", "event-5", "--event", "event-2")
    assert (replay.kind, replay.positions) == ("events", (2, 5))
    assert (replay.from_position, replay.to_position) == (2, 5)


def test_the_bounds_of_a_range_are_kept_in_the_row(replayable: Desk) -> None:
    options = ["--since", rfc3339(NOW + 2000), "--until", rfc3339(NOW + 5000), "--type", "*.sent"]
    replay = start(replayable, "archive", *options)
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
def test_what_makes_no_sense_is_refused(replayable: Desk, arguments: list[str], said: str) -> None:
    answer = replayable.run("replay", "start", *arguments, "--yes")
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert replayable.query("SELECT * FROM replays") == []


def test_nothing_is_started_without_a_yes_or_without_events(replayable: Desk) -> None:
    assert replayable.run("replay", "start", "archive", "--all").code == 2
    answer = replayable.run("replay", "start", "archive", "--all", "--type", "sms.sent", "--yes")
    assert answer.code == 1
    assert "there is nothing to send again" in answer.err
    assert replayable.query("SELECT * FROM replays") == []


def test_a_type_that_nobody_knows_is_warned_of(replayable: Desk) -> None:
    answer = replayable.run("replay", "start", "archive", "--all", "--type", "emial.*", "--dry-run")
    assert "did you mean email.*?" in answer.err


def test_nothing_is_replayed_to_a_destination_that_nobody_drains(replayable: Desk) -> None:
    replayable.config_file.write_text(CONFIG.partition("[destinations.hook]")[0], encoding="utf-8")
    answer = replayable.run("replay", "start", "hook", "--all", "--yes")
    assert answer.code == 2
    assert "'hook' is not in the configuration" in answer.err


def test_what_holds_a_replay_up_is_said_at_the_start(replayable: Desk) -> None:
    replayable.run("destination", "pause", "archive")
    first = replayable.run("replay", "start", "archive", "--all", "--yes")
    assert "archive is paused" in first.err
    assert "another replay is running" not in first.err
    assert (
        "another replay is running"
        in replayable.run("replay", "start", "archive", "--all", "--yes").err
    )


def test_a_rewind_moves_every_lane_back_and_is_written_down(replayable: Desk) -> None:
    with replayable.database() as db:
        db.execute("INSERT INTO settled_marks VALUES (2, 1), (6, 2)")
        before = only_cursor(db, "archive").generation
    answer = replayable.run(
        "replay", "start", "archive", "--rewind", "--from", "4", "--yes", "--json"
    )
    assert answer.json == {"destination": "archive", "cursor": 3, "before": 6, "events": 3}
    with replayable.database() as db:
        cursor = only_cursor(db, "archive")
    assert (cursor.progress.position, cursor.generation) == (3, before + 1)
    assert replayable.query("SELECT position FROM settled_marks") == [(2,)]
    assert replayable.query("SELECT * FROM replays") == []
    assert replayable.acts() == [("rewind", "archive from 6 to 3")]


@pytest.mark.parametrize(
    ("options", "position"),
    [
        (["--all"], 0),
        (["--since", rfc3339(NOW + 5000)], 4),
        (["--from", "2", "--since", rfc3339(NOW)], 1),
    ],
)
def test_a_rewind_begins_where_it_was_asked_to(
    replayable: Desk, options: list[str], position: int
) -> None:
    dry = replayable.run("replay", "start", "hook", "--rewind", *options, "--dry-run", "--json")
    assert replayable.acts() == []
    answer = replayable.run("replay", "start", "hook", "--rewind", *options, "--yes", "--json")
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
    replayable: Desk, options: list[str], said: str
) -> None:
    answer = replayable.run("replay", "start", "archive", "--rewind", *options, "--yes")
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert replayable.query("SELECT DISTINCT position FROM cursors") == [(6,)]


def test_a_rewind_never_skips_what_the_slowest_lane_has_still_to_send(replayable: Desk) -> None:
    with replayable.database() as db:
        destinations.declare(db, [Declared("archive", "file", lanes=2)], now=NOW)
        db.execute("UPDATE cursors SET position = 2 WHERE lanes = 2 AND lane = 0")
    answer = replayable.run("replay", "start", "archive", "--rewind", "--from", "4", "--yes")
    assert answer.code == 2
    assert "stands at 2, and a rewind only goes back" in answer.err


def test_a_rewind_to_what_was_pruned_says_where_the_outbox_begins(replayable: Desk) -> None:
    replayable.query("DELETE FROM outbox WHERE position < 3")
    answer = replayable.run("replay", "start", "archive", "--rewind", "--from", "2", "--yes")
    assert answer.code == 2
    assert "the oldest event that is left has position 3" in answer.err


def test_replays_are_listed_with_their_progress_and_what_holds_them_up(replayable: Desk) -> None:
    replay = start(replayable, "archive", "--from", "1", "--to", "4")
    with replayable.database() as db:
        state = CursorState("waiting", 2, NOW, NOW + 1000, "http_503: later")
        cursor = only_cursor(db, "archive", replay_id=replay.id)
        accept(db, cursor, read_all(db)[:1], progress=Progress(1), state=state)
    out = replayable.run("replay", "list").out
    assert "1 of 4, 25 %" in out
    assert "waiting: http_503: later" in out
    (listed,) = replayable.ask("replay", "list", "--running")
    assert (listed["state"], listed["accepted"], listed["events"]) == ("running", 1, 4)
    assert listed["trouble"] == "waiting: http_503: later"


def test_a_replay_is_called_off_once(replayable: Desk) -> None:
    start(replayable, "archive", "--all")
    answer = replayable.run("replay", "cancel", "1")
    assert (answer.code, answer.out) == (0, "replay 1 is cancelled after 0 of 6, 0 %\n")
    assert replayable.ask("replay", "list", "--running") == []
    assert [one["state"] for one in replayable.ask("replay", "list")] == ["cancelled"]
    with replayable.database() as db:
        assert cursors.load(db, "archive", replay_id=1) == []
    again = replayable.run("replay", "cancel", "1")
    assert (again.code, again.out) == (2, "")
    assert "replay 1 is over already: cancelled" in again.err
    assert "there is no replay 7" in replayable.run("replay", "cancel", "7").err


def test_a_retry_that_is_called_off_opens_its_letters_again(replayable: Desk) -> None:
    replayable.query(
        "INSERT INTO dead_letters (destination, position, source, event_id, reason, attempts,"
        " buried_at) VALUES ('archive', 2, 'customerio', 'event-2', 'odd', 1, 1)"
    )
    replayable.run("dead-letters", "retry", "1")
    replayable.run("replay", "cancel", "1")
    assert replayable.query("SELECT state FROM dead_letters") == [("open",)]


def test_watching_looks_until_the_replay_is_over(replayable: Desk) -> None:
    replay = start(replayable, "archive", "--all")
    looks = itertools.count(1)

    def pause(seconds: float) -> None:
        assert seconds > 0
        if next(looks) == 3:
            with replayable.database() as db:
                replays.add_counts(db, replay.id, accepted=6, buried=0)
                replays.finish(db, replay, "done", now=NOW)

    over = watch_replay(replayable.config, replay.id, pause=pause)
    assert (over.state, over.accepted) == ("done", 6)
    assert next(looks) == 4


def test_who_stops_watching_does_not_stop_the_replay(replayable: Desk) -> None:
    command = ["replay", "start", "archive", "--all", "--watch", "--yes"]
    called = [sys.executable, "-m", "streamer", *command, "--config", str(replayable.config_file)]
    with (
        lockfile.hold(replayable.data_dir),  # as if a service ran that never comes to it
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
    assert [one["state"] for one in replayable.ask("replay", "list")] == ["running"]


def test_nobody_waits_for_a_service_that_does_not_run(replayable: Desk) -> None:
    answer = replayable.run("replay", "start", "archive", "--all", "--watch", "--yes")
    assert answer.code == 0
    assert "the service is stopped" in answer.err

"""How the doctor judges what the world says: each judgement with the answers that decide it."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.app.room import Room
from streamer.cli.calls import Place, Reply
from streamer.cli.looks import configured, database, machine, permissions, public, service, units
from streamer.cli.looks.finding import Finding, guarded
from streamer.cli.looks.permissions import Entry
from streamer.config.model import Config
from streamer.core.errors import StoreError
from streamer.destinations.base import Finding as Probed
from streamer.store.alarms import RaisedAlarm
from tests.support.service import ROOT

SERVICE = {
    "LoadState": "loaded",
    "UnitFileState": "enabled",
    "ActiveState": "active",
    "SubState": "running",
    "LimitNOFILE": "65536",
    "NeedDaemonReload": "no",
    "DropInPaths": "",
}
SOCKET = {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active"}
UP = public.Known(instance="a1", running=True)


def reply(
    status: int, *, reason: str = "", instance: str = "", seconds: float = 0.01, body: bytes = b""
) -> Reply:
    headers = {"streamer-reason": reason, "streamer-instance": instance}
    present = {name: value for name, value in headers.items() if value}
    return Reply(status=status, headers=present, body=body, seconds=seconds)


def states(findings: list[Finding]) -> dict[str, str]:
    return {finding.code: finding.state for finding in findings}


@pytest.mark.parametrize(
    ("changed", "code", "state"),
    [
        ({}, "unit.service", "ok"),
        ({"ActiveState": "reloading"}, "unit.service", "ok"),
        ({"ActiveState": "failed", "Result": "exit-code"}, "unit.service", "failed"),
        ({"ActiveState": "inactive"}, "unit.service", "failed"),
        ({"ActiveState": "activating"}, "unit.service", "failed"),
        ({"UnitFileState": "disabled"}, "unit.boot", "warning"),
        ({"UnitFileState": "enabled-runtime"}, "unit.boot", "ok"),
        ({"NeedDaemonReload": "yes"}, "unit.reload", "warning"),
        ({"DropInPaths": "/etc/x.conf"}, "unit.drop_ins", "ok"),
        ({"LimitNOFILE": "1024"}, "unit.files", "warning"),
        ({"LoadState": "not-found"}, "unit", "warning"),
    ],
)
def test_the_service_unit(changed: dict[str, str], code: str, state: str) -> None:
    assert states(units.judge_units(SERVICE | changed, SOCKET))[code] == state


def test_a_socket_unit_that_is_down_means_refused_senders() -> None:
    down = units.judge_units(SERVICE, SOCKET | {"ActiveState": "inactive"})
    assert states(down)["unit.socket"] == "failed"
    assert states(units.judge_units(SERVICE, SOCKET))["unit.socket"] == "ok"


def test_units_at_their_best_leave_nothing_to_say_but_ok() -> None:
    assert set(states(units.judge_units(SERVICE, SOCKET)).values()) == {"ok"}


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        ({"NTPSynchronized": "yes", "NTP": "yes"}, "ok"),
        ({"NTPSynchronized": "no", "NTP": "yes"}, "warning"),
        ({"NTPSynchronized": "no", "NTP": "no"}, "warning"),
        ({}, "warning"),
        (None, "warning"),
    ],
)
def test_the_clock(shown: dict[str, str] | None, state: str) -> None:
    assert states(machine.judge_clock(shown)) == {"clock": state}


@pytest.mark.parametrize(
    ("free", "stops", "state"),
    [(1000, False, "ok"), (201, False, "ok"), (199, False, "warning"), (99, True, "failed")],
)
def test_room_is_judged_by_the_floor_at_which_calls_are_refused(
    free: int, stops: bool, state: str
) -> None:
    room = Room(free, 10_000, ingest_stops=stops, drain_stops=False)
    assert machine.judge_room(room, floor_bytes=100).state == state


def test_a_file_system_of_the_network_is_found_by_its_nearest_mount() -> None:
    mounts = (
        "/dev/a / ext4 rw 0 0\nserver:/x /var/lib nfs4 rw 0 0\n/dev/b /var/lib/here ext4 rw 0 0\n"
    )
    assert machine.judge_file_system(mounts, Path("/var/lib/streamer"))[0].state == "failed"
    assert machine.judge_file_system(mounts, Path("/var/lib/here/streamer")) == []
    assert machine.judge_file_system(mounts, Path("/var/library")) == []


@pytest.mark.parametrize(("mode", "state"), [(0o700, "ok"), (0o750, "warning"), (0o770, "failed")])
def test_the_data_directory_is_closed_to_others(mode: int, state: str) -> None:
    top = Entry(path=Path("/data"), owner=1, mode=mode)
    found = permissions.judge_entries(top, [Entry(path=Path("/data/x"), owner=1, mode=0o600)])
    assert [finding.state for finding in found] == [state]


def test_a_file_of_another_owner_is_a_failure() -> None:
    top = Entry(path=Path("/data"), owner=1, mode=0o700)
    found = permissions.judge_entries(top, [Entry(path=Path("/data/x"), owner=0, mode=0o600)])
    assert states(found) == {"permissions.owner": "failed"}
    assert found[0].hint.endswith("/data/x")


def test_a_file_that_others_can_read_is_warned_of() -> None:
    top = Entry(path=Path("/data"), owner=1, mode=0o700)
    found = permissions.judge_entries(top, [Entry(path=Path("/data/x"), owner=1, mode=0o640)])
    assert states(found) == {"permissions.file": "warning"}


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (reply(200, instance="a1"), "ok"),
        (reply(200, instance="a1", seconds=1.5), "warning"),
        (reply(503, instance="a1", body=b"the disk is full\n"), "failed"),
        (reply(200, instance="b2"), "failed"),
        (reply(200), "failed"),
    ],
)
def test_readiness(answer: Reply, state: str) -> None:
    place = Place(scheme="http", host="127.0.0.1", port=8080)
    assert states(service.judge_readiness(place, answer, "a1")) == {"service.ready": state}


def test_the_reason_for_being_unready_is_told() -> None:
    place = Place(scheme="http", host="127.0.0.1", port=8080)
    answer = reply(503, instance="a1", body=b"the disk is full\n")
    assert "the disk is full" in service.judge_readiness(place, answer, "a1")[0].detail


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (reply(200, instance="a1"), "ok"),
        (reply(503, instance="a1"), "ok"),
        (reply(200, instance="b2"), "failed"),
        (reply(404), "warning"),
    ],
)
def test_the_number_proves_which_service_answers(answer: Reply, state: str) -> None:
    assert states(public.judge_health(answer, UP)) == {"url.instance": state}


def test_without_the_databases_number_nothing_is_proved() -> None:
    unknown = public.Known(instance="", running=None)
    assert public.judge_health(reply(200, instance="a1"), unknown)[0].state == "warning"


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (reply(404, reason="no such source"), "name of a source"),
        (reply(301), "redirect"),
        (reply(401), "refuses callers"),
        (reply(502), "upstream"),
        (reply(404), "unchanged"),
    ],
)
def test_a_wrong_answer_at_the_webhook_says_where_to_look(answer: Reply, hint: str) -> None:
    found = public.judge_unsigned(answer, UP)
    assert states(found) == {"url.webhook": "failed"}
    assert hint in found[0].hint


@pytest.mark.parametrize(
    ("seconds", "state"), [(0.2, "ok"), (1.2, "warning"), (3.9, "warning"), (4.0, "failed")]
)
def test_the_time_of_an_answer_against_the_senders_patience(seconds: float, state: str) -> None:
    assert public.judge_time(seconds).state == state


@pytest.mark.parametrize(
    ("days", "state"), [(21.1, "ok"), (20.9, "warning"), (7.1, "warning"), (6.9, "failed")]
)
def test_the_days_that_a_certificate_has_left(days: float, state: str) -> None:
    assert public.judge_certificate(1e9 + days * 86_400, now_seconds=1e9).state == state


def test_a_wrong_signature_of_a_right_key_is_blamed_on_the_way() -> None:
    found = public.judge_test(reply(503, reason="signature wrong"))
    assert (found.state, "alters" in found.hint) == ("failed", True)
    assert public.judge_test(reply(503, reason="disk full")).hint == ""
    assert public.judge_test(reply(200)).state == "ok"


@pytest.mark.parametrize(("version", "state"), [(4, "ok"), (3, "warning"), (5, "failed")])
def test_the_schema_is_this_programs(version: int, state: str) -> None:
    assert database.judge_schema(version, 4).state == state


def test_the_write_ahead_log_is_judged_by_the_alarms_own_limit() -> None:
    config = Config()
    limit = config.outbox.wal_alarm_bytes
    assert database.judge_wal(limit, config).state == "ok"
    assert database.judge_wal(limit + 1, config).state == "failed"


def test_alarms_keep_their_code_and_their_weight() -> None:
    def raised(code: str, severity: str) -> RaisedAlarm:
        return RaisedAlarm(code, "hook", "title", "message", severity, 0, 0, 2)

    found = database.judge_alarms([raised("STR-301", "critical"), raised("STR-302", "warning")])
    assert states(found) == {"STR-301": "failed", "STR-302": "warning"}
    assert "hook: message" in found[0].detail
    assert "`streamer destination resume hook`" in found[0].hint
    assert f"See STR-301 in {ROOT / 'docs' / 'operating.md'}." in found[0].hint
    past = database.judge_alarms([raised("STR-101", "critical"), raised("STR-304", "critical")])
    assert states(past) == {"STR-101": "warning", "STR-304": "warning"}
    assert "It is over, and shown for a day." in past[0].hint
    assert states(database.judge_alarms([])) == {"alarms": "ok"}


def test_a_destinations_own_failure_weighs_less_for_a_user_without_its_rights() -> None:
    probed = [Probed(True, "one"), Probed(False, "two", "broken", "mend it")]
    found = configured.judge_probe("hook", probed, as_service=True)
    assert [finding.state for finding in found] == ["ok", "failed"]
    found = configured.judge_probe("hook", probed, as_service=False)
    assert [finding.state for finding in found] == ["ok", "warning"]


def test_a_look_that_fails_is_a_finding() -> None:
    def breaks() -> list[Finding]:
        raise StoreError("the database is failing", hint="look at the disk")

    def closed() -> list[Finding]:
        raise PermissionError(13, "Permission denied", "/data")

    def hidden() -> list[Finding]:
        raise StoreError("it cannot be opened") from PermissionError(13, "Permission denied")

    def gone() -> list[Finding]:
        raise OSError(5, "Input/output error")

    looks = (breaks, closed, hidden, gone)
    found = [guarded("code", "what", look)[0] for look in looks]
    assert [finding.state for finding in found] == ["failed", "warning", "warning", "failed"]
    assert found[0].hint == "look at the disk"
    assert all(finding.detail for finding in found)


@pytest.mark.parametrize(("cores", "state"), [(1, "warning"), (2, "ok"), (8, "ok")])
def test_processes_want_a_core_each(cores: int, state: str) -> None:
    [finding] = machine.judge_processes(2, cores)
    assert (finding.code, finding.state) == ("processes", state)
    assert finding.detail == f"2 processes, {cores} cores"


def test_of_one_process_there_is_nothing_to_say() -> None:
    assert machine.processes(1) == []
    assert [one.code for one in machine.processes(2)] == ["processes"]

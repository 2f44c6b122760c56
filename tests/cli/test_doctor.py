"""The doctor beside a service, without one, and where this user may see nothing."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamer.cli import examination
from streamer.cli.inspection import inspect
from streamer.clock import SystemClock
from streamer.store import alarms, dead_letters
from tests.cli.desk import Desk
from tests.store.build import NOW, append, burial, event, read_all, unreadable
from tests.support.processes import eventually
from tests.support.service import CONFIG, Service, run_command, running_service
from tests.support.users import without_rights

UNITS = {
    "streamer.service": {
        "LoadState": "loaded",
        "UnitFileState": "enabled",
        "ActiveState": "active",
        "SubState": "running",
        "NRestarts": "0",
        "LimitNOFILE": "65536",
        "NeedDaemonReload": "no",
        "DropInPaths": "",
    },
    "streamer.socket": {
        "LoadState": "loaded",
        "UnitFileState": "enabled",
        "ActiveState": "active",
        "SubState": "running",
    },
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


def findings(stdout: str) -> dict[str, dict[str, Any]]:
    """Return the findings by code; of several with one code the last."""
    return {finding["code"]: finding for finding in json.loads(stdout)["findings"]}


def states(stdout: str) -> dict[str, str]:
    return {code: finding["state"] for code, finding in findings(stdout).items()}


def tools(directory: Path, *, synchronised: str = "yes") -> dict[str, str]:
    """Put a systemctl and a timedatectl before the machine's own; return the environment."""
    places = directory / "tools"
    places.mkdir(exist_ok=True)
    cases = "".join(
        f"{unit}) cat <<'END'\n{''.join(f'{key}={value}{chr(10)}' for key, value in shown.items())}"
        "END\n;;\n"
        for unit, shown in UNITS.items()
    )
    (places / "systemctl").write_text(f'#!/bin/sh\ncase "$2" in\n{cases}esac\n')
    (places / "timedatectl").write_text(
        f"#!/bin/sh\necho NTP=yes\necho NTPSynchronized={synchronised}\n"
    )
    for tool in places.iterdir():
        tool.chmod(0o755)
    return {"PATH": f"{places}:{os.environ['PATH']}"}


def test_a_service_that_is_well_fails_no_look(service: Service, tmp_path: Path) -> None:
    ended = service.run("doctor", "--json", **tools(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    found = states(ended.stdout)
    for code in (
        "configuration", "service.running", "service.ready", "sqlite", "database.schema",
        "database.wal", "database.calls", "disk.room", "permissions", "destination.archive",
        "clock", "unit.service", "unit.socket", "unit.boot",
    ):  # fmt: skip
        assert found[code] == "ok", findings(ended.stdout)[code]


def test_a_person_is_told_what_to_do_and_what_was_not_looked_at(service: Service) -> None:
    (service.data_dir / "streamer.lock").chmod(0o644)
    said = service.run("doctor").stdout
    (service.data_dir / "streamer.lock").chmod(0o600)
    assert "ok      the service is running" in said
    assert f"chmod go= {service.data_dir / 'streamer.lock'}" in said
    assert "Not looked at: the public URL" in said


def test_a_clock_that_runs_free_is_a_warning(service: Service, tmp_path: Path) -> None:
    ended = service.run("doctor", "--json", **tools(tmp_path, synchronised="no"))
    assert (ended.returncode, states(ended.stdout)["clock"]) == (0, "warning")


def test_what_a_stranger_can_bring_about_does_not_make_it_fail(tmp_path: Path) -> None:
    """Anybody may send a wrong signature, and for a day nobody could use the exit code."""
    with running_service(tmp_path) as service:
        assert service.run("send-sample", "--bad-signature").returncode == 0
        eventually(lambda: json.loads(service.run("status", "--json").stdout)["alarms"], "an alarm")
        ended = service.run("doctor", "--json")
    found = findings(ended.stdout)["STR-101"]
    assert found["state"] == "warning"
    assert "customerio" in found["detail"]
    assert ended.returncode == 0, ended.stdout


def test_an_incident_is_over_when_what_it_left_is_dealt_with(desk: Desk) -> None:
    with desk.database() as db:
        append(db, event(1), unreadable(b"{"))
        dead_letters.bury(db, "hook", [burial(read_all(db)[0])], now=NOW)
        for code, subject in (("STR-102", "customerio"), ("STR-303", "hook")):
            alarms.note(db, code, subject, "look", times=1, now=SystemClock().now())
    assert {"STR-102", "STR-303"} <= set(states(desk.run("doctor", "--json").out))
    assert desk.run("quarantine", "discard", "1", "--yes").code == 0
    assert "STR-102" not in states(desk.run("doctor", "--json").out)
    assert desk.run("dead-letters", "discard", "1", "--yes").code == 0
    found = states(desk.run("doctor", "--json").out)
    assert "STR-303" not in found
    assert found["alarms"] == "ok"


def test_a_condition_that_stands_fails(desk: Desk) -> None:
    with desk.database() as db:
        alarms.note(db, "STR-301", "hook", "http_401", times=1, now=NOW)
    answer = desk.run("doctor", "--json")
    assert (answer.code, states(answer.out)["STR-301"]) == (1, "failed")


def test_a_look_that_fails_does_not_say_the_good_case(tmp_path: Path) -> None:
    """Nobody should have to read ``FAILED the service is running``."""
    with running_service(tmp_path) as service:
        well = findings(service.run("doctor", "--json", **tools(tmp_path)).stdout)
        service.stop()
        (service.data_dir / "streamer.lock").chmod(0o666)
        floor = {"STREAMER_OUTBOX__INGEST_FLOOR_BYTES": str(2**50)}
        changed = {**tools(tmp_path, synchronised="no"), **floor}
        ill = findings(service.run("doctor", "--json", **changed).stdout)
    worse = {code for code, one in ill.items() if one["state"] != "ok"}
    assert worse >= {"service.running", "disk.room", "clock", "permissions.file"}
    assert {ill[code]["what"] for code in worse} & {one["what"] for one in well.values()} == set()
    said = service.run("doctor", **changed).stdout
    assert "FAILED  the service is not running: nobody holds " in said
    assert "FAILED  the disk is nearly full" in said


def test_a_source_that_is_not_configured_is_a_wrong_use(desk: Desk) -> None:
    answer = desk.run("doctor", "--source", "custmerio")
    assert (answer.code, answer.out) == (2, "")
    assert "there is no source 'custmerio'" in answer.err
    assert "Did you mean customerio?" in answer.err


def test_without_a_service_it_says_so_and_looks_at_the_rest(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        service.stop()
        ended = service.run("doctor", "--json")
    assert (ended.returncode, ended.stderr) == (1, "")
    found = states(ended.stdout)
    assert found["service.running"] == "failed"
    assert "service.ready" not in found, "a socket unit would start the service for the asking"
    assert found["database.schema"] == found["destination.archive"] == "ok"


def test_before_the_first_start_nothing_is_made(tmp_path: Path) -> None:
    ended = run_command("doctor", "--json", cwd=tmp_path)
    assert (ended.returncode, states(ended.stdout)["database"]) == (1, "warning")
    assert list(tmp_path.iterdir()) == []


def test_another_program_on_the_port_is_told_from_the_service(
    service: Service, tmp_path: Path
) -> None:
    with running_service(tmp_path) as other:
        elsewhere = {"STREAMER_SERVER__BIND": other.environment["STREAMER_SERVER__BIND"]}
        ended = service.run("doctor", "--json", **elsewhere)
    assert states(ended.stdout)["service.ready"] == "failed"
    assert "another database" in findings(ended.stdout)["service.ready"]["detail"]
    admin = {"STREAMER_SERVER__BIND": "127.0.0.1:1"}
    refused = service.run("doctor", "--json", **admin)
    assert "refused" in findings(refused.stdout)["service.ready"]["detail"]


def test_a_wrong_configuration_is_a_finding_and_the_machine_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "streamer.toml").write_text(CONFIG + "direktory = 1\n")
    ended = run_command("doctor", "--json", "--url", "http://127.0.0.1:1", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (1, "")
    found = states(ended.stdout)
    assert found["configuration"] == found["url.connect"] == "failed"
    assert "clock" in found


def test_a_test_event_wants_a_url(tmp_path: Path) -> None:
    assert run_command("doctor", "--send-test", cwd=tmp_path).returncode == 2


def test_what_this_user_may_not_see_is_a_warning_and_no_failure() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make files that its tests cannot see")
    with tempfile.TemporaryDirectory() as place:  # not below pytest's, which is closed to others
        Path(place).chmod(0o755)
        with running_service(Path(place)) as service:
            (Path(place) / "streamer.toml").chmod(0o644)
            with without_rights():
                found = inspect(service.config)
                assert found.loaded is not None
                seen = examination.look_inside(found.loaded.config, found)
    by_code = {finding.code: finding for finding in seen}
    for code in ("service.running", "database", "alarms", "permissions", "user"):
        assert by_code[code].state == "warning", by_code[code]
        assert "sudo -u" in by_code[code].hint
    assert by_code["destination.archive"].state == "warning"

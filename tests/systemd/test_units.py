"""The units, as systemd's own tools see them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SHIPPED = Path(__file__).parents[2] / "systemd"
EXPOSURE_MAX = 20  # in tenths: 2.0 of 10, where a bare unit has 9.6

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


class Unit:
    """The settings of a unit file, with every value of those that occur several times."""

    def __init__(self, name: str) -> None:
        self.settings: dict[str, list[str]] = {}
        section = ""
        for line in (SHIPPED / name).read_text().splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif "=" in line and not line.startswith("#"):
                key, value = line.split("=", 1)
                self.settings.setdefault(f"{section}.{key}", []).append(value)

    def all(self, key: str) -> list[str]:
        return self.settings.get(key, [])

    def one(self, key: str) -> str:
        (value,) = self.all(key)
        return value

    def seconds(self, key: str) -> int:
        return int(self.one(key))


@pytest.fixture
def service() -> Unit:
    return Unit("streamer.service")


@pytest.fixture
def listener() -> Unit:
    return Unit("streamer.socket")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units where systemd-analyze finds the program that they start."""
    for name in ("streamer.service", "streamer.socket"):
        text = (SHIPPED / name).read_text()
        # Only the program's own path; everything else is looked at as shipped.
        (tmp_path / name).write_text(text.replace("/opt/streamer/bin/streamer", "/bin/true"))
    return tmp_path


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@needs_systemd
class TestSystemdAnalyze:
    def verify(self, directory: Path) -> str:
        # The exit status is 0 even for a setting that systemd does not know; its words count.
        return analyze(
            "verify", directory / "streamer.service", directory / "streamer.socket"
        ).stdout

    def test_systemd_has_nothing_to_say_about_the_units(self, installed: Path) -> None:
        assert self.verify(installed) == ""

    def test_systemd_would_speak_up_about_a_setting_it_does_not_know(self, installed: Path) -> None:
        with (installed / "streamer.service").open("a") as unit:
            unit.write("\n[Service]\nWatchdogSecs=30\n")
        assert "WatchdogSecs" in self.verify(installed)

    def test_the_service_is_exposed_to_little(self, installed: Path) -> None:
        report = analyze(
            "security",
            "--offline=true",
            f"--threshold={EXPOSURE_MAX}",
            installed / "streamer.service",
        )
        assert report.returncode == 0, report.stdout

    def test_no_protection_is_left_out_by_a_slip(self, installed: Path) -> None:
        # systemd-analyze knows which protections there are. These are the ones that a network
        # service with files cannot have, and what ProtectClock= itself allows (char-rtc:r).
        report = analyze("security", "--offline=true", installed / "streamer.service")
        missing = {line.split()[1] for line in report.stdout.splitlines() if line.startswith("✗")}
        assert missing <= {
            "DeviceAllow=",
            "IPAddressDeny=",
            "PrivateNetwork=",
            "RestrictAddressFamilies=~AF_(INET|INET6)",
            "RestrictAddressFamilies=~AF_UNIX",
            "RootDirectory=/RootImage=",
        }


class TestService:
    def test_it_says_itself_when_it_is_ready(self, service: Unit) -> None:
        assert service.one("Service.Type") == "notify"
        assert service.one("Service.NotifyAccess") == "main"

    def test_it_is_started_and_reloaded_with_the_same_configuration(self, service: Unit) -> None:
        command = "/opt/streamer/bin/streamer {} --config /etc/streamer/streamer.toml"
        assert service.one("Service.ExecStart") == command.format("serve")
        # The service itself refuses a wrong one; the check tells whoever asked for the reload.
        assert service.all("Service.ExecReload") == [
            "/bin/kill -HUP $MAINPID",
            command.format("check"),
        ]

    def test_a_wrong_configuration_is_not_tried_again_and_again(self, service: Unit) -> None:
        assert service.one("Service.RestartPreventExitStatus") == "78"
        # systemd looks at the main process's exit status only.
        assert service.all("Service.ExecStartPre") == []
        assert service.all("Service.ExecCondition") == []

    def test_a_crash_never_uses_up_the_starts_that_are_allowed(self, service: Unit) -> None:
        assert service.one("Service.Restart") == "always"
        starts = service.seconds("Unit.StartLimitIntervalSec") / service.seconds(
            "Service.RestartSec"
        )
        # Even a start that failed in no time at all would come to no more than this.
        assert starts <= service.seconds("Unit.StartLimitBurst")

    def test_it_is_watched(self, service: Unit) -> None:
        assert service.seconds("Service.WatchdogSec") == 30

    def test_its_files_are_its_own(self, service: Unit) -> None:
        assert service.one("Service.User") == "streamer"
        assert service.one("Service.UMask") == "0077"
        assert service.one("Service.StateDirectory") == "streamer"
        assert service.one("Service.StateDirectoryMode") == "0700"

    def test_it_runs_before_the_first_webhook_and_has_its_socket(self, service: Unit) -> None:
        assert service.one("Install.WantedBy") == "multi-user.target"
        assert service.one("Unit.Requires") == "streamer.socket"
        assert "streamer.socket" in service.one("Unit.After").split()

    def test_what_people_wrote_reaches_neither_swap_nor_core_files(self, service: Unit) -> None:
        assert service.one("Service.MemorySwapMax") == "0"
        assert service.one("Service.LimitCORE") == "0"

    def test_its_user_is_made_by_sysusers(self, service: Unit) -> None:
        (line,) = [
            line
            for line in (SHIPPED / "streamer.sysusers.conf").read_text().splitlines()
            if not line.startswith("#")
        ]
        assert line.split()[:2] == ["u", service.one("Service.User")]


class TestSocket:
    def test_it_listens_on_loopback_only(self, listener: Unit) -> None:
        assert listener.all("Socket.ListenStream") == ["127.0.0.1:8080"]

    def test_the_program_finds_it_by_name(self, listener: Unit) -> None:
        assert listener.one("Socket.FileDescriptorName") == "ingest"

    def test_a_restart_leaves_room_for_those_who_wait(self, listener: Unit) -> None:
        assert int(listener.one("Socket.Backlog")) >= 1024

    @pytest.mark.parametrize("proxy", ["Caddyfile", "nginx-streamer.conf"])
    def test_the_proxies_speak_to_it(self, listener: Unit, proxy: str) -> None:
        assert listener.one("Socket.ListenStream") in (SHIPPED / proxy).read_text()

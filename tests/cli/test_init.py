"""A configuration to start from, which never takes another one's place unasked."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from tests.support.service import run_command


def test_what_it_writes_is_right_once_the_key_is_there(tmp_path: Path) -> None:
    written = run_command("init", "--directory", str(tmp_path / "new"))
    assert written.returncode == 0, written.stderr
    path = tmp_path / "new" / "streamer.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    before = run_command("check", "--config", str(path))
    assert before.returncode == 78
    assert "signing-key does not exist" in before.stderr

    key = tmp_path / "new" / "streamer-data" / "signing-key"
    key.parent.mkdir(mode=0o700)
    key.write_text("the key")
    key.chmod(0o600)
    after = run_command("check", "--config", str(path))
    assert (after.returncode, after.stderr) == (0, "")


def test_it_says_where_the_key_goes_and_what_to_run_next(tmp_path: Path) -> None:
    said = run_command("init", cwd=tmp_path).stdout
    assert str(tmp_path / "streamer-data" / "signing-key") in said
    for command in ("check", "serve", "send-sample"):
        assert f"streamer {command} --config {tmp_path / 'streamer.toml'}" in said


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "streamer.toml"
    path.write_text("mine")
    refused = run_command("init", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert path.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["streamer.toml"]


def test_force_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "streamer.toml"
    path.write_text("mine")
    assert run_command("init", "--force", cwd=tmp_path).returncode == 0
    assert "[sources.customerio]" in path.read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["streamer.toml"]


def test_programs_get_the_paths(tmp_path: Path) -> None:
    told = json.loads(run_command("init", "--json", cwd=tmp_path).stdout)
    assert told == {
        "path": str(tmp_path / "streamer.toml"),
        "data_dir": str(tmp_path / "streamer-data"),
    }


def test_a_place_that_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed = run_command("init", "--directory", str(tmp_path / "file" / "below"))
    assert failed.returncode == 1
    assert "cannot be written" in failed.stderr
    assert "Traceback" not in failed.stderr

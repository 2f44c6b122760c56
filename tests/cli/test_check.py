"""All that is wrong with a configuration, told at once and without touching anything."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from streamer.cli.inspection import inspect
from tests.support.service import CONFIG, ROOT, clean_environment, run_command
from tests.support.users import without_rights

HOOK = '[destinations.hook]\nkind = "http"\nurl = "https://example.com/events"\n'


def write(directory: Path, text: str = CONFIG, *, key: str = "the key") -> Path:
    """Write a configuration and its key, and return the configuration's path."""
    path = directory / "streamer.toml"
    path.write_text(text)
    (directory / "key").write_text(key)
    (directory / "key").chmod(0o600)
    return path


def test_a_right_configuration_is_said_to_be_right(tmp_path: Path) -> None:
    path = write(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    checked = run_command("check", "--config", str(path))
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == f"{path} is right: 1 source, 1 destination.\n"
    assert sorted(tmp_path.rglob("*")) == before, "it changes nothing"


def test_the_built_in_configuration_is_right_before_its_key_is_made(tmp_path: Path) -> None:
    checked = run_command("check", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert list(tmp_path.iterdir()) == []


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = (
        CONFIG.replace("[sources", "[outbox]\nretention_days = 1\n\n[sources") + "direktory = 1\n"
    )
    checked = run_command("check", "--config", str(write(tmp_path, text)))
    assert checked.returncode == 78
    assert "2 errors" in checked.stderr
    assert "outbox.retention_days" in checked.stderr
    assert "destinations.archive.direktory" in checked.stderr


def test_all_missing_secrets_and_unusable_destinations_are_told_at_once(tmp_path: Path) -> None:
    text = CONFIG + HOOK + 'ca_file = "none.pem"\n'
    path = write(tmp_path, text.replace('"key"', '"no-key"'))
    checked = run_command("check", "--config", str(path), "--json")
    assert checked.returncode == 78
    told = json.loads(checked.stdout)
    assert told["ok"] is False
    assert told["path"] == str(path)
    assert [problem["path"] for problem in told["problems"]] == [
        "sources.customerio.signing_keys[0]",
        "destinations.hook",
    ]


def test_programs_get_one_object(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "key").chmod(0o644)
    checked = run_command("check", "--config", str(path), "--json")
    assert checked.returncode == 0
    told = json.loads(checked.stdout)
    assert set(told) == {"ok", "path", "problems", "warnings"}
    assert (told["ok"], told["problems"]) == (True, [])
    assert "open to other users" in told["warnings"][0]["message"]


def test_a_file_that_is_no_configuration_is_told_to_programs_too(tmp_path: Path) -> None:
    path = write(tmp_path, "a = = b")
    checked = run_command("check", "--config", str(path), "--json")
    assert checked.returncode == 78
    told = json.loads(checked.stdout)
    assert (told["ok"], told["path"]) == (False, str(path))
    assert "not valid TOML" in told["problems"][0]["message"]


@pytest.mark.parametrize("text", [CONFIG + "direktory = 1\n", "\x00", None])
def test_programs_are_told_which_file_is_wrong(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "streamer.toml"
    if text is not None:
        path.write_text(text)
    checked = run_command("check", "--config", str(path), "--json")
    assert checked.returncode == 78
    assert json.loads(checked.stdout)["path"] == str(path)


def test_a_credential_cannot_be_seen_outside_the_service(tmp_path: Path) -> None:
    path = write(tmp_path, CONFIG.replace('file = "key"', 'credential = "key"'))
    outside = run_command("check", "--config", str(path))
    assert outside.returncode == 0, outside.stderr
    warning, hint, verdict = outside.stdout.splitlines()
    assert "not looked at: only the service is given the credential key" in warning
    assert hint.startswith("    As root, CREDENTIALS_DIRECTORY=")
    assert verdict.startswith(f"{path} is right")

    given = tmp_path / "credentials"
    given.mkdir()
    variable = {"CREDENTIALS_DIRECTORY": str(given)}
    missing = run_command("check", "--config", str(path), environment=variable)
    assert missing.returncode == 78
    (given / "key").write_text("the key")
    assert run_command("check", "--config", str(path), environment=variable).returncode == 0


def test_a_secret_of_another_user_is_no_mistake() -> None:
    with tempfile.TemporaryDirectory() as place:  # not below pytest's, which is closed to others
        path = write(Path(place))
        Path(place).chmod(0o711)
        path.chmod(0o644)
        (Path(place) / "key").chmod(0o000)
        with without_rights():
            found = inspect(path)
    assert found.problems == []
    assert [warning.path for warning in found.warnings] == ["sources.customerio.signing_keys[0]"]
    assert "not looked at" in found.warnings[0].message
    assert "sudo -u" in found.warnings[0].hint


@pytest.mark.parametrize("with_hook", [False, True])
def test_the_http_client_is_loaded_only_for_a_destination_of_its_kind(
    tmp_path: Path, *, with_hook: bool
) -> None:
    path = write(tmp_path, CONFIG + (HOOK if with_hook else ""))
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "streamer", "check", "--config", str(path)],
        capture_output=True,
        check=True,
        env=clean_environment(),
        text=True,
    )
    modules = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert ("aiohttp" in modules) is with_hook


def test_no_secret_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path, CONFIG + HOOK + 'signing_key = { file = "key" }\n', key="not-a-real-one")
    checked = run_command("check", "--config", str(path), "--json")
    assert checked.returncode == 0, "a key of another form is the destination's probe's to tell"
    assert "not-a-real-one" not in checked.stdout + checked.stderr


@pytest.mark.parametrize("command", ["check", "serve"])
def test_an_engine_that_is_not_installed_is_told_with_what_to_install(
    tmp_path: Path, command: str
) -> None:
    path = write(tmp_path, CONFIG + '[server]\nengine = "uvicorn"\n')
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['httptools'] = None\n")
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    told = run_command(command, "--config", str(path), environment=environment)
    assert told.returncode == 78
    assert 'engine = "uvicorn" needs what is not installed: httptools' in told.stderr
    assert "--extras" in told.stderr
    assert run_command("check", "--config", str(path)).returncode == 0


def test_only_the_engine_that_is_configured_is_loaded() -> None:
    script = (
        "import sys; from streamer.web.engine import make_engine;"
        "make_engine(sys.argv[1], print);"
        "print(*{'hypercorn', 'uvicorn'} & set(sys.modules))"
    )
    for name in ("hypercorn", "uvicorn"):
        run = subprocess.run(
            [sys.executable, "-c", script, name],
            capture_output=True, text=True, check=True, env=clean_environment(),
        )  # fmt: skip
        assert run.stdout.split() == [name]

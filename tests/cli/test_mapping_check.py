"""`streamer check` tells what is wrong with mappings, each mistake by the line of its file."""

from __future__ import annotations

import subprocess
import sys

import pytest

from streamer.cli.inspection import inspect
from tests.cli.desk import CONFIG, Desk
from tests.cli.test_mapping import LAKE, MAPPING
from tests.support.service import KEY, clean_environment, run_command


@pytest.fixture
def lake(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose destination's secret can be read."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    key = desk.config_file.with_name("key")
    key.write_text(KEY)
    key.chmod(0o600)
    text = CONFIG + LAKE.replace('credential = "nobody-has-this"', 'file = "key"')
    desk.config_file.write_text(text)
    return desk


def test_a_right_mapping_is_no_word_worth(lake: Desk) -> None:
    lake.config_file.with_name("mapping.toml").write_text(MAPPING)
    found = inspect(lake.config_file)
    assert (found.problems, found.warnings) == ([], [])
    assert [one.name for one in found.destinations] == ["archive", "hook", "lake"]


def test_every_mistake_is_told_once_with_its_line(lake: Desk) -> None:
    file = lake.config_file.with_name("mapping.toml")
    file.write_text(MAPPING.replace("lower(", "lowr(").replace('note = "', 'nte = "'))
    found = inspect(lake.config_file)
    assert [(one.path, one.where, one.message) for one in found.problems] == [
        ("destinations.lake.mapping", f"{file}:7", "rules[0].nte: is not a known key"),
        (
            "destinations.lake.mapping",
            f"{file}:11",
            "rules[1].source: there is no function lowr() (at character 1)",
        ),
    ]
    assert found.problems[0].hint == "Did you mean `note`?"
    assert [one.name for one in found.destinations] == ["archive", "hook"]


def test_a_mapping_is_looked_at_where_the_secret_cannot_be_read(lake: Desk) -> None:
    lake.config_file.write_text(CONFIG + LAKE)
    lake.config_file.with_name("mapping.toml").write_text("rulse = 1")
    found = inspect(lake.config_file)
    assert [one.message for one in found.problems] == ["rulse: is not a known key"]


def test_what_is_only_odd_is_a_warning(lake: Desk) -> None:
    file = lake.config_file.with_name("mapping.toml")
    file.write_text(MAPPING.replace("email.clicked", "email.clickd"))
    found = inspect(lake.config_file)
    assert found.problems == []
    (warning,) = found.warnings
    assert (warning.where, warning.path) == (f"{file}:6", "destinations.lake.mapping")
    assert "did you mean email.clicked" in warning.message


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("", "mapping.toml cannot be read: No such file"),
        (
            'identities = [{ namespace = "Email", source = "data.recipient" }, '
            '{ namespace = "CRM", source = "lowr(data.recipient)" }]',
            "the source of identities[1] is wrong: there is no function lowr()",
        ),
        ('email_details = false\nmapping = "link.toml"', "directMarketing.linkURL"),
    ],
)
def test_a_setting_that_makes_no_mapping_is_told(lake: Desk, setting: str, told: str) -> None:
    link = '[[rules]]\ndestination = "directMarketing.linkURL"\nsource = "data.href"\n'
    lake.config_file.with_name("link.toml").write_text(link)
    text = lake.config_file.read_text()
    if setting:
        text = text.replace('mapping = "mapping.toml"\n', "") + setting + "\n"
    lake.config_file.write_text(text)
    (problem,) = inspect(lake.config_file).problems
    assert problem.path == "destinations.lake"
    assert told in problem.message


def test_the_command_ends_with_78_and_the_line(lake: Desk) -> None:
    file = lake.config_file.with_name("mapping.toml")
    file.write_text("\n\nremoved = []")
    checked = run_command("check", "--config", str(lake.config_file))
    assert checked.returncode == 78
    assert f"destinations.lake.mapping ({file}:3): removed: is not a known key" in checked.stderr
    assert "Did you mean `remove`?" in checked.stderr


def test_a_configuration_without_a_mapping_loads_none(desk: Desk) -> None:
    code = (
        "import sys; from pathlib import Path; from streamer.cli.inspection import inspect; "
        f"inspect(Path({str(desk.config_file)!r})); "
        "sys.exit('streamer.core.xdm.mapper' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=clean_environment(), check=False)
    assert ended.returncode == 0

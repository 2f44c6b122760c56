"""Where the configuration is found, and that every mistake in it is reported at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamer.config.load import Loaded, load
from streamer.config.problems import ConfigurationErrors
from streamer.core.limits import CONFIG_FILE_BYTES_MAX
from streamer.destinations.common_options import Secret
from streamer.destinations.options import FileOptions, HttpOptions

from .conftest import LoadText

DESIGN_EXAMPLE = """
data_dir = "/var/lib/streamer"

[server]
bind = "127.0.0.1:8080"
engine = "hypercorn"
processes = 1

[admin]
bind = "127.0.0.1:8081"

[outbox]
retention_days = 14

[sources.customerio]
kind = "customerio"
signing_keys = [{ credential = "customerio-signing-key" }]
app_api_key = { credential = "customerio-app-api-key" }
app_api_url = "https://api.customer.io"

[destinations.archive]
kind = "file"
directory = "/var/lib/streamer/archive"

[destinations.hook]
kind = "http"
url = "https://example.com/events"
batch_events_max = 100
linger_ms = 0
rate_per_second = 0
lanes = 1
start = "earliest"
signing_key = { credential = "hook-key" }
include = ["email.*", "customer.unsubscribed"]
privacy = { hash = ["identifiers.email"], drop = ["content"] }
"""


def load_in(
    directory: Path, *, file: str | None = None, search: str = "none.toml", **environ: str
) -> Loaded:
    named = Path(file) if file else None
    return load(named, environ=environ, working_directory=directory, search=[Path(search)])


def test_the_whole_example_is_understood(load_text: LoadText) -> None:
    loaded = load_text(DESIGN_EXAMPLE)
    config = loaded.config
    assert loaded.warnings == []
    assert config.database_path == Path("/var/lib/streamer/streamer.db")
    assert config.sources["customerio"].signing_keys == [Secret("customerio-signing-key")]
    hook = config.destinations["hook"]
    assert isinstance(hook, HttpOptions)
    assert hook.privacy.hash == ["identifiers.email"]
    archive = config.destinations["archive"]
    assert isinstance(archive, FileOptions)
    assert archive.directory == "/var/lib/streamer/archive"


def test_the_file_named_on_the_command_line_wins(tmp_path: Path) -> None:
    for name in ("named", "variable", "found"):
        (tmp_path / f"{name}.toml").write_text(f'data_dir = "/{name}"')
    environment = {"STREAMER_CONFIG": "variable.toml"}

    named = load_in(tmp_path, file="named.toml", search="found.toml", **environment)
    variable = load_in(tmp_path, search="found.toml", **environment)
    found = load_in(tmp_path, search="found.toml")

    assert (named.origin, named.config.data_dir) == ("argument", "/named")
    assert (variable.origin, variable.config.data_dir) == ("environment", "/variable")
    assert (found.origin, found.config.data_dir) == ("search", "/found")
    assert found.path == tmp_path / "found.toml"


def test_an_empty_variable_names_no_file(tmp_path: Path) -> None:
    assert load_in(tmp_path, STREAMER_CONFIG="").origin == "default"


def test_the_first_file_that_exists_is_taken(tmp_path: Path) -> None:
    (tmp_path / "second.toml").write_text('data_dir = "/second"')
    (tmp_path / "third.toml").write_text('data_dir = "/third"')
    search = [Path("first.toml"), Path("second.toml"), Path("third.toml")]
    loaded = load(None, environ={}, working_directory=tmp_path, search=search)
    assert loaded.config.data_dir == "/second"


def test_without_a_file_the_default_listens_on_loopback_and_archives(tmp_path: Path) -> None:
    loaded = load_in(tmp_path)
    data = tmp_path / "streamer-data"
    config = loaded.config
    assert (loaded.origin, loaded.path, loaded.warnings) == ("default", None, [])
    assert (config.server.bind, config.data_dir) == ("127.0.0.1:8080", str(data))
    assert config.sources["customerio"].signing_keys == [Secret(file=str(data / "signing-key"))]
    assert config.destinations == {"archive": FileOptions(directory=str(data / "archive"))}


def test_the_default_follows_the_data_directory_of_the_environment(tmp_path: Path) -> None:
    config = load_in(tmp_path, STREAMER_DATA_DIR="elsewhere").config
    assert config.data_dir == str(tmp_path / "elsewhere")
    assert config.destinations["archive"] == FileOptions(
        directory=str(tmp_path / "elsewhere" / "archive")
    )


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationErrors, match=r"gone\.toml: does not exist") as caught:
        load_in(tmp_path, file="gone.toml")
    assert caught.value.exit_code == 78


def test_a_file_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "streamer.toml").mkdir()
    with pytest.raises(ConfigurationErrors, match="cannot be read: Is a directory"):
        load_in(tmp_path, search="streamer.toml")


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        (b"[server]\nbind = = 1\n", ":2:8", "not valid TOML"),
        (b"[server]\n[server]\n", ":2:8", "not valid TOML"),
        (b"a = [1,", "", "at end of document"),
        (b"a = " + b"[" * 20_000, "", "nested too deeply"),
        (b"a = " + b"9" * 5_000, "", "a number has thousands of digits$"),
        (b"[server]\n# caf\xe9\n", ":2", "is not UTF-8 text"),
        (b"#" * (CONFIG_FILE_BYTES_MAX + 1), "", "is larger than"),
    ],
)
def test_what_is_no_toml_is_reported_with_its_place(
    tmp_path: Path, content: bytes, where: str, message: str
) -> None:
    file = tmp_path / "streamer.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationErrors, match=message) as caught:
        load_in(tmp_path, file="streamer.toml")
    assert [problem.where for problem in caught.value.problems] == [f"{file}{where}"]


def test_relative_paths_belong_to_the_file_or_else_to_the_working_directory(
    tmp_path: Path,
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "streamer.toml").write_text(
        """
        data_dir = "data"
        destinations.hook = { kind = "http", url = "https://example.com/", ca_file = "ca.pem" }
        sources.customerio = { kind = "customerio", signing_keys = [{ file = "key" }] }
        """
    )
    ca_file = "STREAMER_DESTINATIONS__HOOK__CA_FILE"
    config = load_in(tmp_path, file="etc/streamer.toml", **{ca_file: "here.pem"}).config
    hook = config.destinations["hook"]
    assert isinstance(hook, HttpOptions)
    assert config.data_dir == str(tmp_path / "etc" / "data")
    assert config.sources["customerio"].signing_keys[0].file == str(tmp_path / "etc" / "key")
    assert hook.ca_file == str(tmp_path / "here.pem")


def test_paths_left_out_are_absolute_too(load_text: LoadText, tmp_path: Path) -> None:
    assert load_text("").config.data_dir == str(tmp_path / "streamer-data")


def test_a_time_without_quotes_is_a_time(load_text: LoadText) -> None:
    screen = '[destinations.screen]\nkind = "stdout"\nstart = 2026-11-01T00:00:00Z'
    assert load_text(screen).config.destinations["screen"].start == "2026-11-01T00:00:00+00:00"


def test_a_configuration_that_does_nothing_is_warned_of(load_text: LoadText) -> None:
    assert [warning.path for warning in load_text("").warnings] == ["sources", "destinations"]


def test_a_pattern_that_no_event_has_is_warned_of_with_its_line(
    load_text: LoadText, tmp_path: Path
) -> None:
    text = DESIGN_EXAMPLE.replace('"customer.unsubscribed"', '"emial.opened"')
    [warning] = load_text(text).warnings
    line = 1 + text[: text.index("include")].count("\n")
    assert warning.path == "destinations.hook.include[1]"
    assert warning.where == f"{tmp_path / 'streamer.toml'}:{line}"
    assert "email.opened" in warning.message


def test_an_unreadable_directory_of_the_search_is_an_error_and_not_a_default(
    tmp_path: Path,
) -> None:
    if os.geteuid() == 0:
        loop = tmp_path / "streamer.toml"
        loop.symlink_to(loop)
        reason = "symbolic links"
    else:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o000)
        loop = locked / "streamer.toml"
        reason = "Permission denied"
    with pytest.raises(ConfigurationErrors, match=reason):
        load_in(tmp_path, search=str(loop))

"""Secrets are read from three places and shown nowhere."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

import pytest

from streamer.config.model import Config
from streamer.config.problems import ConfigurationErrors
from streamer.config.secrets import exposures, resolve, resolve_all, secrets_in
from streamer.core.errors import ConfigurationError
from streamer.core.limits import SECRET_BYTES_MAX
from streamer.destinations.common_options import Secret
from streamer.destinations.options import HttpOptions

from .conftest import LoadText

TEXT = """
[admin]
token = { env = "TOKEN" }
[sources.customerio]
kind = "customerio"
signing_keys = [{ file = "new-key" }, { credential = "old-key" }]
[destinations.hook]
kind = "http"
url = "https://example.com/"
bearer_token = { env = "HOOK" }
"""


@pytest.fixture
def config(load_text: LoadText) -> Config:
    return load_text(TEXT).config


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    write(credentials / "old-key", "hunter2-old\n", mode=0o440)
    write(tmp_path / "new-key", "hunter2-new\r\n")
    return {
        "TOKEN": "hunter2-token",
        "HOOK": "hunter2-hook",
        "CREDENTIALS_DIRECTORY": str(credentials),
    }


def write(path: Path, text: str, *, mode: int = 0o600) -> Path:
    path.write_bytes(text.encode())
    path.chmod(mode)
    return path


def test_secrets_are_found_with_their_key_paths(config: Config) -> None:
    assert [path for path, _ in secrets_in(config)] == [
        ("admin", "token"),
        ("sources", "customerio", "signing_keys", 0),
        ("sources", "customerio", "signing_keys", 1),
        ("destinations", "hook", "bearer_token"),
    ]


def test_each_secret_is_read_from_its_place(config: Config, environ: dict[str, str]) -> None:
    secrets = resolve_all(config, environ)
    keys = config.sources["customerio"].signing_keys
    hook = config.destinations["hook"]
    assert isinstance(hook, HttpOptions)
    assert [secrets.of(key) for key in keys] == ["hunter2-new", "hunter2-old"]
    assert secrets.of(config.admin.token) == "hunter2-token"
    assert (secrets.of(hook.bearer_token), secrets.of(hook.signing_key)) == ("hunter2-hook", None)
    assert not list(exposures(config, secrets))


def test_the_values_are_never_shown_or_written(config: Config, environ: dict[str, str]) -> None:
    secrets = resolve_all(config, environ)
    assert repr(secrets) == str(secrets) == "<Secrets: 4 values, not shown>"
    assert "hunter2" not in repr(config)
    for write_it in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not written anywhere"):
            write_it(secrets)


def test_all_secrets_that_cannot_be_had_are_told_at_once(config: Config) -> None:
    with pytest.raises(ConfigurationErrors) as caught:
        resolve_all(config, {"TOKEN": "hunter2"})
    assert [problem.path for problem in caught.value.problems] == [
        "sources.customerio.signing_keys[0]",
        "sources.customerio.signing_keys[1]",
        "destinations.hook.bearer_token",
    ]
    assert "hunter2" not in str(caught.value)
    assert all(problem.hint for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("content", "value"),
    [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("é\n", "é")],
)
def test_one_line_break_at_the_end_is_an_editors(tmp_path: Path, content: str, value: str) -> None:
    assert resolve(Secret(file=str(write(tmp_path / "key", content))), {}) == value


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        (Secret(env="NOPE"), "environment variable NOPE is not set"),
        (Secret(env="EMPTY"), "is empty"),
        (Secret(file="@/none"), "does not exist"),
        (Secret(file="@"), "is no file"),
        (Secret(file="@/fifo"), "is no file"),
        (Secret(file="@/newline"), "is empty"),
        (Secret(file="@/latin"), "is not UTF-8"),
        (Secret(file="@/huge"), "too large"),
        (Secret(credential="none"), "systemd was given no credential none"),
    ],
)
def test_what_is_no_secret_is_told_without_its_content(
    tmp_path: Path, secret: Secret, message: str
) -> None:
    (tmp_path / "newline").write_text("\n")
    (tmp_path / "latin").write_bytes(b"hunter2\xe9")
    (tmp_path / "huge").write_bytes(b"hunter2" * (SECRET_BYTES_MAX // 7 + 1))
    os.mkfifo(tmp_path / "fifo")
    if secret.file is not None:
        secret = Secret(file=secret.file.replace("@", str(tmp_path)))
    with pytest.raises(ConfigurationError, match=message) as caught:
        resolve(secret, {"EMPTY": "", "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "hunter2" not in str(caught.value)
    assert caught.value.hint


def test_a_credential_needs_systemd() -> None:
    with pytest.raises(ConfigurationError, match="only under systemd"):
        resolve(Secret(credential="key"), {})


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o644])
def test_a_file_that_others_can_open_is_warned_of(
    config: Config, environ: dict[str, str], tmp_path: Path, mode: int
) -> None:
    file = tmp_path / "new-key"
    file.chmod(mode)
    [warning] = exposures(config, resolve_all(config, environ))
    assert warning.path == "sources.customerio.signing_keys[0]"
    assert f"(mode {mode:04o})" in warning.message
    assert warning.hint == f"chmod 600 {file}"

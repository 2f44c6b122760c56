"""Keys from files, variables and people: one word each, kept for their owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from streamer.cli import customerio_keys as keys
from streamer.config.secrets import CREDENTIALS_DIRECTORY
from streamer.core.errors import StreamerError, UsageError
from streamer.destinations.common_options import Secret


def test_a_file_comes_before_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("  of-the-file \n\n")
    assert keys.given(file, "KEY", {"KEY": "of-the-variable"}) == "of-the-file"
    assert keys.given(None, "KEY", {"KEY": "of-the-variable\n"}) == "of-the-variable"
    assert keys.given(None, "KEY", {"KEY": ""}) is None
    assert keys.given(None, "KEY", {}) is None


@pytest.mark.parametrize("text", ["two words", "a\nb", " ", "bell\x07"])
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(UsageError, match="is no key") as caught:
        keys.given(file, "KEY", {})
    assert text == " " or text not in str(caught.value).replace(str(file), "")


def test_nobody_is_asked_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        assert keys.prompt("Key") is None


def test_a_key_is_kept_for_its_owner_alone_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "made" / "key"
    keys.keep(file, "first")
    keys.keep(file, "second")
    assert file.read_text() == "second\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [one.name for one in file.parent.iterdir()] == ["key"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_keeps_belongs_to_whom_the_directory_belongs(tmp_path: Path) -> None:
    directory = tmp_path / "of-the-service"
    directory.mkdir()
    os.chown(directory, 4321, 4322)
    keys.keep(directory / "key", "x")
    kept = (directory / "key").stat()
    assert (kept.st_uid, kept.st_gid) == (4321, 4322)


def test_a_place_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StreamerError, match="cannot be written"):
        keys.keep(tmp_path / "file" / "key", "x")


def test_a_setting_leads_to_the_file_behind_it() -> None:
    environ = {CREDENTIALS_DIRECTORY: "/etc/streamer/credentials"}
    credential = Secret(credential="customerio-signing-key")
    assert keys.place_of(Secret(file="/x"), {}) == Path("/x")
    assert keys.place_of(credential, environ) == Path(
        "/etc/streamer/credentials/customerio-signing-key"
    )
    assert keys.place_of(credential, {}) is None
    assert keys.place_of(Secret(env="KEY"), environ) is None


def test_a_setting_whose_key_cannot_be_had_has_none(tmp_path: Path) -> None:
    assert keys.configured(None, {}) is None
    assert keys.configured(Secret(file=str(tmp_path / "missing")), {}) is None
    assert keys.configured(Secret(env="KEY"), {"KEY": "x"}) == "x"

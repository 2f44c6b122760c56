"""Keys from files, variables and people: one word each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamer.cli import customerio_keys as keys
from streamer.config.secrets import CREDENTIALS_DIRECTORY
from streamer.core.errors import UsageError
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

"""The key and the token that streamer makes up itself: whole, private and never replaced."""

from __future__ import annotations

import multiprocessing
import re
import stat
from pathlib import Path

import pytest

from streamer.config.generated import ensure_admin_token, ensure_generated_key
from streamer.config.load import load
from streamer.config.secrets import exposures, resolve_all
from streamer.core.errors import ConfigurationError


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    key, created = ensure_generated_key(tmp_path)
    assert created
    assert re.fullmatch(r"[0-9a-f]{64}", key)
    assert ensure_generated_key(tmp_path) == (key, False)


def test_every_installation_has_its_own_and_the_token_is_another(tmp_path: Path) -> None:
    keys = {ensure_generated_key(tmp_path / name)[0] for name in "ab"}
    keys.add(ensure_admin_token(tmp_path / "a")[0])
    assert len(keys) == 3


def test_nobody_else_can_read_it_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "made" / "data"
    ensure_generated_key(data_dir)
    ensure_admin_token(data_dir)
    files = sorted(data_dir.iterdir())
    assert [file.name for file in files] == ["admin-token", "signing-key"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_the_default_configuration_finds_the_key(tmp_path: Path) -> None:
    config = load(None, environ={}, working_directory=tmp_path, search=[]).config
    key, _ = ensure_generated_key(Path(config.data_dir))
    secrets = resolve_all(config, {})
    assert [secrets.of(one) for one in config.sources["customerio"].signing_keys] == [key]
    assert not list(exposures(config, secrets))


def test_of_several_processes_one_makes_the_key_and_all_have_the_same(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        results = pool.map(ensure_generated_key, [tmp_path] * 16, chunksize=1)
    assert len({key for key, _ in results}) == 1
    assert sum(created for _, created in results) == 1


def test_of_two_that_make_a_key_the_second_takes_the_firsts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process comes in between looking for the file and linking one."""
    link = Path.hardlink_to

    def late_link(self: Path, target: Path) -> None:
        self.write_text("the other's key\n")
        link(self, target)

    monkeypatch.setattr(Path, "hardlink_to", late_link)
    assert ensure_generated_key(tmp_path) == ("the other's key", False)
    assert [file.name for file in tmp_path.iterdir()] == ["signing-key"]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_file_without_a_key_is_not_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "signing-key"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="holds no key") as caught:
        ensure_generated_key(tmp_path)
    assert "Delete it" in caught.value.hint
    assert file.read_bytes() == content


def test_a_data_directory_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="neither read nor made") as caught:
        ensure_generated_key(tmp_path / "file" / "data")
    assert "user that streamer runs as" in caught.value.hint

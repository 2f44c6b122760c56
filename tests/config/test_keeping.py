"""A secret that is kept is for its owner alone, and whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from streamer.config.keeping import keep_secret
from streamer.core.errors import StreamerError


def test_a_secret_is_kept_for_its_owner_alone_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "made" / "key"
    keep_secret(file, "first")
    keep_secret(file, "second")
    assert file.read_text() == "second\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [one.name for one in file.parent.iterdir()] == ["key"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_keeps_belongs_to_whom_the_directory_belongs(tmp_path: Path) -> None:
    directory = tmp_path / "of-the-service"
    directory.mkdir()
    os.chown(directory, 4321, 4322)
    keep_secret(directory / "key", "x")
    kept = (directory / "key").stat()
    assert (kept.st_uid, kept.st_gid) == (4321, 4322)


def test_a_place_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StreamerError, match="cannot be written"):
        keep_secret(tmp_path / "file" / "key", "x")

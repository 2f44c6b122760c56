"""Directories and files stay made, which only the order of system calls can show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamer.disk import (
    create_file,
    make_directory,
    replace_file,
    sync_directory,
    sync_file,
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """Write down what is made and what is synced, in order; everything is really done."""
    done: list[tuple[str, Path]] = []
    mkdir, fsync = os.mkdir, os.fsync

    def made(path: Path, mode: int = 0o777) -> None:
        mkdir(path, mode)
        done.append(("made", Path(path)))

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        done.append(("synced", Path(f"/proc/self/fd/{descriptor}").readlink()))

    monkeypatch.setattr(os, "mkdir", made)
    monkeypatch.setattr(os, "fsync", synced)
    return done


def test_each_directory_that_is_made_is_synced_into_the_one_above_it(
    tmp_path: Path, calls: list[tuple[str, Path]]
) -> None:
    make_directory(tmp_path / "a" / "b" / "c")
    assert calls == [
        ("made", tmp_path / "a"),
        ("synced", tmp_path),
        ("made", tmp_path / "a" / "b"),
        ("synced", tmp_path / "a"),
        ("made", tmp_path / "a" / "b" / "c"),
        ("synced", tmp_path / "a" / "b"),
    ]


def test_directories_are_for_their_owner_alone(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "b")
    assert [(tmp_path / at).stat().st_mode & 0o777 for at in ("a", "a/b")] == [0o700, 0o700]


def test_a_directory_that_is_there_is_left_as_it_is(
    tmp_path: Path, calls: list[tuple[str, Path]]
) -> None:
    (tmp_path / "a").mkdir(mode=0o750)
    calls.clear()
    make_directory(tmp_path / "a")
    assert calls == []
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750


def test_one_that_somebody_else_makes_meanwhile_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def overtaken(path: Path, mode: int = 0o777) -> None:
        mkdir(path, mode)
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", overtaken)
    make_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("below", ["file", "file/a"])
def test_what_is_no_directory_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        make_directory(tmp_path / below)


def test_files_and_directories_are_synced(tmp_path: Path, calls: list[tuple[str, Path]]) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    sync_file(file)
    sync_directory(tmp_path)
    assert calls == [("synced", file), ("synced", tmp_path)]
    with pytest.raises(NotADirectoryError):
        sync_directory(file)


def test_a_file_is_replaced_whole_and_durably(
    tmp_path: Path, calls: list[tuple[str, Path]]
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with file.open("rb") as reader:
        replace_file(file, b"new", mode=0o640)
        assert reader.read() == b"old"
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [kind for kind, _ in calls] == ["synced", "synced"]
    draft, directory = (path for _, path in calls)
    assert draft.parent == tmp_path != draft
    assert directory == tmp_path
    assert list(tmp_path.iterdir()) == [file]


def test_what_fails_in_the_middle_leaves_the_old_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "file"
    file.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_created_once_and_then_never_replaced(
    tmp_path: Path, calls: list[tuple[str, Path]]
) -> None:
    file = tmp_path / "file"
    create_file(file, b"first")
    calls.clear()
    with pytest.raises(FileExistsError):
        create_file(file, b"second")
    assert file.read_bytes() == b"first"
    assert file.stat().st_mode & 0o777 == 0o600
    assert calls[-1] == ("synced", tmp_path), "whoever was quicker may not have come so far"
    assert list(tmp_path.iterdir()) == [file]

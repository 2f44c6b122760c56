"""What may and may not be done to the files of a file destination."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from streamer.core.errors import ConfigurationError
from streamer.destinations.claim import claim_path, stake_claim
from streamer.destinations.segments import (
    DirectoryInUse,
    Place,
    SegmentChanged,
    SegmentDirectory,
    probe_directory,
)
from tests.destinations.examples import NOON_MS
from tests.destinations.file_cases import files

FIRST = "archive-00000001-20261123T120000Z.ndjson"
SECOND = "archive-00000002-20261123T120000Z.ndjson"
THIRD = "archive-00000003-20261123T120000Z.ndjson"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "above" / "archive"


@pytest.fixture
def directory(path: Path) -> SegmentDirectory:
    return SegmentDirectory(path, "archive")


def bare(place: Place) -> Place:
    """Return a place without the directory that it is in."""
    return Place(place.sequence, place.segment, place.length)


def recovered(path: Path, place: Place | None) -> tuple[Place, str]:
    """Recover a directory of ours as a new process would; return the place and the surprise."""
    if place is not None:
        path.mkdir(parents=True, exist_ok=True)
        claim = stake_claim(path, "archive")
        place = msgspec.structs.replace(place, directory=str(path), claim=claim)
    directory = SegmentDirectory(path, "archive")
    try:
        recovery = directory.recover(place)
    finally:
        directory.release()
    return bare(recovery.place), recovery.surprise


def fill(path: Path, **files: bytes) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (path / {"first": FIRST, "second": SECOND, "third": THIRD}[name]).write_bytes(content)


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in files(path)}


def test_directories_and_files_are_for_the_owner_only(
    path: Path, directory: SegmentDirectory
) -> None:
    place = directory.begin(directory.recover(None).place, NOON_MS)
    every = (path.parent, path, path / FIRST, claim_path(path, "archive"))
    modes = [stat.S_IMODE(each.stat().st_mode) for each in every]
    assert modes == [0o700, 0o700, 0o600, 0o600]
    assert bare(place) == Place(1, FIRST, 0)


def test_lines_are_appended_at_the_place(path: Path, directory: SegmentDirectory) -> None:
    place = directory.begin(directory.recover(None).place, NOON_MS)
    place = directory.append(place, b"one\n")
    place = directory.append(place, b"two\n")
    assert bare(place) == Place(1, FIRST, 8)
    assert contents(path) == {FIRST: b"one\ntwo\n"}


def test_what_the_disk_takes_in_pieces_is_written_whole(
    path: Path, directory: SegmentDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = directory.begin(directory.recover(None).place, NOON_MS)
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: pwrite(file, bytes(data)[:3], at))
    directory.append(place, b"0123456789\n")
    assert contents(path) == {FIRST: b"0123456789\n"}


def test_without_a_place_writing_begins_after_what_is_there_and_nothing_is_touched(
    path: Path,
) -> None:
    fill(path, first=b"old\ntorn", third=b"old\n")
    before = contents(path)
    assert recovered(path, None) == (Place(3), "")
    assert contents(path) == before


def test_what_lies_beyond_the_committed_length_is_cut_off(path: Path) -> None:
    fill(path, first=b"one\ntwo\nthr")
    place = Place(1, FIRST, 4)
    assert recovered(path, place) == (place, "")
    assert contents(path) == {FIRST: b"one\n"}


def test_a_segment_of_the_committed_length_is_left_as_it_is(path: Path) -> None:
    fill(path, first=b"one\n")
    changed_at = (path / FIRST).stat().st_mtime_ns
    place = Place(1, FIRST, 4)
    assert recovered(path, place) == (place, "")
    assert (path / FIRST).stat().st_mtime_ns == changed_at


@pytest.mark.parametrize("place", [Place(1, FIRST, 4), Place(1)], ids=["in it", "before any"])
def test_one_segment_that_was_begun_and_not_committed_is_removed(path: Path, place: Place) -> None:
    fill(path, first=b"one\n", second=b"two\nthr")
    assert recovered(path, place) == (place, "")
    assert contents(path) == {FIRST: b"one\n"}


@pytest.mark.parametrize(
    "there",
    [
        {"first": b"one\nmore\n", "second": b"two\n"},
        {"first": b"one\n", "second": b"two\n", "third": b"three\n"},
        {"first": b"one\n", "third": b"three\n"},
        {"first": b"one\nmore\n", "second": b"", "third": b""},
    ],
    ids=["both longer and followed", "two followers", "a gap", "empty ones"],
)
def test_more_than_one_append_can_have_left_is_somebody_elses_and_stays(
    path: Path, there: dict[str, bytes]
) -> None:
    """Such a place is an old one, of a database put back by hand: nothing is known to be spare."""
    fill(path, **there)
    before = contents(path)
    place, surprise = recovered(path, Place(1, FIRST, 4))
    assert place == Place(3 if "third" in there else 2)
    assert "nobody committed" in surprise
    assert contents(path) == before


def test_a_packed_segment_was_committed_whatever_the_place_says(path: Path) -> None:
    fill(path, first=b"one\n")
    (path / f"{SECOND}.gz").write_bytes(b"packed")
    place, surprise = recovered(path, Place(1, FIRST, 4))
    assert place == Place(2)
    assert surprise
    assert (path / f"{SECOND}.gz").exists()


@pytest.mark.parametrize("content", [b"on", None], ids=["shorter", "gone"])
def test_a_segment_shorter_than_committed_is_left_alone_and_a_new_one_begun(
    path: Path, content: bytes | None
) -> None:
    fill(path, **({} if content is None else {"first": content}))
    before = contents(path)
    place, surprise = recovered(path, Place(1, FIRST, 4))
    assert place == Place(1)
    assert FIRST in surprise
    assert contents(path) == before


@pytest.mark.parametrize(
    "name",
    [
        "other-00000009-20261123T120000Z.ndjson",
        "archive-00000009-20261123T120000Z.ndjson.bak",
        "archive-9-20261123T120000Z.ndjson",
        "archive-00000009.ndjson",
        "archive-00000009-20261123T120000Z.ndjson.tmp.gz",
        "notes.tmp",
    ],
)
def test_files_that_are_not_the_destinations_are_neither_counted_nor_touched(
    path: Path, name: str
) -> None:
    fill(path, first=b"one\n")
    (path / name).write_bytes(b"mine")
    assert recovered(path, Place(1, FIRST, 4)) == (Place(1, FIRST, 4), "")
    assert recovered(path, None) == (Place(1), "")
    assert (path / name).read_bytes() == b"mine"


def test_what_a_crash_left_of_packing_is_removed(path: Path) -> None:
    fill(path, first=b"one\n")
    (path / f"{FIRST}.gz.tmp").write_bytes(b"half")
    recovered(path, None)
    assert contents(path) == {FIRST: b"one\n"}


def test_a_segment_is_not_written_through_a_symbolic_link(
    tmp_path: Path, path: Path, directory: SegmentDirectory
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"one\n")
    path.mkdir(parents=True)
    (path / FIRST).symlink_to(elsewhere)
    directory.recover(Place(1, FIRST, 4))
    with pytest.raises(OSError, match="symbolic"):
        directory.append(Place(1, FIRST, 4), b"two\n")
    assert elsewhere.read_bytes() == b"one\n"


@pytest.mark.parametrize("change", ["shorter", "longer", "gone"])
def test_a_segment_that_somebody_changed_is_noticed(
    path: Path, directory: SegmentDirectory, change: str
) -> None:
    place = directory.begin(directory.recover(None).place, NOON_MS)
    place = directory.append(place, b"one\n")
    directory.require(place)
    if change == "gone":
        (path / FIRST).unlink()
    else:
        (path / FIRST).write_bytes(b"on" if change == "shorter" else b"one\ntwo\n")
    with pytest.raises(SegmentChanged):
        directory.require(place)


def test_a_directory_belongs_to_one_destination_until_it_is_released(
    path: Path, directory: SegmentDirectory
) -> None:
    directory.recover(None)
    other = SegmentDirectory(path, "other")
    with pytest.raises(DirectoryInUse):
        other.recover(None)
    directory.recover(None)
    directory.release()
    directory.release()
    assert bare(other.recover(None).place) == Place(0)
    other.release()


def test_age_is_told_by_the_name_so_that_it_outlives_the_process(
    directory: SegmentDirectory,
) -> None:
    assert directory.age_seconds(Place(1, FIRST, 4), NOON_MS + 1500) == 1.5
    assert directory.age_seconds(Place(1), NOON_MS) == 0


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "naïve"])
def test_a_name_that_cannot_begin_a_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError):
        SegmentDirectory(tmp_path, name)


def test_the_self_test_leaves_nothing_behind_and_makes_no_directory(
    path: Path, tmp_path: Path
) -> None:
    findings = probe_directory(path)
    assert [finding.ok for finding in findings][:1] == [True]
    assert str(tmp_path) in findings[0].detail
    assert list(tmp_path.iterdir()) == []


def test_the_self_test_says_when_the_directory_cannot_be_written() -> None:
    (finding,) = probe_directory(Path("/proc/self"))
    assert not finding.ok
    assert finding.hint

"""Nothing that was delivered is deleted or cut, whichever directory a destination is pointed at."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.destinations.claim import claim_path
from streamer.destinations.segments import Place, SegmentDirectory
from tests.destinations.examples import NOON_MS, Alarms, stored_events
from tests.destinations.file_cases import files, ids, ids_of, make

pytestmark = pytest.mark.anyio

SHORT = "STR-304"


async def written(path: Path, *positions: int) -> str | None:
    """Write events as an installation of its own would, and return its last mark."""
    destination = make(path)
    await destination.open(None)
    for position in positions:
        await destination.send(stored_events(position))
    mark = destination.mark()
    await destination.aclose()
    return mark


async def opened(path: Path, mark: str | None) -> tuple[str, list[str]]:
    """Open a directory and close it again; return the mark and the alarms."""
    alarms = Alarms()
    destination = make(path, alarms=alarms)
    await destination.open(mark)
    new_mark = destination.mark()
    await destination.aclose()
    assert new_mark is not None
    return new_mark, alarms.codes


def without_claim(mark: str | None) -> str:
    """Return the mark as old versions wrote it."""
    place = msgspec.json.decode(mark or "", type=Place)
    old = {"sequence": place.sequence, "segment": place.segment, "length": place.length}
    return msgspec.json.encode(old).decode()


async def test_an_archive_that_a_fresh_destination_is_pointed_at_is_not_emptied(
    tmp_path: Path,
) -> None:
    archive, wrong = tmp_path / "archive", tmp_path / "wrong"
    await written(archive, 1, 2, 3)
    mark = await written(wrong)
    new_mark, alarms = await opened(archive, mark)
    assert ids(archive) == ids_of(1, 2, 3)
    assert alarms == [], "to change `directory` is an ordinary act"
    assert msgspec.json.decode(new_mark, type=Place).open_sequence == 2


async def test_an_archive_that_takes_the_place_of_an_empty_directory_is_not_emptied(
    tmp_path: Path,
) -> None:
    """So it looks when a disk is mounted after the service was started."""
    archive, before = tmp_path / "archive", tmp_path / "before"
    await written(archive, 1, 2, 3)
    archive.rename(before)
    mark = await written(archive)
    shutil.rmtree(archive)
    before.rename(archive)
    _, alarms = await opened(archive, mark)
    assert ids(archive) == ids_of(1, 2, 3)
    assert alarms == [SHORT]


async def test_a_mark_of_an_old_version_empties_no_archive_either(tmp_path: Path) -> None:
    archive, wrong = tmp_path / "archive", tmp_path / "wrong"
    await written(archive, 1, 2, 3)
    await opened(archive, without_claim(await written(wrong)))
    assert ids(archive) == ids_of(1, 2, 3)


async def test_a_changed_directory_is_begun_anew_without_an_alarm_and_numbers_go_on(
    tmp_path: Path,
) -> None:
    mark = await written(tmp_path / "first", 1)
    mark, alarms = await opened(tmp_path / "second", mark)
    assert alarms == []
    later = make(tmp_path / "second")
    await later.open(mark)
    await later.send(stored_events(2))
    await later.aclose()
    assert [file.name[:17] for file in files(tmp_path / "second")] == ["archive-00000002-"]
    assert ids(tmp_path / "first") == ids_of(1)


@pytest.mark.parametrize(
    "how", ["renamed", "copied", "through a link", "old mark", "claim deleted"]
)
async def test_writing_goes_on_in_the_same_segment_of_the_same_directory(
    tmp_path: Path, how: str
) -> None:
    path = tmp_path / "archive"
    mark = await written(path, 1)
    if how == "renamed":
        path = path.rename(tmp_path / "renamed")
    elif how == "copied":
        path = shutil.copytree(path, tmp_path / "another machine")
    elif how == "through a link":
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    elif how == "old mark":
        mark = without_claim(mark)
    else:
        claim_path(path, "archive").unlink()
    alarms = Alarms()
    destination = make(path, alarms=alarms)
    await destination.open(mark)
    await destination.send(stored_events(2))
    assert ids(path) == ids_of(1, 2)
    assert len(files(path)) == 1
    assert alarms.codes == []


async def test_what_a_crash_left_is_cut_off_in_a_directory_that_was_renamed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "archive"
    mark = await written(path, 1)
    (segment,) = files(path)
    with segment.open("ab") as file:
        file.write(b'{"torn')
    path = path.rename(tmp_path / "renamed")
    _, alarms = await opened(path, mark)
    assert ids(path) == ids_of(1)
    assert alarms == []


@pytest.mark.parametrize("tail", [b"more\n", None], ids=["longer", "followed"])
async def test_what_lies_beyond_an_old_mark_is_left_alone_with_an_alarm(
    tmp_path: Path, tail: bytes | None
) -> None:
    """It may be what a crash left, or what another installation delivered: nothing tells."""
    mark = await written(tmp_path, 1)
    (segment,) = files(tmp_path)
    if tail:
        segment.write_bytes(segment.read_bytes() + tail)
    else:
        (tmp_path / "archive-00000002-20261123T130000Z.ndjson").write_bytes(b"more\n")
    before = [file.read_bytes() for file in files(tmp_path)]
    _, alarms = await opened(tmp_path, without_claim(mark))
    assert [file.read_bytes() for file in files(tmp_path)] == before
    assert alarms == [SHORT]


async def test_a_disk_that_is_not_mounted_any_more_raises_an_alarm(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    mark = await written(path, 1)
    path.rename(tmp_path / "unmounted")
    _, alarms = await opened(path, mark)
    assert alarms == [SHORT]


async def test_a_directory_that_is_exchanged_under_a_running_service_is_noticed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "archive"
    await written(tmp_path / "other", 7)
    destination = make(path, segment_seconds_max=0)
    await destination.open(None)
    path.rename(tmp_path / "away")
    (tmp_path / "other").rename(path)
    await destination.send(stored_events(1))  # recorded first
    await destination.send(stored_events(1))
    assert ids(path) == ids_of(7, 1)
    assert ids(tmp_path / "away") == []


# Whatever happens: two installations, three directories


class Installation:
    """One that commits its places, or crashes before it does."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.place: Place | None = None
        self.delivered: list[bytes] = []

    def run(self, path: Path, appends: int, crashes: str) -> None:
        """Open a directory, append, and crash ``before`` or ``after`` the last commit."""
        directory = SegmentDirectory(path, "archive")
        try:
            place = self.place = directory.recover(self.place).place
            for at in range(appends):
                if place.segment is None or at % 2:
                    place = directory.begin(place, NOON_MS)
                line = b"%d-%d\n" % (self.number, len(self.delivered))
                place = directory.append(place, line)
                if at == appends - 1 and crashes == "before":
                    return
                self.place = place
                self.delivered.append(line)
        finally:
            directory.release()

    def upgrade(self) -> None:
        """Have only what an old version's mark says."""
        if self.place is not None:
            self.place = Place(self.place.sequence, self.place.segment, self.place.length)


ACTS = st.one_of(
    st.tuples(
        st.just("run"),
        st.integers(0, 1),
        st.sampled_from("abc"),
        st.integers(0, 3),
        st.sampled_from(["before", "after"]),
    ),
    st.tuples(st.just("exchange"), st.sampled_from(["ab", "bc", "ca"])),
    st.tuples(st.just("upgrade"), st.integers(0, 1)),
    st.tuples(st.just("unclaim"), st.sampled_from("abc")),
)


@given(st.lists(ACTS, max_size=12))
@settings(deadline=None, max_examples=200)
def test_nothing_delivered_is_lost_however_directories_are_chosen_and_exchanged(
    acts: list[tuple[object, ...]],
) -> None:
    """Two installations of one destination's name; each directory may be used by both in turn."""
    installations = [Installation(0), Installation(1)]
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        for letter in "abc":
            (top / letter).mkdir()
        for act in acts:
            match act:
                case "run", int(who), str(where), int(appends), str(crashes):
                    installations[who].run(top / where, appends, crashes)
                case "exchange", str(pair):
                    (top / pair[0]).rename(top / "x")
                    (top / pair[1]).rename(top / pair[0])
                    (top / "x").rename(top / pair[1])
                case "upgrade", int(who):
                    installations[who].upgrade()
                case "unclaim", str(where):
                    claim_path(top / where, "archive").unlink(missing_ok=True)
            segments = [path.read_bytes() for path in top.glob("*/*.ndjson")]
            there = {line for content in segments for line in content.splitlines(keepends=True)}
            for installation in installations:
                assert there.issuperset(installation.delivered), acts

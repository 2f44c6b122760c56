"""One service for each data directory, whichever of its processes lives longest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.core.errors import StoreError
from streamer.store import lockfile
from tests.support.failing_os import failing_os
from tests.support.processes import REPOSITORY, eventually

HOLD = """
import subprocess, sys
from pathlib import Path
from streamer.store import lockfile

with lockfile.hold(Path(sys.argv[1])) as descriptor:
    heir = [sys.executable, "-c", "print('held', flush=True); input()"]
    if sys.argv[2:]:
        subprocess.Popen(heir, pass_fds=[descriptor])
    else:
        print("held", flush=True)
    input()
"""


def started(data_dir: Path, *further: str) -> subprocess.Popen[str]:
    """Start a process that holds a directory, and with ``further`` another that inherits that."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir), *further],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def main(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Give a process that holds the directory and has handed the lock on to another one."""
    with started(tmp_path, "heir") as process:  # the other one reads from the same standard input
        yield process
        process.kill()


def test_a_second_service_is_told_at_once_who_has_the_directory(tmp_path: Path) -> None:
    process = started(tmp_path)
    with (
        pytest.raises(StoreError, match=f"in use by process {process.pid}"),
        lockfile.hold(tmp_path),
    ):
        pass
    process.kill()
    process.communicate()
    assert not lockfile.is_held(tmp_path)
    with lockfile.hold(tmp_path):
        assert lockfile.is_held(tmp_path)


def test_it_is_held_until_the_last_process_that_inherited_it_has_ended(
    tmp_path: Path, main: subprocess.Popen[str]
) -> None:
    main.kill()
    main.wait()
    assert lockfile.is_held(tmp_path)
    assert main.stdin is not None
    main.stdin.close()
    eventually(lambda: not lockfile.is_held(tmp_path), "it is free")


def test_whoever_starts_waits_for_those_whose_main_process_is_gone(
    tmp_path: Path, main: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main.kill()
    main.wait()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 20:
            assert main.stdin is not None
            main.stdin.close()

    monkeypatch.setattr("streamer.store.lockfile.time.sleep", wait)
    told: list[str] = []
    with lockfile.hold(tmp_path, on_wait=told.append):
        assert len(waits) >= 20
    assert len(told) == 1
    assert re.fullmatch(named(main), told[0])


def named(main: subprocess.Popen[str]) -> str:
    """Return what is said of those that a process has left behind, as a pattern."""
    return rf"processes that process {main.pid} has started \(\d+\); it is gone itself"


def test_those_who_do_not_end_are_named_and_what_to_do_about_them(
    tmp_path: Path, main: subprocess.Popen[str]
) -> None:
    main.kill()
    main.wait()
    with (
        pytest.raises(StoreError, match=f"in use by {named(main)}") as refused,
        lockfile.hold(tmp_path, orphans_seconds=0.1),
    ):
        pass
    assert "kill -9" in refused.value.hint
    [heir] = re.findall(r"\((\d+)\)", str(refused.value))
    assert "input()" in Path(f"/proc/{heir}/cmdline").read_text()


@pytest.mark.parametrize("text", ["", "nobody", "-1", "0", "9" * 30, "1\n"])
def test_it_waits_for_nobody_when_it_does_not_know_that_the_main_one_is_gone(
    tmp_path: Path, main: subprocess.Popen[str], text: str
) -> None:
    (tmp_path / lockfile.FILE_NAME).write_text(text)
    with pytest.raises(StoreError, match="in use by"), lockfile.hold(tmp_path):
        pass


def test_a_full_disk_is_called_by_its_name(tmp_path: Path) -> None:
    with (
        failing_os(3, "error") as disk,
        pytest.raises(StoreError, match="No space left") as refused,
        lockfile.hold(tmp_path),
    ):
        pass
    assert disk.calls == ["open", "ftruncate", "pwrite"]
    assert "Free space" in refused.value.hint
    with lockfile.hold(tmp_path):
        pass  # it was let go

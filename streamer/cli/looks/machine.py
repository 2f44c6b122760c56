"""The machine: its clock, its disk, and the SQLite that is used."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from streamer.app.room import Room, RoomWatch
from streamer.cli.looks.finding import Finding, failed, ok, warning
from streamer.config.model import Outbox
from streamer.store import sqlite

TOOL_SECONDS_MAX = 5.0
_INODES_FEW = 1_000
_REMOTE_FILE_SYSTEMS = {"9p", "afs", "cifs", "fuse.sshfs", "glusterfs", "nfs", "nfs4", "smb3"}
_GIB = 2**30


def ask_tool(name: str, *arguments: str) -> str | None:
    """Run a tool of the system that only tells; None when it is not there or cannot tell."""
    program = shutil.which(name)
    if program is None:
        return None
    try:
        ended = subprocess.run(  # noqa: S603 - found on the path of whoever runs the command
            [program, *arguments],
            capture_output=True,
            check=False,
            text=True,
            timeout=TOOL_SECONDS_MAX,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout if ended.returncode == 0 else None


def properties(text: str) -> dict[str, str]:
    """Read the ``NAME=value`` lines that systemd's tools print."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, equals, value in pairs if equals}


def clock() -> list[Finding]:
    """Ask whether the clock is kept right."""
    shown = ask_tool("timedatectl", "show")
    return judge_clock(None if shown is None else properties(shown))


def judge_clock(shown: Mapping[str, str] | None) -> list[Finding]:
    """Judge what timedatectl showed: a wrong clock makes signed calls look old, and stops pruning.

    ``shown`` is None where there is no systemd to ask.
    """
    code, what = "clock", "the clock is synchronised"
    if shown is None or "NTPSynchronized" not in shown:
        unknown = "it is not known whether the clock is synchronised"
        hint = "See that NTP is running."
        return [warning(code, unknown, "there is no timedatectl to ask", hint)]
    if shown["NTPSynchronized"] == "yes":
        return [ok(code, what)]
    if shown.get("NTP") == "yes":
        hint = "`timedatectl timesync-status` shows why."
        return [warning(code, "the clock is not synchronised yet", "NTP is on", hint)]
    return [
        warning(code, "the clock is not synchronised", "NTP is off", "timedatectl set-ntp true")
    ]


def disk(directory: Path, outbox: Outbox) -> list[Finding]:
    """Look at the space, the inodes and the kind of the data directory's file system."""
    there = next(above for above in (directory, *directory.parents) if above.exists())
    watch = RoomWatch(
        there,
        ingest_floor_bytes=outbox.ingest_floor_bytes,
        drain_floor_bytes=outbox.drain_floor_bytes,
    )
    figures = os.statvfs(there)
    findings = [judge_room(watch.look(), outbox.ingest_floor_bytes)]
    if figures.f_files and figures.f_favail < _INODES_FEW:
        detail = f"{figures.f_favail} left"
        findings.append(failed("disk.inodes", "inodes are running out", detail, "Delete files."))
    mounts = Path("/proc/self/mounts")
    if mounts.exists():
        findings += judge_file_system(mounts.read_text(encoding="utf-8"), there)
    return findings


def judge_room(room: Room, floor_bytes: int) -> Finding:
    """Judge the free space against the floor at which calls are refused."""
    code, what = "disk.room", "there is room on the disk"
    detail = (
        f"{room.free_bytes / _GIB:.1f} GiB free; calls are refused below {floor_bytes / _GIB:.1f}"
    )
    hint = "`streamer status` shows which destination keeps events from being pruned."
    if room.ingest_stops:
        return failed(code, "the disk is nearly full: calls are refused", detail, hint)
    if room.free_bytes < 2 * floor_bytes:
        return warning(code, "the disk is filling up", detail, hint)
    return ok(code, what, detail)


def judge_file_system(mounts: str, directory: Path) -> list[Finding]:
    """Judge the file system that a directory is on, by the kernel's table of mounts."""
    best, kind = "", ""
    for line in mounts.splitlines():
        _, place, found, *_ = line.split()
        place = place.replace("\\040", " ")
        if directory.is_relative_to(place) and len(place) >= len(best):
            best, kind = place, found
    if kind not in _REMOTE_FILE_SYSTEMS:
        return []
    return [
        failed(
            "disk.file_system",
            "the data is not on a disk of this machine",
            f"{best} is {kind}",
            "SQLite's write-ahead log does not work over a network: move data_dir.",
        )
    ]


def processes(wanted: int) -> list[Finding]:
    """Judge whether there is a core for each process, where several are wanted."""
    return judge_processes(wanted, len(os.sched_getaffinity(0))) if wanted > 1 else []


def judge_processes(wanted: int, cores: int) -> list[Finding]:
    """Judge a number of processes: what is beyond the number of cores only costs memory."""
    code, detail = "processes", f"{wanted} processes, {cores} cores"
    if wanted > cores:
        hint = f"Set server.processes to {cores} or fewer."
        return [warning(code, "there are more processes than cores", detail, hint)]
    return [ok(code, "there is a core for each process", detail)]


def sqlite_library(outbox: Outbox) -> list[Finding]:
    """Tell which SQLite is used and whether it can lose commits."""
    detail = f"{sqlite.VERSION} from {sqlite.MODULE}"
    if sqlite.is_safe_version(sqlite.VERSION):
        return [ok("sqlite", "SQLite keeps what was committed", detail)]
    hint = "Install the pysqlite3 wheel, or SQLite 3.51.3 or later."
    judged = warning if outbox.allow_unsafe_sqlite else failed
    return [judged("sqlite", "SQLite has the WAL-reset bug", detail, hint)]

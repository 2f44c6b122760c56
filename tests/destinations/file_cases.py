"""A file destination for a test, and what is in its directory."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec

from streamer.destinations.file import FileDestination
from streamer.destinations.options import FileOptions
from tests.destinations.examples import Alarms, StandingClock, stored_events


def make(
    path: Path,
    *,
    clock: StandingClock | None = None,
    alarms: Alarms | None = None,
    **options: object,
) -> FileDestination:
    return FileDestination(
        "archive",
        msgspec.structs.replace(FileOptions(directory=str(path)), **options),
        clock=clock or StandingClock(),
        raise_alarm=alarms or Alarms(),
    )


def files(path: Path) -> list[Path]:
    """Return what ``*`` names: all but the claim."""
    return sorted(file for file in path.iterdir() if not file.name.startswith("."))


def ids(path: Path) -> list[str]:
    """Return the event id of every line, segment after segment; a torn line is an error."""
    found = []
    for file in files(path):
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        assert content.endswith(b"\n") or not content, f"{file.name} ends in a torn line"
        found += [json.loads(line)["id"] for line in content.splitlines()]
    return found


def packed_beside(segment: Path, content: bytes) -> None:
    segment.with_name(f"{segment.name}.gz").write_bytes(gzip.compress(content))


def ids_of(*positions: int) -> list[str]:
    return [event.event_id for event in stored_events(*positions)]

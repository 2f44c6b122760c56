"""The two lines that frame a process in the log: what was started, and how it ended."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import anyio
import structlog

from streamer.app.ending import Ending
from streamer.config.model import Config
from streamer.core.limits import CLOSE_SECONDS_MIN
from streamer.destinations.registry import kind_of
from streamer.store import sqlite
from streamer.store.status import Status

_log = structlog.get_logger("streamer.service")


def program_version() -> str:
    """Return the version that is installed; a tree that only lies there has none."""
    try:
        return metadata.version("streamer")
    except metadata.PackageNotFoundError:
        return "not installed"


def say_started(
    config: Config,
    file: Path | None,
    *,
    ingest: Sequence[str],
    admin: str,
    others: Sequence[int] = (),
) -> None:
    """Log what runs, where, and with what, once everything is up; ``others`` are processes."""
    _log.info(
        "service.started",
        version=program_version(),
        pid=os.getpid(),
        **({"other_pids": list(others)} if others else {}),
        config="built-in default" if file is None else str(file),
        data_dir=str(config.database_path.parent),
        ingest=list(ingest),
        admin=admin,
        destinations={name: kind_of(options) for name, options in config.destinations.items()},
        sqlite=sqlite.VERSION,
    )


async def read_pending(read_status: Callable[[], Awaitable[Status]]) -> Mapping[str, int] | None:
    """Return how many events each destination still gets; None when that cannot be read at once."""
    # What made the service fail may make this fail too, and must not hide it.
    with anyio.move_on_after(CLOSE_SECONDS_MIN), suppress(Exception):
        found = (await read_status()).destinations
        return {name: one.lag_events for name, one in found.items() if one.lag_events}
    return None


def say_stopped(
    ending: Ending, pending: Mapping[str, int] | None, *, began_at: float, now: float
) -> None:
    """Log why it ended, how long that took, and what is still to be delivered.

    Times are monotonic seconds.
    """
    _log.info(
        "service.stopped",
        reason=ending.reason,
        failed=ending.failed,
        seconds=round(now - ending.asked_at, 1),
        up_seconds=round(now - began_at, 1),
        pending=pending,
    )

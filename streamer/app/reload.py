"""SIGHUP: read the configuration again, and keep the old one if the new one is wrong.

A reload has two halves. In the first everything that can fail is done: the
file is read, secrets are fetched, sources and destinations are built, and what
is configured is written into the database. Nothing that runs has changed so
far, and any error refuses the whole. The second half swaps, and cannot fail.

It runs beside the signals, so that a stop is heard while it waits, and one at
a time: however often it is asked for meanwhile, it is done once more after.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskGroup

from streamer.app import parts, systemd
from streamer.app.fleet import Fleet
from streamer.app.prepare import declare
from streamer.clock import Clock
from streamer.config.changes import needs_restart
from streamer.config.load import load
from streamer.config.model import Config
from streamer.config.problems import ConfigurationErrors
from streamer.config.secrets import Secrets, resolve_all
from streamer.core.errors import StreamerError
from streamer.core.intervals import RELOAD_STOP_SECONDS, RELOAD_WRITE_SECONDS
from streamer.ingest.source import Source
from streamer.observe import log
from streamer.store.writer import Writer

_log = structlog.get_logger("streamer.reload")


class Reloadable(Protocol):
    """What a reload needs of the service."""

    started_with: Config
    """What is still in force of the settings that only a restart changes."""
    writer: Writer
    fleet: Fleet

    def follow(self, config: Config, secrets: Secrets, sources: dict[str, Source]) -> None:
        """Take over what a reload may change outside the drains."""
        ...


class Reloader:
    """Knows where the configuration came from."""

    def __init__(self, file: Path | None, working_directory: Path, clock: Clock) -> None:
        self._file = file
        self._working_directory = working_directory
        self._clock = clock
        self._asked = asyncio.Event()
        self._ended = asyncio.Event()
        self._scope = anyio.CancelScope()
        self._under_way = False

    def ask(self) -> None:
        """Ask for a reload; one that is under way is done again when it is through."""
        self._asked.set()

    async def run(self, service: Reloadable, tasks: TaskGroup) -> None:
        """Reload whenever it is asked for, until `stop`."""
        try:
            with self._scope:
                while True:
                    await self._asked.wait()
                    self._asked.clear()
                    self._under_way = True
                    await self.reload(service, tasks)
                    self._under_way = False
            if self._under_way:
                _log.warning("reload.given_up", hint="The service stops; a start reads the file.")
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Give up what is under way, and heed nobody any more; `run` must have been begun."""
        self._scope.cancel()
        await self._ended.wait()

    async def reload(self, service: Reloadable, tasks: TaskGroup) -> bool:
        """Apply what has changed; False when the new configuration is wrong and the old one stays.

        Whatever waits or is held is tried at once: the reason may be mended.
        """
        systemd.notify_reloading("reading the configuration")
        _log.info("reload.begun")
        try:
            loaded = load(self._file, environ=os.environ, working_directory=self._working_directory)
            config, secrets = loaded.config, resolve_all(loaded.config, os.environ)
            sources = parts.make_sources(
                config, secrets, body_bytes_max=service.started_with.outbox.body_max_bytes
            )
            plan = service.fleet.plan(config.destinations, secrets)
            await self._write_down(service, config)
        except Exception as error:  # nothing has changed so far, so nothing need end
            _tell_refusal(error)
            return False
        for path in needs_restart(service.started_with, config):
            _log.warning("reload.needs_restart", setting=path)
        service.follow(config, secrets, sources)
        changed = await service.fleet.follow(tasks, plan, stop_seconds=RELOAD_STOP_SECONDS)
        service.fleet.poke()
        log.set_level(config.log.level)
        _log.info("reload.done", destinations=changed)
        systemd.notify_ready("reloaded")
        return True

    async def _write_down(self, service: Reloadable, config: Config) -> None:
        """Declare what is configured; raises `StoreError` when the database cannot be written."""
        now = self._clock.now()
        await service.writer.do_within(
            lambda db: declare(db, config, now=now), RELOAD_WRITE_SECONDS
        )


def _tell_refusal(error: Exception) -> None:
    """Say what is wrong, each mistake by itself and nothing over two lines."""
    if isinstance(error, ConfigurationErrors):
        problems = [" ".join(str(problem).split()) for problem in error.problems]
        subject = str(error).partition(":\n")[0]
        _log.error("reload.refused", error=subject, problems=problems, hint=error.hint)
    elif isinstance(error, StreamerError):
        said = " ".join(str(error).split())
        _log.error("reload.refused", error=said, hint=error.hint)
    else:  # its text is not ours, and may quote what it choked on
        _log.error("reload.refused", error=type(error).__name__, raised=log.where(error))
    systemd.notify_ready("reload refused: the old configuration stays")

"""SIGHUP: read the configuration again, and keep the old one if the new one is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskGroup

from streamer.app import systemd
from streamer.app.fleet import Fleet
from streamer.app.prepare import declare
from streamer.clock import Clock
from streamer.config.changes import needs_restart
from streamer.config.load import load
from streamer.config.model import Config
from streamer.config.secrets import Secrets, resolve_all
from streamer.core.errors import StoreError, StreamerError
from streamer.core.limits import RELOAD_STOP_SECONDS, RELOAD_WRITE_SECONDS
from streamer.observe import log
from streamer.store.writer import Writer

_log = structlog.get_logger("streamer.reload")


class Reloadable(Protocol):
    """What a reload needs of the service."""

    config: Config
    writer: Writer
    fleet: Fleet

    def follow(self, config: Config, secrets: Secrets) -> None:
        """Take over what a reload may change outside the drains."""
        ...


class Reloader:
    """Knows where the configuration came from."""

    def __init__(self, file: Path | None, working_directory: Path, clock: Clock) -> None:
        self._file = file
        self._working_directory = working_directory
        self._clock = clock

    async def reload(self, service: Reloadable, tasks: TaskGroup) -> bool:
        """Apply what has changed; False when the new configuration is wrong and the old one stays.

        Whatever waits or is held is tried at once: the reason may be mended.
        """
        systemd.notify_reloading("reading the configuration")
        _log.info("reload.begun")
        try:
            loaded = load(self._file, environ=os.environ, working_directory=self._working_directory)
            secrets = resolve_all(loaded.config, os.environ)
        except StreamerError as error:
            _log.error("reload.refused", error=str(error), hint=error.hint)
            systemd.notify_ready("reload refused: the old configuration stays")
            return False
        config = loaded.config
        if not await self._write_down(service, config):
            return False
        for path in needs_restart(service.config, config):
            _log.warning("reload.needs_restart", setting=path)
        service.follow(config, secrets)
        changed = await service.fleet.follow(
            tasks, config.destinations, secrets, stop_seconds=RELOAD_STOP_SECONDS
        )
        service.fleet.poke()
        log.set_level(config.log.level)
        _log.info("reload.done", destinations=changed)
        systemd.notify_ready("reloaded")
        return True

    async def _write_down(self, service: Reloadable, config: Config) -> bool:
        """Declare what is configured; a database that cannot be written keeps the old settings."""
        now = self._clock.now()
        try:
            with anyio.fail_after(RELOAD_WRITE_SECONDS):
                await service.writer.do(lambda db: declare(db, config, now=now))
        except (StoreError, TimeoutError) as error:
            said = str(error) or "the database cannot be written at the moment"
            hint = getattr(error, "hint", "") or "Reload again once `streamer doctor` is content."
            _log.error("reload.refused", error=said, hint=hint)
            systemd.notify_ready("reload refused: the old configuration stays")
            return False
        return True

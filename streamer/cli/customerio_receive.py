"""The real service's ingest, for as long as a command waits for a call.

The same configuration, the same lock, the same database: what arrives is
committed like any other event. Destinations are left out, for whoever tries a
webhook has not asked for deliveries; they begin with ``streamer serve``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import msgspec

from streamer.app.listening import Listening
from streamer.app.prepare import Prepared, make_data_directory, prepare_database
from streamer.app.reload import Reloader
from streamer.app.service import Service
from streamer.app.signals import Signals
from streamer.clock import SystemClock
from streamer.config.model import Config
from streamer.config.secrets import Secrets, resolve_all
from streamer.core.errors import StreamerError
from streamer.observe import log
from streamer.store import lockfile
from streamer.store.connection import connect_reader

T = TypeVar("T")


def receive(config: Config, file: Path | None, work: Callable[[], Awaitable[T]]) -> T:
    """Receive calls as the service does until ``work`` is done; return what it returns.

    Raises:
        StoreError: a service, or another command like this, has the data directory.
        KeyboardInterrupt: a signal ended it.
    """
    os.umask(0o077)
    log.set_up(level="critical", form="console", under_journal=False)
    alone = msgspec.structs.replace(config, destinations={})
    secrets = resolve_all(alone, os.environ)
    make_data_directory(config.database_path.parent)
    signals = Signals()
    with lockfile.hold(config.database_path.parent):
        prepared = prepare_database(config, now=SystemClock().now())
        listening = _listen(config)
        try:
            run = partial(
                _receive,
                alone,
                secrets=secrets,
                file=file,
                prepared=prepared,
                listening=listening,
                signals=signals,
                work=work,
            )
            return anyio.run(run)
        finally:
            listening.close()


def _listen(config: Config) -> Listening:
    try:
        return Listening(config, {})
    except StreamerError as error:
        error.hint += (
            " If it is streamer's own socket unit, start the service and run the command again."
        )
        raise


async def _receive(
    config: Config,
    *,
    secrets: Secrets,
    file: Path | None,
    prepared: Prepared,
    listening: Listening,
    signals: Signals,
    work: Callable[[], Awaitable[T]],
) -> T:
    clock = SystemClock()
    reader = await connect_reader(config.database_path)
    try:
        service = Service(
            config,
            secrets,
            reader,
            clock=clock,
            prepared=prepared,
            reloader=Reloader(file, Path.cwd(), clock),
            signals=signals,
        )
        results, failures = await _run(service, listening, work)
    finally:
        await reader.aclose()
    if failures:
        raise failures[0]
    if not results:
        if service.ending.reason in signal.Signals.__members__:
            raise KeyboardInterrupt
        raise StreamerError(
            f"calls could not be received: {service.ending.reason}",
            hint="Run `streamer doctor`, and start the service with `streamer serve` to see more.",
        )
    return results[0]


async def _run(
    service: Service, listening: Listening, work: Callable[[], Awaitable[T]]
) -> tuple[list[T], list[StreamerError]]:
    """Run the service until ``work`` is done; return what it returned, or raised, if it came to."""
    results: list[T] = []
    failures: list[StreamerError] = []
    listens = anyio.Event()

    async def do_work() -> None:
        await listens.wait()
        try:
            results.append(await work())
        except StreamerError as error:
            failures.append(error)
        service.ending.ask("the command has what it waited for")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(do_work)
        await service.run(listening, listens.set)
        tasks.cancel_scope.cancel()
    return results, failures

"""Everything from the configuration to the running service."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

import structlog

from streamer.app import companions, garbage, loop, systemd
from streamer.app.companions import Made
from streamer.app.ending import tell_failure
from streamer.app.listening import Listening
from streamer.app.prepare import Prepared, make_data_directory, prepare_database
from streamer.app.reload import Reloader
from streamer.app.service import Service
from streamer.app.signals import Signals
from streamer.app.telling import say_started
from streamer.cli.calling import called_as
from streamer.cli.common import load_config
from streamer.clock import SystemClock
from streamer.config.generated import SIGNING_KEY_FILE, ensure_generated_key
from streamer.config.load import Loaded
from streamer.config.model import Config
from streamer.config.secrets import Secrets, resolve_all
from streamer.core.errors import StreamerError
from streamer.core.intervals import (
    COMPANION_END_SECONDS,
    ORPHANED_SECONDS,
    START_SECONDS_MAX,
)
from streamer.observe import log
from streamer.store import lockfile
from streamer.store.connection import connect_reader

_log = structlog.get_logger("streamer.service")

_ORPHANS = (
    "They answer the calls that they have, and end. If they do not, they hang: end them with "
    "`kill -9`; nothing that was answered 200 is lost by that."
)


def run(config: Path | None) -> None:
    """Run the service of a configuration file until a signal stops it.

    Exits with 1, after one line in the log, when something failed that is not
    for whoever configures it to mend.
    """
    os.umask(0o077)
    signals = Signals()
    signals.catch(signal.SIGHUP)
    loaded = load_config(config)
    log.set_up(
        level=loaded.config.log.level,
        form=loaded.config.log.format,
        under_journal=_under_journal(),
    )
    try:
        went_well = _serve(config, loaded, signals)
    except Exception as error:  # a traceback would go past the log, and may quote a body
        cause = log.culprit(error)
        if isinstance(cause, StreamerError):
            raise cause from error
        tell_failure("starting or stopping", error)
        went_well = False
    if not went_well:
        sys.exit(1)


def _serve(config: Path | None, loaded: Loaded, signals: Signals) -> bool:
    """Make ready what has to be there before anything listens, then run the event loop."""
    settings = loaded.config
    make_data_directory(settings.database_path.parent)
    new_key = _first_key(loaded)
    secrets = resolve_all(settings, os.environ)
    clock = SystemClock()
    with _hold(settings) as lock:
        systemd.notify_status("preparing the database")
        systemd.notify_extend_timeout(START_SECONDS_MAX)
        prepared = prepare_database(settings, now=clock.now())
        listening = Listening(settings, systemd.inherited_sockets())
        made: list[Made] = []
        try:
            made += companions.make(settings.server.processes, listening.ingest, lock=lock)
            service = partial(
                _run,
                loaded=loaded,
                secrets=secrets,
                listening=listening,
                prepared=prepared,
                file=config,
                signals=signals,
                new_key=new_key,
                made=made,
            )
            return loop.run(service)
        finally:
            listening.close()
            for one in made:
                one.end()


def _hold(settings: Config) -> AbstractContextManager[int]:
    """Take the data directory, once nobody is left of a service whose main process is gone."""
    server = settings.server
    seconds = server.lame_duck_seconds + server.graceful_seconds + COMPANION_END_SECONDS
    seconds = max(ORPHANED_SECONDS, seconds)

    def tell(holder: str) -> None:
        _log.warning("service.waits_for_orphans", seconds=seconds, holder=holder, hint=_ORPHANS)
        systemd.notify_status(f"waiting for {holder}")
        systemd.notify_extend_timeout(seconds + ORPHANED_SECONDS)

    data_dir = settings.database_path.parent
    return lockfile.hold(data_dir, orphans_seconds=seconds, on_wait=tell)


async def _run(
    *,
    loaded: Loaded,
    secrets: Secrets,
    listening: Listening,
    prepared: Prepared,
    file: Path | None,
    signals: Signals,
    new_key: str | None,
    made: Sequence[Made],
) -> bool:
    clock = SystemClock()
    reader = await connect_reader(loaded.config.database_path)
    try:
        service = Service(
            loaded.config,
            secrets,
            reader,
            clock=clock,
            prepared=prepared,
            reloader=Reloader(file, Path.cwd(), clock),
            signals=signals,
            made=made,
        )
        garbage.spare_what_stays()
        return await service.run(listening, lambda: _announce(loaded, listening, new_key, made))
    finally:
        # A service that ran has closed it, before the writer; one that could not be made has not.
        await reader.aclose()


def _first_key(loaded: Loaded) -> str | None:
    """Make up the default configuration's signing key; return it only when it is new."""
    if loaded.origin != "default":
        return None
    key, created = ensure_generated_key(loaded.config.database_path.parent)
    return key if created else None


def _announce(
    loaded: Loaded, listening: Listening, new_key: str | None, made: Sequence[Made]
) -> None:
    """Say that everything is up: to the log, and to a person if one looks."""
    say_started(
        loaded.config,
        loaded.path,
        ingest=listening.ingest_urls,
        admin=listening.admin_url,
        others=[one.process.pid for one in made],
    )
    if _a_person_looks(loaded):
        with suppress(OSError):  # a full disk behind it is no reason to serve nobody
            sys.stderr.write("".join(f"{line}\n" for line in _banner(loaded, listening, new_key)))
            sys.stderr.flush()
    elif new_key is not None:  # a log is no place for a key
        _log.warning("key.made", file=str(loaded.config.database_path.parent / SIGNING_KEY_FILE))


def _a_person_looks(loaded: Loaded) -> bool:
    """Tell whether lines for people have a place in what is written to standard error.

    They do where the log is text. The built-in default is somebody's first
    try, whose key is shown once, so it tells even a pipe, unless that is the
    journal or JSON was asked for.
    """
    form = loaded.config.log.format
    first_try = loaded.origin == "default" and form == "auto" and not _under_journal()
    return first_try or log.is_for_people(form, sys.stderr)


def _under_journal() -> bool:
    return systemd.is_journal(sys.stderr.fileno())


def _banner(loaded: Loaded, listening: Listening, new_key: str | None) -> list[str]:
    """Tell a person where to go from here."""
    ingest_url = listening.ingest_urls[0]
    lines = [f"Webhook URL     {ingest_url}/webhooks/{name}" for name in loaded.config.sources]
    if new_key is not None:
        lines.append(f"Signing key     {new_key}   (made up; shown this once)")
    for name, options in loaded.config.destinations.items():
        lines.append(f"Destination     {name}: {options.place}")
    this, same = called_as(), ""
    if loaded.origin == "argument":
        same = f" --config {shlex.quote(str(loaded.path))}"
    return [
        *lines,
        f"Metrics         {listening.admin_url}/metrics",
        f"Try it          {this} send-sample email.delivered{same}",
        f"Look at it      {this} status{same}",
    ]

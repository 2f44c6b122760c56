"""Everything from the configuration to the running service."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import anyio

from streamer.app import systemd
from streamer.app.prepare import make_data_directory, prepare_database
from streamer.app.reload import Reloader
from streamer.app.service import Listening, Service, open_reader_for
from streamer.cli.common import load_config
from streamer.clock import SystemClock
from streamer.config.generated import ensure_generated_key
from streamer.config.load import Loaded
from streamer.config.secrets import Secrets, resolve_all
from streamer.core.errors import StreamerError
from streamer.core.limits import START_SECONDS_MAX
from streamer.observe import log
from streamer.store import lockfile


def run(config: Path | None) -> None:
    """Run the service of a configuration file until a signal stops it."""
    os.umask(0o077)
    loaded = load_config(config)
    settings = loaded.config
    log.set_up(
        level=settings.log.level,
        form=settings.log.format,
        under_journal="JOURNAL_STREAM" in os.environ,
    )
    make_data_directory(settings.database_path.parent)
    new_key = _first_key(loaded)
    secrets = resolve_all(settings, os.environ)
    clock = SystemClock()
    with lockfile.hold(settings.database_path.parent):
        systemd.notify_status("preparing the database")
        systemd.notify_extend_timeout(START_SECONDS_MAX)
        standing = prepare_database(settings, now=clock.now())
        listening = Listening(settings, systemd.inherited_sockets())
        try:
            service = partial(
                _run,
                loaded=loaded,
                secrets=secrets,
                listening=listening,
                standing=standing,
                reloader=Reloader(config, Path.cwd(), clock),
                new_key=new_key,
            )
            anyio.run(service, backend_options={"use_uvloop": _has_uvloop()})
        except* StreamerError as group:
            raise _first(group) from group
        finally:
            listening.close()


async def _run(
    *,
    loaded: Loaded,
    secrets: Secrets,
    listening: Listening,
    standing: list[tuple[str, str]],
    reloader: Reloader,
    new_key: str | None,
) -> None:
    reader = await open_reader_for(loaded.config)
    try:
        service = Service(
            loaded.config,
            secrets,
            reader,
            clock=SystemClock(),
            standing_alarms=standing,
            reloader=reloader,
        )
        await service.run(listening, lambda: _announce(loaded, listening, new_key))
    finally:
        await reader.aclose()


def _first_key(loaded: Loaded) -> str | None:
    """Make up the default configuration's signing key; return it only when it is new."""
    if loaded.origin != "default":
        return None
    key, created = ensure_generated_key(loaded.config.database_path.parent)
    return key if created else None


def _announce(loaded: Loaded, listening: Listening, new_key: str | None) -> None:
    """Tell a person at a terminal where to go from here."""
    lines = []
    for name in loaded.config.sources:
        lines.append(f"Webhook URL     {listening.ingest_url}/webhooks/{name}")
    if new_key is not None:
        lines.append(f"Signing key     {new_key}   (made up; shown this once)")
    for name, options in loaded.config.destinations.items():
        lines.append(f"Destination     {name}: {options.place}")
    lines += [
        f"Metrics         {listening.admin_url}/metrics",
        "Try it          streamer send-sample email.delivered",
        "Look at it      streamer status",
    ]
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401, PLC0415 - there is none for every platform
    except ImportError:
        return False
    return True


def _first(group: BaseExceptionGroup[StreamerError]) -> StreamerError:
    """Find the error that ended the service inside the groups it came wrapped in."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner

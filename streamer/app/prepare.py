"""What happens before the event loop starts: the directory, the lock, the schema.

All of it is blocking and may fail with a clear error, so it is done first and
in plain order: nothing is listening yet, and nobody waits.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from streamer.config.model import Config
from streamer.config.start import parse_start
from streamer.core.alarms import CURSOR_MENDED
from streamer.core.errors import ConfigurationError
from streamer.destinations.options import DestinationOptions
from streamer.destinations.registry import kind_of
from streamer.disk import make_directory
from streamer.store import alarms, cursors, destinations, facts, migrate, sources, sqlite
from streamer.store.destinations import Declared
from streamer.store.sqlite import Connection

_log = structlog.get_logger("streamer.prepare")


def make_data_directory(directory: Path) -> None:
    """Make the data directory for its owner alone, and make its entry durable."""
    try:
        make_directory(directory)
    except OSError as error:
        raise ConfigurationError(
            f"the data directory {directory} cannot be made: {error.strerror}",
            hint="Make it yourself and give it to the user that streamer runs as.",
        ) from error


def prepare_database(config: Config, *, now: int) -> list[tuple[str, str]]:
    """Bring the schema up to date and declare what is configured; return the standing alarms."""
    sqlite.require_safe_version(allow_unsafe=config.outbox.allow_unsafe_sqlite)
    path = config.database_path
    connection = sqlite.open_writer(path)
    try:
        for migration in migrate.migrate(connection, path, now=now):
            _log.info("schema.migrated", migration=migration.name)
        connection.execute("BEGIN IMMEDIATE")
        _mend_cursors(connection, now=now)
        declare(connection, config, now=now)
        facts.ensure_instance(connection)
        connection.execute("COMMIT")
        standing = [(alarm.code, alarm.subject) for alarm in alarms.current(connection, now=now)]
    except sqlite.Error as error:
        raise sqlite.map_error(error) from error
    finally:
        connection.close()
    return standing


def _mend_cursors(db: Connection, *, now: int) -> None:
    """Go on without what cannot be read: a service that does not start helps nobody."""
    for name in cursors.mend(db):
        message = "it was forgotten, and at most one batch is sent again"
        alarms.note(db, CURSOR_MENDED.code, name, message, times=1, now=now)
        _log.warning(
            "cursor.mended",
            code=CURSOR_MENDED.code,
            destination=name,
            message=message,
            hint="Run `streamer db check`: something but streamer wrote to the database.",
        )


def declare(db: Connection, config: Config, *, now: int) -> None:
    """Write down which sources and destinations are configured, inside a transaction."""
    sources.ensure(db, config.sources)
    declared = [declared_of(name, options) for name, options in config.destinations.items()]
    destinations.declare(db, declared, now=now)


def declared_of(name: str, options: DestinationOptions) -> Declared:
    """Reduce a destination's settings to what the database has to know of them."""
    return Declared(
        name=name,
        kind=kind_of(options),
        lanes=options.lanes,
        include=tuple(options.include),
        exclude=tuple(options.exclude),
        start=parse_start(options.start),
    )

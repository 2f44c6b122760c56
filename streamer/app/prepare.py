"""What happens before the event loop starts: the directory, the lock, the schema.

All of it is blocking and may fail with a clear error, so it is done first and
in plain order: nothing is listening yet, and nobody waits.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

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
    except (FileExistsError, NotADirectoryError) as error:
        file = next(above for above in (directory, *directory.parents) if above.exists())
        raise ConfigurationError(
            f"the data directory {directory} cannot be made: {file} is a file",
            hint="Move that file away, or set data_dir to another place.",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"the data directory {directory} cannot be made: {error.strerror}",
            hint="Make it yourself and give it to the user that streamer runs as.",
        ) from error


class Prepared(NamedTuple):
    """What the board of alarms has to know of what was before it; codes and subjects."""

    standing: list[tuple[str, str]]
    raised: list[tuple[str, str]]
    """By the preparation itself."""


def prepare_database(config: Config, *, now: int) -> Prepared:
    """Bring the schema up to date and declare what is configured; return the alarms there are."""
    sqlite.require_safe_version(allow_unsafe=config.outbox.allow_unsafe_sqlite)
    path = config.database_path
    connection = sqlite.open_writer(path)
    try:
        for migration in migrate.migrate(connection, path, now=now):
            _log.info("schema.migrated", migration=migration.name)
        connection.execute("BEGIN IMMEDIATE")
        raised = _mend_cursors(connection, now=now)
        declare(connection, config, now=now)
        facts.ensure_instance(connection)
        connection.execute("COMMIT")
        standing = [(alarm.code, alarm.subject) for alarm in alarms.current(connection, now=now)]
    except sqlite.Error as error:
        raise sqlite.map_error(error) from error
    finally:
        connection.close()
    return Prepared(standing, raised)


def _mend_cursors(db: Connection, *, now: int) -> list[tuple[str, str]]:
    """Go on without what cannot be read: a service that does not start helps nobody."""
    mended = cursors.mend(db)
    for name in mended:
        message = "it was forgotten, and at most one batch is sent again"
        alarms.note(db, CURSOR_MENDED.code, name, message, times=1, now=now)
        _log.warning(
            "cursor.mended",
            code=CURSOR_MENDED.code,
            destination=name,
            message=message,
            hint="Run `streamer db check`: something but streamer wrote to the database.",
        )
    return [(CURSOR_MENDED.code, name) for name in mended]


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

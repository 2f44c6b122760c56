"""What commands share: their options, the configuration, and the database.

Commands work on the database beside a running service. They read through a
connection that cannot write, and write in one short transaction; the service
notices within half a second.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Parameter
from cyclopts.validators import Number

from streamer.clock import SystemClock
from streamer.core.errors import StoreBusy, StoreError, UsageError
from streamer.store import lockfile, migrate, sqlite, turns
from streamer.store.sqlite import Connection

if TYPE_CHECKING:
    from streamer.config.load import Loaded
    from streamer.config.model import Config

T = TypeVar("T")
Chosen = TypeVar("Chosen")

LIMIT_MAX = 100_000
"""Rows that a list shows at most: they are all in memory."""

_LOCK_TRIES = 10
"""Each waits for ``BUSY_TIMEOUT_MILLISECONDS``; a commit of the service takes a few."""

STORABLE = Number(gte=-(2**63), lte=2**63 - 1)
"""Whole numbers beyond these are none that the database could have."""

ConfigFile = Annotated[
    Path | None, Parameter(name="--config", help="Configuration file; see docs/configuration.md.")
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for programs.")]
OfSource = Annotated[str | None, Parameter(help="Only of this source.")]
Yes = Annotated[bool, Parameter(name="--yes", negative="", help="Do not ask.")]


def load_config(file: Path | None) -> Loaded:
    """Load the configuration as the service would."""
    from streamer.config.load import load  # noqa: PLC0415 - help and completion need none of it

    return load(file, environ=os.environ, working_directory=Path.cwd())


def now() -> int:
    """Return the wall time in ms since 1970."""
    return SystemClock().now()


def read_database(config: Config, work: Callable[[Connection], T]) -> T:
    """Run ``work`` on a connection that cannot write."""

    def read(connection: Connection) -> T:
        _require_this_schema(connection)
        return work(connection)

    return read_any_schema(config.database_path, read)


def read_any_schema(path: Path, work: Callable[[Connection], T]) -> T:
    """Run ``work`` on a connection that cannot write, to a database that need not suit us."""
    connection = sqlite.open_reader(path)
    try:
        return work(connection)
    except sqlite.Error as error:
        raise sqlite.map_error(error) from error
    finally:
        connection.close()


def change_database(config: Config, work: Callable[[Connection], T]) -> T:
    """Run ``work`` in one transaction, which waits its turn beside the service's."""
    sqlite.require_safe_version(allow_unsafe=config.outbox.allow_unsafe_sqlite)
    sqlite.require_there(config.database_path)
    connection = sqlite.open_writer(config.database_path)
    try:
        _require_this_schema(connection)
        result = _transact_in_turn(connection, work, config.database_path.parent)
    except sqlite.Error as error:
        raise sqlite.map_error(error) from error
    finally:
        connection.close()
    return result


def _transact_in_turn(connection: Connection, work: Callable[[Connection], T], data_dir: Path) -> T:
    """Do ``work`` in a transaction; each try at the lock is a turn, so others get theirs between.

    SQLite's own waiting is unfair beside a busy service, and another program may have the lock.
    """
    for _ in range(_LOCK_TRIES - 1):
        with turns.beside_the_service(data_dir), suppress(_NotYet):
            return _transact(connection, work)
    with turns.beside_the_service(data_dir):
        return _transact(connection, work)


class _NotYet(StoreBusy):
    """The transaction could not begin, since another one runs."""


def _transact(connection: Connection, work: Callable[[Connection], T]) -> T:
    _begin(connection)
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def change_in_pieces(
    config: Config,
    chosen: Sequence[Chosen],
    work: Callable[[Connection, Sequence[Chosen]], T],
    *,
    at_once: int,
) -> list[T]:
    """Change many things, ``at_once`` of them in a transaction: the service's calls wait for each.

    What an error or an interrupt ends early stays done as far as it got.
    """

    def change(first: int) -> T:
        piece = chosen[first : first + at_once]
        return change_database(config, lambda db: work(db, piece))

    return [change(first) for first in range(0, len(chosen), at_once)]


def _require_this_schema(connection: Connection) -> None:
    """Refuse a database of another schema than this program's, older or newer."""
    migrations = migrate.load_migrations()
    version = migrate.require_known_schema(connection, migrations)
    if version < len(migrations):
        raise StoreError(
            f"the database has schema {version}, this program needs {len(migrations)}",
            hint="Restart the service, or run `streamer db migrate` while it is stopped.",
        )


def _begin(connection: Connection) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite.OperationalError as error:
        mapped = sqlite.map_error(error)
        if isinstance(mapped, StoreBusy):
            raise _NotYet(str(mapped), hint=mapped.hint) from error
        raise


def require_limit(limit: int) -> None:
    """Refuse a limit that would show nothing, or more than there is memory for."""
    if not 1 <= limit <= LIMIT_MAX:
        raise UsageError(
            f"--limit is a number from 1 to {LIMIT_MAX:,}",
            hint="Leave it out for as many as fit a few screens.",
        )


def service_runs(data_dir: Path) -> bool | None:
    """Tell whether a service holds the data directory; None when this user may not look."""
    try:
        return lockfile.is_held(data_dir)
    except (StoreError, OSError):
        return None

"""What commands share: their options, the configuration, the database, and how they print.

Commands work on the database beside a running service. They read through a
connection that cannot write, and write in one short transaction; the service
notices within half a second.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from cyclopts import Parameter

from streamer.clock import SystemClock
from streamer.core.errors import StoreBusy, StoreError, UsageError
from streamer.core.times import parse_time
from streamer.store import migrate, sqlite
from streamer.store.sqlite import Connection

if TYPE_CHECKING:
    from streamer.config.load import Loaded
    from streamer.config.model import Config

T = TypeVar("T")

_PIPE_COLUMNS = 2_000

_LOCK_TRIES = 10
"""Each waits for ``BUSY_TIMEOUT_MILLISECONDS``; a commit of the service takes a few."""

ConfigFile = Annotated[
    Path | None, Parameter(name="--config", help="Configuration file; see docs/configuration.md.")
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for programs.")]
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
    connection = sqlite.open_reader(config.database_path)
    try:
        _require_this_schema(connection)
        return work(connection)
    except sqlite.Error as error:
        raise sqlite.map_error(error) from error
    finally:
        connection.close()


def change_database(config: Config, work: Callable[[Connection], T]) -> T:
    """Run ``work`` in one transaction, which waits its turn beside the service's."""
    sqlite.require_safe_version(allow_unsafe=config.outbox.allow_unsafe_sqlite)
    sqlite.open_reader(config.database_path).close()  # there must be a database already
    connection = sqlite.open_writer(config.database_path)
    try:
        _require_this_schema(connection)
        _begin(connection)
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except sqlite.Error as error:
        raise sqlite.map_error(error) from error
    finally:
        connection.close()
    return result


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
    """Take the write lock; SQLite's own waiting is unfair beside a busy service, so try again."""
    for _ in range(_LOCK_TRIES - 1):
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite.OperationalError as error:
            if not isinstance(sqlite.map_error(error), StoreBusy):
                raise
        else:
            return
    connection.execute("BEGIN IMMEDIATE")


def print_json(value: object) -> None:
    """Print one JSON object, or an array, and nothing else."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(text.decode() + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """Print plain lines."""
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))


def printable(text: str) -> str:
    """Write control characters as escapes: much of what is shown was written by strangers."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print a table, or one sentence when there is nothing in it."""
    from rich.console import Console  # noqa: PLC0415 - costs a tenth of a second
    from rich.table import Table  # noqa: PLC0415 - the same

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    # In a pipe nothing is folded, so that one row stays one line.
    console = Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
    if table.row_count:
        console.print(table)
    else:
        console.print(empty, markup=False)


def _cell(value: Any) -> str:  # noqa: ANN401 - whatever a row holds
    from rich.markup import escape  # noqa: PLC0415 - costs a tenth of a second

    return "" if value is None else escape(printable(str(value)))


def moment(text: str | None, option: str) -> int | None:
    """Read a time from an option; raises `UsageError` naming it."""
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r} is no time", hint="Write it like 2026-11-23T08:00:00Z."
        ) from error


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone; raises `UsageError` when it is not wanted."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("this wants a confirmation", hint="Say --yes to do it without asking.")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError("nothing was done")

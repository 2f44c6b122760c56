"""Which SQLite is used, whether it is safe, and how a connection is opened.

SQLite 3.7.0 to 3.51.2 can lose committed transactions when two connections
write and checkpoint the same write-ahead log at the same moment (fixed in
3.51.3, and in the 3.44 and 3.50 branches by 3.44.6 and 3.50.7). The service
and every command therefore use the SQLite that the ``pysqlite3`` wheel
carries where there is one, and the standard library's elsewhere, and refuse
to open the database with an unsafe one.

Its exceptions are not those of the standard ``sqlite3`` module, so nothing
outside this package may catch `sqlite3.Error`: use the names given here.
"""

from __future__ import annotations

import os
import sqlite3 as _standard
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.core.errors import ConfigurationError, StoreBusy, StoreDamaged, StoreError
from streamer.core.limits import BUSY_TIMEOUT_MILLISECONDS

if TYPE_CHECKING:
    import sqlite3 as engine
    from sqlite3 import Connection
else:
    try:
        import pysqlite3 as engine
    except ImportError:
        engine = _standard
    Connection = engine.Connection

Error = engine.Error
DatabaseError = engine.DatabaseError
IntegrityError = engine.IntegrityError
OperationalError = engine.OperationalError

complete_statement = engine.complete_statement

VERSION: str = engine.sqlite_version
MODULE: str = engine.__name__

__all__ = [
    "MODULE",
    "VERSION",
    "Connection",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "OperationalError",
    "blames_store",
    "complete_statement",
    "connect_read_only",
    "is_safe_version",
    "map_error",
    "may_pass",
    "one_moment",
    "open_in_memory",
    "open_reader",
    "open_writer",
    "require_safe_version",
    "require_there",
]

_THE_FILE = "the file"
_INCREMENTAL = 2

# SQLite's primary result codes; an extended one has more in its upper bytes.
_LOCKED = {5, 6}  # BUSY, LOCKED
_FULL = {13}
_NO_ROOM_TO_OPEN = 4874  # IOERR_SHMSIZE: no room for the file that connections share
_NOT_OPEN = {8, 14}  # READONLY, CANTOPEN
_FAILING = {10, 11}  # IOERR, CORRUPT
_NO_DATABASE = {26}  # NOTADB
_DAMAGED = {11, 26}  # CORRUPT, NOTADB
_ELSEWHERE = {7, 9, 15}  # NOMEM, INTERRUPT, PROTOCOL


def is_safe_version(version: str) -> bool:
    """Tell whether a SQLite version has the fix for the WAL-reset bug."""
    parts = tuple(int(part) for part in version.split("."))[:3]
    if parts >= (3, 51, 3) and parts != (3, 52, 0):  # 3.52.0 was withdrawn
        return True
    return parts[:2] in {(3, 44), (3, 50)} and parts >= {44: (3, 44, 6), 50: (3, 50, 7)}[parts[1]]


def require_safe_version(*, allow_unsafe: bool) -> None:
    """Refuse a SQLite that can lose commits, unless the operator insists."""
    if is_safe_version(VERSION) or allow_unsafe:
        return
    raise ConfigurationError(
        f"SQLite {VERSION} (from {MODULE}) can lose committed events (WAL-reset bug)",
        hint="Install the pysqlite3 wheel, or a SQLite of 3.51.3 or later; if your distribution "
        "has patched this version, set outbox.allow_unsafe_sqlite = true.",
    )


def open_writer(path: Path) -> Connection:
    """Open the connection that writes: durable commits, no implicit transactions.

    A database that does not exist is made, for its owner alone. Raises
    `StoreError` when it cannot be opened.
    """
    _make_private(path)
    connection = _connect(f"file:{_quote(path)}?mode=rw", named=str(path))
    try:
        # Only bites on a new file; on any other it would be a transaction, and wait for the lock.
        if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != _INCREMENTAL:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _require(connection, "journal_mode = WAL", "journal_mode", "wal")
        _require(connection, "synchronous = FULL", "synchronous", 2)
        _require(connection, "secure_delete = ON", "secure_delete", 1)
        _require(connection, "foreign_keys = ON", "foreign_keys", 1)
        # The writer checkpoints by itself, after it has released those who wait for a commit.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    except engine.Error as error:
        connection.close()
        raise map_error(error) from error
    except StoreError:
        connection.close()
        raise
    return connection


def _make_private(path: Path) -> None:
    """Make a new database readable by its owner alone; SQLite gives its other files the same mode.

    A file that exists is not opened, however briefly: closing it again would
    drop the locks that other connections of this process have on it.
    """
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be made ({error.strerror})",
            hint="The data directory must exist and belong to the user that streamer runs as.",
        ) from error


def open_reader(path: Path) -> Connection:
    """Open a connection that cannot write; raises `StoreError` when there is no database."""
    require_there(path)
    connection = connect_read_only(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def require_there(path: Path) -> None:
    """Say plainly that there is no file, that this user may not reach it, or that it is none."""
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(
            f"there is no database at {path}",
            hint="Start the service once (`streamer serve`), or point --config at its settings.",
        ) from error
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be reached ({error.strerror})",
            hint="Run the command as the user that owns the data directory, such as `sudo -u "
            "streamer`.",
        ) from error
    if not is_file:
        raise _no_database(str(path))


def connect_read_only(path: Path) -> Connection:
    """Open a connection that can write to no database but a copy that it makes itself."""
    return _connect(f"file:{_quote(path)}?mode=ro", named=str(path))


def open_in_memory() -> Connection:
    """Open a database that vanishes when it is closed."""
    return _connect("file::memory:")


def _connect(uri: str, *, named: str = _THE_FILE) -> Connection:
    try:
        connection: Connection = engine.connect(
            uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            timeout=BUSY_TIMEOUT_MILLISECONDS / 1000,
        )
    except engine.Error as error:
        raise map_error(error) from error
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except engine.Error as error:
        connection.close()
        raise map_error(error, named=named) from error
    return connection


@contextmanager
def one_moment(connection: Connection) -> Iterator[None]:
    """Read everything inside as it was at one moment, whatever others write meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def _require(connection: Connection, setting: str, name: str, expected: object) -> None:
    """Set a pragma and read it back: a durability setting that did not take is no setting."""
    connection.execute(f"PRAGMA {setting}")
    actual = connection.execute(f"PRAGMA {name}").fetchone()[0]
    if actual != expected:
        raise StoreDamaged(
            f"SQLite would not set {setting} (it says {actual!r})",
            hint="The data directory may be on a network file system, which streamer cannot use.",
        )


def _quote(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def blames_store(error: Exception) -> bool:
    """Tell whether an error is the database's or the disk's fault, not that of one statement."""
    return (
        _primary_code(error) in _LOCKED | _FULL | _NOT_OPEN | _FAILING | _NO_DATABASE | _ELSEWHERE
    )


def may_pass(error: Exception) -> bool:
    """Tell whether the same work may succeed later: a lock, a full or a failing disk."""
    return blames_store(error) and _primary_code(error) not in _DAMAGED


def map_error(error: Exception, *, named: str = _THE_FILE) -> StoreError:
    """Turn an exception of SQLite into ours, keeping what an operator can act on.

    ``named`` says which file it was about, where that is known.
    """
    code = _primary_code(error)
    if code in _LOCKED:
        return StoreBusy(
            "another program holds the database's write lock",
            hint="Close any sqlite3 shell that is inside a transaction on streamer.db.",
        )
    if code in _FULL or getattr(error, "sqlite_errorcode", None) == _NO_ROOM_TO_OPEN:
        return StoreError("the disk is full", hint="Free space on the data directory's disk.")
    if code in _NOT_OPEN:
        return StoreError(
            f"the database cannot be opened for this ({error})",
            hint="Run the command as the user that owns the data directory, such as `sudo -u "
            "streamer`.",
        )
    if code in _FAILING:
        return StoreDamaged(
            f"the database or its disk is failing ({error})",
            hint="Look at the kernel log; run `streamer db check`; see STR-206 in operating.md.",
        )
    if code in _NO_DATABASE:
        return _no_database(named)
    return StoreError(f"the database refused ({error})")


def _no_database(named: str) -> StoreDamaged:
    return StoreDamaged(
        f"{named} is not a database of SQLite",
        hint="Look at data_dir in the configuration: the file may be another program's. If it "
        "was a database, see to the disk, and put a copy in its place with `streamer db restore`.",
    )


def _primary_code(error: Exception) -> int:
    code = getattr(error, "sqlite_errorcode", None)  # errors of Python's own have none
    return code & 0xFF if isinstance(code, int) else 0

"""``streamer db``: look after the database itself.

What replaces or migrates the database wants the service stopped, and the lock
of the data directory makes sure of it; everything else works beside it.
"""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from streamer.cli import common, console
from streamer.cli.common import ConfigFile, Json, Yes
from streamer.cli.wording import count, moment_text, size
from streamer.core.errors import StoreError, StreamerError, UsageError
from streamer.core.times import rfc3339
from streamer.store import backup as copying
from streamer.store import check as checking
from streamer.store import facts, lockfile, sqlite
from streamer.store import migrate as migrations
from streamer.store import salvage as salvaging
from streamer.store.sqlite import Connection

SHELL = "sqlite3"

NewFile = Annotated[Path, Parameter(help="A file that does not exist yet.")]


class DatabaseStatus(msgspec.Struct, frozen=True):
    """What ``streamer db status`` prints."""

    path: str
    service_running: bool | None
    schema: int
    schema_known: int
    """The schema that this program needs."""
    database_bytes: int
    log_bytes: int
    """Size of the write-ahead log, which keeps it when it is reused."""
    free_bytes: int
    """Pages of the file that hold nothing."""
    sqlite: str
    sqlite_module: str
    sqlite_safe: bool
    clock_seen_at: str | None
    clock_doubted_at: str | None
    """Set while pruning waits for `streamer db confirm-clock`."""


def status(*, config: ConfigFile = None, json: Json = False) -> None:
    """Show schema, sizes and versions; works with a database of any schema."""
    path = _path(config)
    found = common.read_any_schema(path, lambda db: _status(db, path))
    if json:
        console.print_json(found)
        return
    running = {True: "running", False: "stopped", None: "not known"}[found.service_running]
    schema = "up to date" if found.schema == found.schema_known else "run `streamer db migrate`"
    if found.schema > found.schema_known:
        schema = "of a later program"
    safe = "safe" if found.sqlite_safe else "NOT SAFE: it can lose commits (STR-207)"
    lines = [
        f"Database     {found.path}, {size(found.database_bytes)}",
        f"Log          {size(found.log_bytes)}",
        f"Free inside  {size(found.free_bytes)}",
        f"Schema       {found.schema} of {found.schema_known}, {schema}",
        f"SQLite       {found.sqlite} ({found.sqlite_module}), {safe}",
        f"Service      {running}",
    ]
    if found.clock_doubted_at is not None:
        doubted, seen = moment_text(found.clock_doubted_at), moment_text(found.clock_seen_at)
        lines.append(f"Clock        in doubt: it said {doubted}, believed last was {seen}")
    console.print_text(lines)


def _status(db: Connection, path: Path) -> DatabaseStatus:
    has_facts = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'facts'").fetchone()
    (free_pages,) = db.execute("PRAGMA freelist_count").fetchone()
    (page_bytes,) = db.execute("PRAGMA page_size").fetchone()
    log = path.with_name(path.name + "-wal")
    return DatabaseStatus(
        path=str(path),
        service_running=common.service_runs(path.parent),
        schema=migrations.schema_version(db),
        schema_known=len(migrations.load_migrations()),
        database_bytes=path.stat().st_size,
        log_bytes=log.stat().st_size if log.exists() else 0,
        free_bytes=free_pages * page_bytes,
        sqlite=sqlite.VERSION,
        sqlite_module=sqlite.MODULE,
        sqlite_safe=sqlite.is_safe_version(sqlite.VERSION),
        clock_seen_at=rfc3339(facts.read(db, facts.CLOCK_SEEN)) if has_facts else None,
        clock_doubted_at=rfc3339(facts.read(db, facts.CLOCK_DOUBTED)) if has_facts else None,
    )


def _path(config: ConfigFile) -> Path:
    return common.load_config(config).config.database_path


def migrate(*, config: ConfigFile = None) -> None:
    """Bring the schema up to date, after copying the database; the service must be stopped.

    The service does the same when it starts.
    """
    settings = common.load_config(config).config
    path = settings.database_path
    sqlite.require_safe_version(allow_unsafe=settings.outbox.allow_unsafe_sqlite)
    sqlite.require_there(path)
    _require_owner(path.parent)
    with lockfile.hold(path.parent):
        db = sqlite.open_writer(path)
        try:
            applied = migrations.migrate(db, path, now=common.now())
        except sqlite.Error as error:
            raise sqlite.map_error(error) from error
        finally:
            db.close()
    done = [f"applied {migration.name}" for migration in applied]
    console.print_text(done or ["the schema is up to date"])


def backup(
    target: NewFile,
    /,
    *,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Write a copy while the service runs; the copy holds personal data."""
    path = _path(config)
    copy = copying.backup(path, target.absolute())
    if json:
        console.print_json({**msgspec.structs.asdict(copy), "path": str(copy.path)})
        return
    events = count(copy.events, "event")
    console.print_text(
        [f"wrote {size(copy.bytes)} to {copy.path}: {events}, up to position {copy.last_position}"]
    )


def restore(
    copy: Annotated[Path, Parameter(help="A copy that `streamer db backup` wrote.")],
    /,
    *,
    yes: Yes = False,
    config: ConfigFile = None,
) -> None:
    """Put a copy in place of the database; the service must be stopped.

    What was delivered since the copy was made is delivered once more.
    """
    settings = common.load_config(config).config
    path = settings.database_path
    sqlite.require_safe_version(allow_unsafe=settings.outbox.allow_unsafe_sqlite)
    _require_stopped(path)
    _require_owner(path.parent)
    if not os.access(copy, os.R_OK):
        raise UsageError(
            f"the copy {copy} is not there, or may not be read",
            hint="Name one that `streamer db backup` wrote, or one in copies/ of the data"
            " directory, where each migration leaves one.",
        )
    if path.exists():
        console.confirm(
            f"Put {copy} in place of {path}? Events that were received since the copy was made are"
            " then only in the old file, which is kept.",
            yes=yes,
        )
    restored = copying.restore(copy.absolute(), path, now=common.now())
    lines = [f"{path} is restored; new events begin after position {restored.last_position}"]
    if restored.replaced is not None:
        lines.append(f"the database that was there is {restored.replaced}")
    console.print_text(lines)


def _require_owner(data_dir: Path) -> None:
    """Refuse to leave files behind that the service could not open: root makes them its own."""
    if not data_dir.is_dir() or (owner := data_dir.stat().st_uid) == os.geteuid():
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    raise StoreError(
        f"{data_dir} belongs to {name}, whose service could not open what you make there",
        hint=f"Run the command as that user: `sudo -u {name} streamer db …`.",
    )


def _require_stopped(path: Path) -> None:
    if common.service_runs(path.parent):
        raise StoreError(
            f"{path.parent} is in use by the service",
            hint="Stop the service first, such as with `systemctl stop streamer`.",
        )


def check(*, config: ConfigFile = None, json: Json = False) -> None:
    """Check the database for damage; reads all of it, and exits with 1 when something is wrong."""
    path = _path(config)
    findings = checking.check(path)
    if json:
        console.print_json(findings)
    else:
        for finding in findings:
            console.print_text([finding.what, f"  {finding.advice}"])
    if findings:
        raise StreamerError(f"{path} is not sound: {count(len(findings), 'finding')}")
    if not json:
        console.print_text([f"{path} is sound"])


def salvage(
    target: NewFile,
    /,
    *,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Rescue what can be read of a damaged database into a new file; stop the service first."""
    path = _path(config)
    sqlite.require_there(path)
    _require_stopped(path)
    if not os.access(target.absolute().parent, os.W_OK | os.X_OK):
        raise UsageError(
            f"the file {target} cannot be made",
            hint="Name a place on a disk with room that this user may write to.",
        )
    done = salvaging.salvage(path, target.absolute(), now=common.now())
    if json:
        console.print_json(done)
        return
    lines = [f"{rows:>12,}  {table}" for table, rows in done.rows.items()]
    if not lines:
        lines = ["nothing was in it that belongs to streamer"]
    lines += [f"not readable: {place}" for place in done.damaged]
    for number, what in (
        (done.refused, "rows made no sense and were left out"),
        (done.doubtful_events, "events do not fit their rows and are in quarantine"),
        (done.lost_letters, "dead letters lost their event and are discarded"),
    ):
        if number:
            lines.append(f"{number:,} {what}")
    console.print_text([*lines, f"put it in place with `streamer db restore {target}`"])


Query = Annotated[
    str,
    Parameter(
        allow_leading_hyphen=True, help="For sqlite3: a query, and options such as -json before it."
    ),
]


def shell(*query: Query, config: ConfigFile = None) -> None:
    """Open sqlite3 on the database for reading, or run a query; see the views named v_…."""
    path = _path(config)
    common.read_any_schema(path, lambda db: None)  # its own words name no place and no remedy
    program = shutil.which(SHELL)
    if program is None:
        raise StreamerError(
            f"{SHELL} is not installed", hint="Install it, such as with `apt install sqlite3`."
        )
    # A shell of its own process would outlive a Ctrl-C that is meant for the query.
    os.execv(program, [SHELL, "-readonly", str(path), *query])  # noqa: S606 - no shell in between


def confirm_clock(*, yes: Yes = False, config: ConfigFile = None) -> None:
    """Confirm the wall clock after a jump, so that pruning goes on."""
    settings = common.load_config(config).config
    doubted, seen = common.read_database(
        settings,
        lambda db: (facts.read(db, facts.CLOCK_DOUBTED), facts.read(db, facts.CLOCK_SEEN)),
    )
    if doubted is None:
        console.print_text(["the clock is not in doubt: nothing to confirm"])
        return
    believed = moment_text(rfc3339(seen))
    console.confirm(
        f"The clock says {moment_text(rfc3339(common.now()))}, and was believed last at {believed}."
        " Is it right now? Events older than the retention time are then deleted.",
        yes=yes,
    )
    common.change_database(settings, lambda db: facts.confirm_clock(db, now=common.now()))
    console.print_text(["the clock is confirmed; pruning goes on within the minute"])

"""The database: can it be read, is its schema known, what stands in it that is wrong?

Only what costs nothing at any size; `streamer db check` reads everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamer.cli.common import now, read_database
from streamer.cli.looks.finding import Finding, failed, ok, warning
from streamer.config.model import Config
from streamer.core.times import rfc3339
from streamer.store import alarms, facts, migrate
from streamer.store.alarms import RaisedAlarm
from streamer.store.sqlite import Connection

_MIB = 2**20


def instance(config: Config) -> str:
    """Return the random number that the database was given; empty when there is none yet."""
    if not config.database_path.exists():
        return ""
    return read_database(config, facts.instance)


def database(config: Config) -> list[Finding]:
    """Open the database and read its schema's version."""
    path = config.database_path
    if not path.exists():
        hint = "The first start makes it: `streamer serve`."
        return [warning("database", "there is a database", f"none at {path}", hint)]
    version, last_at = read_database(config, _schema_and_last_call)
    known = len(migrate.load_migrations())
    findings = [_judge_schema(version, known)]
    findings.append(judge_wal(_size(path.with_name(path.name + "-wal")), config))
    last = rfc3339(last_at) or "none came yet"
    return [*findings, ok("database.calls", "the last signed call", last)]


def _schema_and_last_call(db: Connection) -> tuple[int, int | None]:
    version = migrate.schema_version(db)
    if version == 0:
        return 0, None
    (last_at,) = db.execute("SELECT max(last_received_at) FROM sources").fetchone()
    return version, last_at


def _judge_schema(version: int, known: int) -> Finding:
    detail = f"version {version} of {known}"
    if version == known:
        return ok("database.schema", "the schema is up to date", detail)
    hint = "The next start of the service brings it up to date."
    return warning("database.schema", "the schema is up to date", detail, hint)


def judge_wal(size: int, config: Config) -> Finding:
    """Judge the size of the write-ahead log, which grows while a reader stays in one SELECT."""
    code, what = "database.wal", "the write-ahead log is small"
    detail = f"{size / _MIB:.1f} MiB"
    if size <= config.outbox.wal_alarm_bytes:
        return ok(code, what, detail)
    hint = f"Something reads without an end: `fuser {config.database_path}` shows who has it open."
    return failed(code, what, detail, hint)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def standing_alarms(config: Config) -> list[Finding]:
    """Tell the alarms that stand in the database."""
    if not config.database_path.exists():
        return []
    at = now()
    return judge_alarms(read_database(config, lambda db: _alarms(db, at)))


def _alarms(db: Connection, at: int) -> list[RaisedAlarm]:
    return alarms.current(db, now=at) if migrate.schema_version(db) else []


def judge_alarms(raised: Sequence[RaisedAlarm]) -> list[Finding]:
    """Turn alarms into findings, each under its own code."""
    if not raised:
        return [ok("alarms", "no alarm stands")]
    return [
        (failed if alarm.severity == "critical" else warning)(
            alarm.code,
            alarm.title,
            f"{alarm.subject + ': ' if alarm.subject else ''}{alarm.message} "
            f"(times: {alarm.times}, last at {rfc3339(alarm.last_at)})",
            f"See {alarm.code} in docs/operating.md.",
        )
        for alarm in raised
    ]

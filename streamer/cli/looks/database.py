"""The database: can it be read, is its schema known, what stands in it that is wrong?

Only what costs nothing at any size; `streamer db check` reads everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from streamer.cli import pages
from streamer.cli.advice import advice_for
from streamer.cli.common import now, read_any_schema
from streamer.cli.looks.finding import Finding, failed, ok, warning
from streamer.cli.wording import count, moment_text, size
from streamer.config.model import Config
from streamer.core.alarms import ALARMS
from streamer.core.times import rfc3339
from streamer.store import alarms, facts, migrate
from streamer.store.alarms import RaisedAlarm
from streamer.store.sqlite import Connection

T = TypeVar("T")


def instance(config: Config) -> str:
    """Return the random number that the database was given; empty when there is none yet."""
    return _ask(config, facts.instance) if _schema(config) else ""


def database(config: Config) -> list[Finding]:
    """Open the database and read its schema's version."""
    path = config.database_path
    version = _schema(config)
    if version is None:
        hint = "The first start makes it: `streamer serve`."
        return [warning("database", "there is no database yet", str(path), hint)]
    findings = [judge_schema(version, len(migrate.load_migrations()))]
    findings.append(judge_wal(_size(path.with_name(path.name + "-wal")), config))
    return findings


def _schema(config: Config) -> int | None:
    """Return the schema's version, also one that other commands refuse; None: no database."""
    return _ask(config, migrate.schema_version) if config.database_path.exists() else None


def _ask(config: Config, work: Callable[[Connection], T]) -> T:
    return read_any_schema(config.database_path, work)


def judge_schema(version: int, known: int) -> Finding:
    """Judge the schema's version against the one that this program works with."""
    code, what = "database.schema", "the schema is this program's"
    detail = f"version {version} of {known}"
    if version == known:
        return ok(code, what, detail)
    if version < known:
        hint = "The next start of the service brings it up to date; commands wait for that."
        return warning(code, "the schema is older than this program's", detail, hint)
    hint = "Install the newer streamer again; this one can do nothing with it."
    return failed(code, "the schema is newer than this program", detail, hint)


def judge_wal(wal_bytes: int, config: Config) -> Finding:
    """Judge the size of the write-ahead log, which grows while a reader stays in one SELECT."""
    code, what = "database.wal", "the write-ahead log is small"
    detail = size(wal_bytes)
    if wal_bytes <= config.outbox.wal_alarm_bytes:
        return ok(code, what, detail)
    hint = f"Something reads without an end: `fuser {config.database_path}` shows who has it open."
    return failed(code, "the write-ahead log is large", detail, hint)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def calls_and_alarms(config: Config) -> list[Finding]:
    """Tell when the last signed call came, and the alarms that stand."""
    if _schema(config) != len(migrate.load_migrations()):
        return []
    at = now()
    raised = _ask(config, lambda db: alarms.current(db, now=at))
    last_at = _ask(config, _last_call)
    last = "none came yet" if last_at is None else moment_text(rfc3339(last_at))
    return [ok("database.calls", "the last signed call", last), *judge_alarms(raised)]


def _last_call(db: Connection) -> int | None:
    (last_at,) = db.execute("SELECT max(last_received_at) FROM sources").fetchone()
    return last_at  # type: ignore[no-any-return]  # a column of whole numbers


def judge_alarms(raised: Sequence[RaisedAlarm]) -> list[Finding]:
    """Turn alarms into findings, each under its own code.

    A condition stands now, and fails when it is critical. An incident is over:
    it is told for a day, and no reason to be called.
    """
    return [_judge_alarm(alarm) for alarm in raised] or [ok("alarms", "no alarm stands")]


def _judge_alarm(alarm: RaisedAlarm) -> Finding:
    stands = ALARMS[alarm.code].lasting
    subject = f"{alarm.subject}: " if alarm.subject else ""
    times = f"{count(alarm.times, 'time')}, last {moment_text(rfc3339(alarm.last_at))}"
    advice = advice_for(alarm.code, alarm.subject)
    more = f"See {alarm.code} in {pages.page('operating.md')}."
    if not stands:
        more += " It is over, and shown for a day."
    return (failed if stands and alarm.severity == "critical" else warning)(
        alarm.code, alarm.title, f"{subject}{alarm.message} ({times})", f"To do: {advice}. {more}"
    )

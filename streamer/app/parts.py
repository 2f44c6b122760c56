"""From the configuration to the parts of the running service."""

from __future__ import annotations

import hashlib
from pathlib import Path

from streamer.app import terms
from streamer.app.channel import Start
from streamer.app.terms import SourceTerms, Terms
from streamer.clock import Clock
from streamer.config import formats
from streamer.config.model import Config
from streamer.config.secrets import Secrets, secrets_in
from streamer.config.settings import Setting, settings_of
from streamer.core.alarms import Alarm
from streamer.core.retry import RetryPolicy
from streamer.core.selection import Selection
from streamer.destinations import registry
from streamer.destinations.base import Destination
from streamer.destinations.common_options import CommonOptions
from streamer.drain.shared import DrainPolicy
from streamer.ingest.source import Source
from streamer.observe.board import Board
from streamer.store.turns import Turns
from streamer.store.writer import Writer


def make_sources(config: Config, secrets: Secrets, *, body_bytes_max: int) -> dict[str, Source]:
    """Prepare every configured source for verifying calls."""
    return terms.make_sources(make_terms(config, secrets), body_bytes_max=body_bytes_max)


def make_terms(config: Config, secrets: Secrets) -> Terms:
    """Say on which terms calls are taken, in this process and in others."""
    return Terms(
        sources={
            name: SourceTerms(
                signing_keys=tuple(secrets.of(key) for key in options.signing_keys),
                refuse_bad_signature=options.on_bad_signature == "401",
                age_warn_seconds=options.age_warn_seconds,
                age_limit_seconds=options.age_limit_seconds,
            )
            for name, options in config.sources.items()
        },
        quarantine_bytes_max=config.outbox.quarantine_bytes_max,
        log_level=config.log.level,
    )


def make_destination(
    name: str, options: CommonOptions, secrets: Secrets, *, clock: Clock, board: Board
) -> Destination:
    """Make one destination; its alarms carry its name."""

    def raise_alarm(alarm: Alarm, message: str) -> None:
        board.note(alarm, name, message)

    return registry.build(name, options, clock=clock, secret=secrets.of, raise_alarm=raise_alarm)


def held_in_files(options: CommonOptions, secrets: Secrets) -> tuple[str, ...]:
    """Return what a destination is made of that its settings only point to.

    These are its secrets, and a digest of each file that it reads once, such as a mapping: a
    reload must notice that one was changed, although the setting is as it was.
    """
    values = [secrets.of(secret) for _, secret in secrets_in(options)]
    paths = [getattr(options, item.name) for item in settings_of(type(options)) if _is_path(item)]
    return (*values, *(_digest(Path(path)) for path in paths if path is not None))


def _is_path(item: Setting) -> bool:
    return item.format == formats.PATH


def _digest(path: Path) -> str:
    """Return a digest of a file; empty for a directory, or what cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def make_policy(options: CommonOptions) -> DrainPolicy:
    """Say how a destination is to be drained."""
    return DrainPolicy(
        selection=Selection(include=options.include, exclude=options.exclude),
        retry=RetryPolicy(
            base_seconds=options.backoff_base_seconds, max_seconds=options.backoff_max_seconds
        ),
        batch_events_max=options.batch_events_max,
        batch_bytes_max=options.batch_bytes_max,
        linger_ms=options.linger_ms,
        rate_per_second=options.rate_per_second,
        lanes=options.lanes,
    )


def make_writer(config: Config, clock: Clock) -> Writer:
    """Make the main process's writer; it opens its connection later."""
    outbox, processes = config.outbox, config.server.processes
    directory = config.database_path.parent
    return Writer(
        config.database_path,
        clock,
        quarantine_bytes_max=outbox.quarantine_bytes_max,
        queue_bytes_max=outbox.queue_bytes_max,
        queue_events_max=outbox.queue_events_max,
        turns=Turns(directory, writers=processes) if processes > 1 else None,
    )


def make_start(config: Config, secrets: Secrets, *, instance: str, under_journal: bool) -> Start:
    """Say all that a companion has to know."""
    server, outbox = config.server, config.outbox
    return Start(
        processes=server.processes,
        instance=instance,
        database=str(config.database_path),
        engine=server.engine,
        terms=make_terms(config, secrets),
        body_bytes_max=outbox.body_max_bytes,
        queue_bytes_max=outbox.queue_bytes_max,
        queue_events_max=outbox.queue_events_max,
        deadline_seconds=server.deadline_seconds,
        lame_duck_seconds=server.lame_duck_seconds,
        graceful_seconds=server.graceful_seconds,
        log_format=config.log.format,
        under_journal=under_journal,
    )


def allowed_hosts(config: Config) -> frozenset[str]:
    """Names under which the admin listener may be called."""
    bind = config.admin.bind
    own = set() if bind.startswith("unix:") else {bind.rpartition(":")[0].strip("[]")}
    return frozenset({"localhost", "127.0.0.1", "::1", *own, *config.admin.allowed_hosts})

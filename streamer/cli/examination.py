"""One look at everything that can cost an hour of events.

It runs beside the service or without it and as any user. What a look cannot
see is a finding like any other, and one look that fails does not end the rest.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from streamer.cli import common, console
from streamer.cli.calls import Place, place_of_url
from streamer.cli.inspection import Inspection, inspect
from streamer.cli.known import choose_source, require_one_of
from streamer.cli.looks import (
    configured,
    database,
    machine,
    permissions,
    public,
    report,
    service,
    units,
)
from streamer.cli.looks.finding import Finding, guarded
from streamer.cli.signing import signing_key
from streamer.config.model import Config
from streamer.core.errors import UsageError


def run(
    config: Path | None, *, url: str | None, source: str | None, send_test: bool, json: bool
) -> None:
    """Look at everything, tell it, and exit with 1 if anything failed."""
    if send_test and url is None:
        raise UsageError(
            "--send-test sends to --url, which is missing", hint="Say --url https://YOUR-HOST too."
        )
    found = inspect(config)
    if source is not None and found.loaded is not None:
        require_one_of("source", source, found.loaded.config.sources)
    findings = configured.configuration(found)
    if found.loaded is not None:
        findings += look_inside(found.loaded.config, found)
        findings += _look_at_webhooks(found.loaded.config, found)
    findings += guarded("clock", "the clock", machine.clock)
    findings += guarded("unit", "the systemd units", units.units)
    if url is not None:
        findings += _look_from_outside(url, source, found, send_test=send_test)
    report.print_findings(findings, json=json)
    if url is None and not json:
        console.print_text(["Not looked at: the public URL. Say --url https://YOUR-HOST."])
    if report.failures(findings):
        sys.exit(1)


def look_inside(config: Config, found: Inspection) -> list[Finding]:
    """Take every look that needs a configuration and nothing else."""
    directory = config.database_path.parent
    as_service = permissions.owner_of(directory) in {None, os.geteuid()}
    looks = (
        ("user", "the command's user", partial(permissions.user, directory)),
        ("service.running", "the service", partial(service.running, directory)),
        (
            "service.ready",
            "the service's own address",
            lambda: service.answering(config, _instance(config)),
        ),
        ("sqlite", "SQLite", partial(machine.sqlite_library, config.outbox)),
        ("database", "the database", partial(database.database, config)),
        ("alarms", "the alarms", partial(database.calls_and_alarms, config)),
        ("disk", "the disk", partial(machine.disk, directory, config.outbox)),
        (
            "processes",
            "the processes",
            partial(machine.processes, config.server.processes),
        ),
        ("permissions", "who can read the data", partial(permissions.data_files, directory)),
    )
    findings = [finding for code, what, look in looks for finding in guarded(code, what, look)]
    return findings + configured.destinations(found.destinations, as_service=as_service)


def _look_at_webhooks(config: Config, found: Inspection) -> list[Finding]:
    """Look at the other end of each source, if there is a key for asking."""
    findings = []
    for name, options in config.sources.items():
        if options.app_api_key is not None and options.app_api_key in found.values:
            from streamer.cli.looks import webhook  # noqa: PLC0415 - loads the HTTP client

            look = partial(webhook.webhook, config, name, found.values.of(options.app_api_key))
            findings += guarded("webhook", "the webhook at Customer.io", look)
    return findings


def _instance(config: Config) -> str:
    """Return the database's number, or nothing when this user may not read it."""
    numbers: list[str] = []

    def read() -> list[Finding]:
        numbers.append(database.instance(config))
        return []

    guarded("database", "", read)
    return numbers[0] if numbers else ""


def _look_from_outside(
    url: str, source: str | None, found: Inspection, *, send_test: bool
) -> list[Finding]:
    config = found.loaded.config if found.loaded is not None else None
    names = list(config.sources) if config is not None else []
    chosen = source or (names[0] if len(names) == 1 else "customerio")
    place = place_of_url(url, source=chosen)
    known = _known(config) if config is not None else public.Known(instance="", running=None)
    findings = guarded("url", "the public URL", lambda: public.public_url(place, known))
    if send_test and config is not None:
        look = partial(_send_test, place, source, config)
        findings += guarded("url.test", "the signed test event", look)
    return findings


def _known(config: Config) -> public.Known:
    running = common.service_runs(config.database_path.parent)
    return public.Known(instance=_instance(config), running=running)


def _send_test(place: Place, source: str | None, config: Config) -> list[Finding]:
    return public.send_test(place, signing_key(config, choose_source(config, source)))

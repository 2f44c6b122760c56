"""``streamer destination``: what is configured and known, and who is to be drained.

Pausing, resuming and forgetting are written to the database, where the
service notices them within half a second; they outlive a restart.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

from cyclopts import Parameter

from streamer.cli import common, console
from streamer.cli.common import ConfigFile, Json, Yes
from streamer.cli.wording import count, moment_text
from streamer.clock import SystemClock
from streamer.config.model import Config
from streamer.config.secrets import Secrets, resolve, secrets_in
from streamer.core.alarms import Alarm
from streamer.core.errors import StreamerError, UsageError
from streamer.destinations.base import Finding
from streamer.destinations.options import CommonOptions
from streamer.store import cursors, dead_letters, destinations, lag
from streamer.store import status as stored_status
from streamer.store.sqlite import Connection
from streamer.store.status import DestinationStatus

Name = Annotated[str, Parameter(help="The destination's name in the configuration.")]


def list_destinations(*, config: ConfigFile = None, json: Json = False) -> None:
    """List destinations with their state, as `streamer status` knows it."""
    settings = common.load_config(config).config
    found = common.read_database(
        settings, lambda db: stored_status.read(db, now=common.now())
    ).destinations
    if json:
        console.print_json(found)
        return
    headings = ("NAME", "KIND", "STATE", "PENDING", "ACCEPTED", "DEAD LETTERS", "NEXT ATTEMPT")
    rows = [_row(name, one) for name, one in found.items()]
    console.print_table(headings, rows, "No destinations yet: the service has not started.")


def _row(name: str, one: DestinationStatus) -> tuple[object, ...]:
    return (
        name,
        one.kind,
        one.state if one.configured else f"{one.state}, not configured",
        f"about {one.lag_events}" if one.approximate else one.lag_events,
        one.accepted,
        one.dead_letters,
        "" if one.next_attempt_at is None else moment_text(one.next_attempt_at),
    )


def pause(name: Name, /, *, config: ConfigFile = None) -> None:
    """Stop draining to a destination until it is resumed; events wait in the outbox."""
    _change(config, name, destinations.pause)
    console.print_text([f"{name} is paused; go on with `streamer destination resume {name}`"])


def resume(name: Name, /, *, config: ConfigFile = None) -> None:
    """Drain again, and try at once what waited or was held."""
    _change(config, name, destinations.resume)
    console.print_text([f"{name} is drained again"])


def _change(config: ConfigFile, name: str, act: Callable[..., None]) -> None:
    def change(db: Connection) -> None:
        require_known(db, name)
        act(db, name, now=common.now())

    common.change_database(common.load_config(config).config, change)


def require_known(db: Connection, name: str) -> None:
    """Refuse a name that the database does not have, with the one that may have been meant."""
    known = [one.name for one in destinations.load_all(db)]
    common.require_one_of("destination", name, known)


def test(name: Name, /, *, config: ConfigFile = None, json: Json = False) -> None:
    """Test a destination without sending an event; the exit code is 1 when it fails."""
    settings = common.load_config(config).config
    common.require_one_of("destination", name, sorted(settings.destinations))
    options = settings.destinations[name]
    alarms: list[Finding] = []

    def raise_alarm(alarm: Alarm, message: str) -> None:
        alarms.append(Finding(False, alarm.title, message))

    findings = probe(name, options, raise_alarm) + alarms
    if json:
        console.print_json(findings)
    else:
        console.print_text(line for finding in findings for line in describe_finding(finding))
    failed = sum(not finding.ok for finding in findings)
    if failed:
        raise StreamerError(f"{name}: {count(failed, 'test')} of {len(findings)} failed")


def probe(
    name: str, options: CommonOptions, raise_alarm: Callable[[Alarm, str], None]
) -> list[Finding]:
    """Build a destination as the service would, and let it test itself."""
    import anyio  # noqa: PLC0415 - only this command needs an event loop

    from streamer.destinations import registry  # noqa: PLC0415 - the same

    secrets = Secrets({one: resolve(one, os.environ) for _, one in secrets_in(options)}, [])
    destination = registry.build(
        name, options, clock=SystemClock(), secret=secrets.of, raise_alarm=raise_alarm
    )

    async def run() -> list[Finding]:
        try:
            return await destination.probe()
        finally:
            await destination.aclose()

    return anyio.run(run)


def describe_finding(finding: Finding) -> list[str]:
    """Write one line of a test, and below it what to do when it failed."""
    mark = "ok    " if finding.ok else "FAILED"
    lines = [f"{mark}  {finding.what}" + (f": {finding.detail}" if finding.detail else "")]
    return lines if finding.ok or not finding.hint else [*lines, f"        {finding.hint}"]


def forget(name: Name, /, *, yes: Yes = False, config: ConfigFile = None) -> None:
    """Drop a destination that is no longer configured, with all that waits for it."""
    settings = common.load_config(config).config
    if name in settings.destinations:
        raise UsageError(
            f"destination {name!r} is still in the configuration",
            hint="Take it out, reload the service, and forget it then.",
        )
    loss = common.read_database(settings, lambda db: _loss(db, name))
    console.confirm(f"Forget {name} and let go of {loss}?", yes=yes)
    common.change_database(settings, lambda db: _forget(db, settings, name))
    console.print_text([f"forgot {name}: let go of {loss}"])


def _loss(db: Connection, name: str) -> str:
    """Say what a destination will never get once it is forgotten."""
    require_known(db, name)
    known = destinations.load(db, name)
    behind = lag.measure(db, known, cursors.load(db, name), lag.extent(db))
    about = "about " if behind.approximate else ""
    letters = dead_letters.count_open(db).get(name, 0)
    events = count(behind.events, "unsettled event")
    return f"{about}{events} and {count(letters, 'dead letter')}"


def _forget(db: Connection, settings: Config, name: str) -> None:
    # Whether it is configured is written down when the service starts or reloads. While nothing
    # runs, the configuration file itself is the truth.
    if common.service_runs(settings.database_path.parent) is False:
        destinations.retire(db, name)
    destinations.forget(db, name, now=common.now())

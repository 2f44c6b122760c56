"""``streamer destination``: what is configured and known, and who is to be drained.

Pausing, resuming and forgetting are written to the database, where the
service notices them within half a second; they outlive a restart.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from streamer.cli import common, console
from streamer.cli.common import ConfigFile, Json, Yes
from streamer.cli.known import NOT_STARTED, require_destination, require_one_of
from streamer.cli.standing import read_standing
from streamer.cli.wording import count, moment_text
from streamer.config.model import Config
from streamer.core.alarms import Alarm
from streamer.core.errors import StreamerError
from streamer.destinations.base import Finding
from streamer.store import cursors, dead_letters, destinations, lag
from streamer.store.sqlite import Connection
from streamer.store.status import DestinationStatus

Name = Annotated[str, Parameter(help="The destination's name in the configuration.")]


def list_destinations(*, config: ConfigFile = None, json: Json = False) -> None:
    """List destinations with their state, as `streamer status` knows it."""
    settings = common.load_config(config).config
    found = common.read_database(settings, lambda db: read_standing(db, settings)).destinations
    if json:
        console.print_json(found)
        return
    headings = ("NAME", "KIND", "STATE", "PENDING", "ACCEPTED", "DEAD LETTERS", "NEXT ATTEMPT")
    rows = [_row(name, one) for name, one in found.items()]
    console.print_table(headings, rows, "No destination is configured.")


def _row(name: str, one: DestinationStatus) -> tuple[object, ...]:
    return (
        name,
        one.kind,
        _state(one),
        f"about {one.lag_events}" if one.approximate else one.lag_events,
        one.accepted,
        one.dead_letters,
        "" if one.next_attempt_at is None else moment_text(one.next_attempt_at),
    )


def _state(one: DestinationStatus) -> str:
    if one.state == NOT_STARTED:
        return "configured, not started yet"
    return one.state if one.configured else f"{one.state}, not configured"


def pause(name: Name, /, *, config: ConfigFile = None) -> None:
    """Stop draining to a destination until it is resumed; events wait in the outbox."""
    settings = common.load_config(config).config

    def change(db: Connection) -> None:
        require_destination(db, settings, name)
        destinations.pause(db, name, now=common.now())

    common.change_database(settings, change)
    console.print_text([f"{name} is paused; go on with `streamer destination resume {name}`"])


def resume(name: Name, /, *, config: ConfigFile = None) -> None:
    """Drain again, and try at once what waited or was held."""
    settings = common.load_config(config).config

    def change(db: Connection) -> tuple[bool, set[str]]:
        require_destination(db, settings, name)
        known = destinations.load(db, name)
        live = cursors.live(cursors.load(db, name), known.lanes)
        destinations.resume(db, name, now=common.now())
        return known.paused_at is not None, {at.state.state for at in live}

    was_paused, states = common.change_database(settings, change)
    stopped = common.service_runs(settings.database_path.parent) is False
    paused = "is not paused any more" if was_paused else "was not paused"
    console.print_text([f"{name} {paused}: {_what_follows(states, stopped=stopped)}"])


def _what_follows(states: set[str], *, stopped: bool) -> str:
    """Say what happens after resuming, which cannot promise that anything is delivered."""
    if stopped:
        return "it is tried when the service starts"
    if "held" in states:
        return (
            "it is held, and probed now with a few events; it is drained once it takes one. "
            "`streamer status` shows it"
        )
    if "waiting" in states:
        return "the next attempt is made now. `streamer status` shows what it says"
    return "it is being drained"


def test(name: Name, /, *, config: ConfigFile = None, json: Json = False) -> None:
    """Test a destination without sending an event; the exit code is 1 when it fails."""
    from streamer.cli import probing  # noqa: PLC0415 - only this command needs an event loop

    settings = common.load_config(config).config
    require_one_of("destination", name, settings.destinations)
    alarms: list[Finding] = []

    def raise_alarm(alarm: Alarm, message: str) -> None:
        alarms.append(Finding(False, alarm.title, message))

    built = probing.build(name, settings.destinations[name], raise_alarm)
    probed = probing.probe(built)
    findings = [*probed, *alarms]
    if json:
        console.print_json(findings)
    else:
        console.print_text(line for finding in probed for line in describe_finding(finding))
        console.print_text(f"FAILED  {alarm.what}: {alarm.detail}" for alarm in alarms)
    failed = sum(not finding.ok for finding in findings)
    if failed:
        raise StreamerError(f"{name}: {count(failed, 'test')} of {len(findings)} failed")


def describe_finding(finding: Finding) -> list[str]:
    """Write one line of a test, and below it what to do when it failed."""
    mark = "ok    " if finding.ok else "FAILED"
    lines = [f"{mark}  {finding.what}" + (f": {finding.detail}" if finding.detail else "")]
    return lines if finding.ok or not finding.hint else [*lines, f"        {finding.hint}"]


def forget(name: Name, /, *, yes: Yes = False, config: ConfigFile = None) -> None:
    """Drop a destination that is no longer configured, with all that waits for it."""
    settings = common.load_config(config).config
    if name in settings.destinations:
        raise destinations.still_configured(name)
    loss = common.read_database(settings, lambda db: _loss(db, settings, name))
    console.confirm(f"Forget {name} and let go of {loss}?", yes=yes)
    common.change_database(settings, lambda db: _forget(db, settings, name))
    console.print_text([f"forgot {name}: let go of {loss}"])


def _loss(db: Connection, settings: Config, name: str) -> str:
    """Say what a destination will never get once it is forgotten."""
    require_destination(db, settings, name)
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

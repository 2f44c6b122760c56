"""``streamer status``: how far each destination is, and what is wrong, in one look.

Costs the same at ten events and at ten million, and prints without a table
library, so that it answers at once on a machine in trouble.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from streamer.cli import common, console, pages
from streamer.cli.advice import advice_for
from streamer.cli.common import ConfigFile, Json
from streamer.cli.known import NOT_STARTED
from streamer.cli.standing import read_standing
from streamer.cli.wording import count, duration, moment_text, size
from streamer.store.status import AlarmStatus, DestinationStatus, SourceStatus, Status

T = TypeVar("T")

_INDENT = "  "
_STRIKING = re.compile(r"  (?:[a-z0-9_-]+ \(\w+\): (held|waiting)\b|STR-\d+ (critical|warning):)")
"""What catches the eye on a terminal that shows colours: states and severities, nobody's text."""
_NEXT = {"held": "probe", "waiting": "attempt"}


def status(*, config: ConfigFile = None, json: Json = False) -> None:
    """Show how far each destination is, and what is wrong."""
    settings = common.load_config(config).config
    found = common.read_database(settings, lambda db: read_standing(db, settings))
    running = common.service_runs(settings.database_path.parent)
    if json:
        console.print_json({**msgspec.to_builtins(found), "service_running": running})
    else:
        console.print_text(describe(found, running=running), striking=_STRIKING)


def describe(found: Status, *, running: bool | None) -> Iterator[str]:
    """Write a status for people, the alarms last, where the eye ends up."""
    service = {True: "running", False: "stopped", None: "not known (ask as its own user)"}[running]
    outbox = found.outbox
    held = f"{count(outbox.events, 'event')}, {size(outbox.bytes)}"
    if outbox.first_position is not None:
        held += f", positions {outbox.first_position} to {outbox.last_position}"
    yield f"Service      {service}"
    yield f"Outbox       {held}"
    yield f"Quarantine   {_quarantine(found.quarantine)}"
    yield ""
    yield from _section("Destinations", found.destinations, _destination)
    yield from _section("Sources", found.sources, _source)
    if not found.alarms:
        yield "No alarms"
        return
    yield "Alarms"
    for alarm in found.alarms:
        yield from (_INDENT + line for line in _alarm(alarm))
    yield f"More on each code: {pages.page('operating.md')}"


def _section(
    heading: str, members: dict[str, T], tell: Callable[[str, T], Iterator[str]]
) -> Iterator[str]:
    yield heading if members else f"{heading}: none yet"
    for name, member in members.items():
        yield from (_INDENT + line for line in tell(name, member))
    yield ""


def _quarantine(entries: int) -> str:
    if not entries:
        return "empty"
    return f"{count(entries, 'entry', 'entries')}: see `streamer quarantine list`"


def _destination(name: str, one: DestinationStatus) -> Iterator[str]:
    if one.state == NOT_STARTED:
        yield f"{name} ({one.kind}): configured, not started yet"
        yield f"{_INDENT}a start or reload of the service begins it"
        return
    state = one.state if one.configured else f"{one.state}, not configured any more"
    yield f"{name} ({one.kind}): {state}, {_lag(one)}"
    yield from (_INDENT + line for line in _trouble(name, one))
    if one.dead_letters:
        letters = count(one.dead_letters, "dead letter")
        yield f"{_INDENT}{letters}: see `streamer dead-letters list --destination {name}`"
    if one.replays:
        yield f"{_INDENT}{count(one.replays, 'replay')} running: see `streamer replay list`"
    if one.state == "paused":
        yield f"{_INDENT}go on with `streamer destination resume {name}`"
    if not one.configured:
        yield f"{_INDENT}its events are not pruned until `streamer destination forget {name}`"


def _trouble(name: str, one: DestinationStatus) -> Iterator[str]:
    """Say what a destination waits for, and how not to wait for it."""
    tried = f"{count(one.attempt, 'attempt')} so far, " if one.attempt else ""
    if one.state in _NEXT:
        next_one = f"next {_NEXT[one.state]} {moment_text(one.next_attempt_at)}"
        yield f"{tried}{next_one}; at once: `streamer destination resume {name}`"
    if one.last_error and one.state != "ready":
        yield f"last error: {one.last_error}"


def _lag(one: DestinationStatus) -> str:
    if not one.lag_events:
        return f"nothing pending (cursor {one.cursor})"
    about = "about " if one.approximate else ""
    events = count(one.lag_events, "event")
    waits = f"the oldest for {duration(one.lag_seconds)}"
    return f"{about}{events} pending, {waits} (cursor {one.cursor})"


def _source(name: str, one: SourceStatus) -> Iterator[str]:
    yield f"{name}: {count(one.received, 'event')}, last call {moment_text(one.last_received_at)}"
    odd = [
        f"{number:,} {what}"
        for number, what in (
            (one.duplicates, "repeated"),
            (one.quarantined, "to quarantine"),
            (one.unknown_types, "of unknown type"),
            (one.bad_signatures, "with a wrong signature"),
            (one.refused, "answered 503"),
        )
        if number
    ]
    if odd:
        yield _INDENT + ", ".join(odd)
    if one.last_test_at is not None:
        yield f"{_INDENT}last test event {moment_text(one.last_test_at)}"


def _alarm(alarm: AlarmStatus) -> Iterator[str]:
    subject = f" ({alarm.subject})" if alarm.subject else ""
    yield f"{alarm.code} {alarm.severity}: {alarm.title}{subject}"
    times = f"{alarm.times:,} times, " if alarm.times > 1 else ""
    yield f"{_INDENT}{alarm.message} ({times}last {moment_text(alarm.last_at)})"
    yield f"{_INDENT}what to do: {advice_for(alarm.code, alarm.subject)}"

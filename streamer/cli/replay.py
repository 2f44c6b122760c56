"""``streamer replay``: send a part of the outbox to a destination again.

A replay runs beside the live order with a cursor of its own. A rewind moves
the live cursor itself back, which keeps the order and holds new events up;
either way the destination is sent what it may have accepted before, so the
number is shown and asked about first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from cyclopts import Parameter

from streamer.cli import common, console
from streamer.cli.common import STORABLE, ConfigFile, Json, Yes
from streamer.cli.events import Types
from streamer.cli.known import require_configured, require_destination
from streamer.cli.replay_plan import Asked, Plan, Rewind, make_plan, make_rewind, rewind
from streamer.cli.spans import Since, Until, read_options
from streamer.cli.watch import trouble_of, watch_replay
from streamer.cli.wording import count, moment_text
from streamer.config.model import Config
from streamer.core.errors import StreamerError, UsageError
from streamer.core.selection import validate_pattern
from streamer.core.times import rfc3339
from streamer.store import replays
from streamer.store.replays import Replay, Request
from streamer.store.sqlite import Connection

TYPES_SHOWN = 10
"""Types that a plan names one by one; there are more than sixty."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Part:
    """Which events are meant, as options."""

    from_position: Annotated[
        int | None, Parameter(name="--from", validator=STORABLE, help="The first position.")
    ] = None
    to_position: Annotated[
        int | None, Parameter(name="--to", validator=STORABLE, help="The last position.")
    ] = None
    since: Since = None
    until: Until = None
    events: Annotated[
        tuple[str, ...],
        Parameter(name="--event", negative="", help="An event id; may be repeated."),
    ] = ()
    types: Types = ()
    every: Annotated[
        bool, Parameter(name="--all", negative="", help="Everything that it has settled.")
    ] = False

    def asked(self) -> Asked:
        """Read the options as of now; raises `UsageError` when they make no sense."""
        span = read_options(self.since, self.until)
        return Asked(
            from_position=self.from_position,
            to_position=self.to_position,
            since=span.since,
            until=span.until,
            events=self.events,
            types=self.types,
            every=self.every,
        )


def start(
    destination: Annotated[str, Parameter(help="Where to send it.")],
    /,
    *,
    which: Part = Part(),
    rewind_cursor: Annotated[
        bool, Parameter(name="--rewind", negative="", help="Move the live cursor back instead.")
    ] = False,
    dry_run: Annotated[bool, Parameter(name="--dry-run", negative="", help="Only count.")] = False,
    watch: Annotated[
        bool, Parameter(name="--watch", negative="", help="Show the progress until it is done.")
    ] = False,
    yes: Yes = False,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Start a replay, or rewind the live cursor."""
    settings = common.load_config(config).config
    asked = which.asked()
    console.say([odd for pattern in asked.types if (odd := validate_pattern(pattern)) is not None])
    if rewind_cursor:
        _rewind(settings, destination, asked, dry_run=dry_run, yes=yes, json=json)
    else:
        _replay(settings, destination, asked, dry_run=dry_run, yes=yes, json=json, watch=watch)


def _replay(
    settings: Config,
    name: str,
    asked: Asked,
    *,
    dry_run: bool,
    yes: bool,
    json: bool,
    watch: bool,
) -> None:
    plan = common.read_database(settings, lambda db: _plan(db, settings, name, asked))
    console.say(plan.notes)
    if dry_run:
        _print_plan(plan, json=json)
        return
    if not plan.events:
        raise StreamerError(
            "there is nothing to send again",
            hint="No event in the outbox fits what was asked for and the destination's filter.",
        )
    events = count(plan.events, "event")
    console.confirm(f"Send {events} to {name} again? It may have accepted them before.", yes=yes)
    replay_id = common.change_database(
        settings, lambda db: replays.start(db, plan.request, events=plan.events, now=common.now())
    )
    try:
        if json:
            console.print_json({"replay": replay_id, "destination": name, "events": plan.events})
        else:
            console.print_lines([f"replay {replay_id} sends {events} to {name}"])
        console.flush()
        _follow(settings, replay_id, watch=watch, json=json)
    except KeyboardInterrupt:
        console.say([f"the replay goes on; call it off with `streamer replay cancel {replay_id}`"])
        raise


def _follow(settings: Config, replay_id: int, *, watch: bool, json: bool) -> None:
    """Stay until a replay is over, if that is wanted and it can be expected to end."""
    if common.service_runs(settings.database_path.parent) is False:
        console.say(["the service is stopped: the replay begins when it starts"])
    elif watch:
        replay = watch_replay(settings, replay_id)
        letters = count(replay.buried, "dead letter")
        end = f"replay {replay_id} is {replay.state}: {replay.accepted:,} accepted, {letters}"
        console.say([end]) if json else console.print_lines([end])
    else:
        console.say(["watch it with `streamer replay list`"])


def _plan(db: Connection, settings: Config, name: str, asked: Asked) -> Plan:
    require_destination(db, settings, name)
    require_configured(settings, name)
    return make_plan(db, name, asked)


def _print_plan(plan: Plan, *, json: bool) -> None:
    request = plan.request
    if json:
        console.print_json(
            {
                "destination": request.destination,
                "from_position": request.from_position,
                "to_position": request.to_position,
                "since": rfc3339(request.since),
                "until": rfc3339(request.until),
                "events": plan.events,
                "by_type": plan.by_type,
            }
        )
        return
    lines = [f"Destination  {request.destination}", f"Positions    {_span(request)}"]
    if request.since is not None or request.until is not None:
        lines.append(f"Received     {_received(request)}")
    _print_counts(lines, plan.by_type)


def _span(request: Request) -> str:
    if request.positions is not None:
        return count(len(request.positions), "single event")
    if request.from_position > request.to_position:
        return "none"
    return f"{request.from_position} to {request.to_position}"


def _received(request: Request) -> str:
    since = "" if request.since is None else f"since {moment_text(rfc3339(request.since))} "
    until = "" if request.until is None else f"before {moment_text(rfc3339(request.until))}"
    return (since + until).strip()


def _print_counts(lines: list[str], by_type: dict[str, int]) -> None:
    """Print the total and what it is made of, the types with few events summed up."""
    ordered = sorted(by_type.items(), key=lambda entry: (-entry[1], entry[0]))
    # One further type is named: to sum it up would take a line as well.
    shown = ordered if len(ordered) <= TYPES_SHOWN + 1 else ordered[:TYPES_SHOWN]
    rest = ordered[len(shown) :]
    lines = [*lines, f"Events       {sum(by_type.values()):,}"]
    lines += [f"{events:>12,}  {name}" for name, events in shown]
    if rest:
        lines.append(f"and {len(rest)} other types: {sum(events for _, events in rest):,}")
    console.print_lines(lines)


def _rewind(
    settings: Config, name: str, asked: Asked, *, dry_run: bool, yes: bool, json: bool
) -> None:
    planned = common.read_database(settings, lambda db: _plan_rewind(db, settings, name, asked))
    if dry_run:
        _print_rewind(planned, json=json)
        return
    events = count(planned.events, "event")
    console.confirm(
        f"Move the cursor of {name} back from {planned.before} to {planned.position}? {events} that"
        " it has settled are sent again, and newer ones wait behind them.",
        yes=yes,
    )

    def move(db: Connection) -> Rewind:
        # The cursor has gone on while the operator read.
        moved = make_rewind(db, name, asked, counted=planned.by_type)
        rewind(db, moved, now=common.now())
        return moved

    moved = common.change_database(settings, move)
    if json:
        console.print_json(_rewind_as_json(moved))
    else:
        console.print_lines([f"the cursor of {name} stands at {moved.position} again"])


def _rewind_as_json(planned: Rewind) -> dict[str, object]:
    return {
        "destination": planned.destination,
        "cursor": planned.position,
        "before": planned.before,
        "events": planned.events,
    }


def _print_rewind(planned: Rewind, *, json: bool) -> None:
    if json:
        console.print_json({**_rewind_as_json(planned), "by_type": planned.by_type})
        return
    lines = [
        f"Destination  {planned.destination}",
        f"Cursor       from {planned.before} back to {planned.position}",
    ]
    _print_counts(lines, planned.by_type)


def _plan_rewind(db: Connection, settings: Config, name: str, asked: Asked) -> Rewind:
    require_destination(db, settings, name)
    return make_rewind(db, name, asked)


def list_replays(
    *,
    running: Annotated[
        bool, Parameter(name="--running", negative="", help="Only those that are not over.")
    ] = False,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """List replays and their progress, newest last."""
    found = common.read_database(
        common.load_config(config).config,
        lambda db: [
            Told(replay, trouble_of(db, replay))
            for replay in replays.list_replays(db, running_only=running)
        ],
    )
    none = "No replay is running." if running else "No replays yet."
    console.print_found(
        found,
        json=json,
        as_json=_as_json,
        headings=_HEADINGS,
        row=_row,
        empty=f"{none} `streamer replay start` begins one.",
    )


class Told(msgspec.Struct, frozen=True):
    """A replay, and what it waits for."""

    replay: Replay
    trouble: str


_HEADINGS = (
    "ID",
    "DESTINATION",
    "STATE",
    "PROGRESS",
    "DEAD LETTERS",
    "STARTED",
    "WHAT",
    "TROUBLE",
)


def _row(told: Told) -> tuple[object, ...]:
    replay = told.replay
    return (
        replay.id,
        replay.destination,
        replay.state,
        _progress(replay),
        replay.buried,
        moment_text(rfc3339(replay.created_at)),
        _what(replay),
        told.trouble,
    )


def _progress(replay: Replay) -> str:
    done = replay.accepted + replay.buried
    share = f", {min(100, done * 100 // replay.events)} %" if replay.events else ""
    return f"{done:,} of {replay.events:,}{share}"


def _what(replay: Replay) -> str:
    if replay.kind == "range":
        types = f" {' '.join(replay.include)}" if replay.include else ""
        return f"{replay.from_position} to {replay.to_position}{types}"
    return "dead letters" if replay.kind == "dead_letters" else "single events"


def _as_json(told: Told) -> dict[str, object]:
    replay = told.replay
    return {
        **msgspec.structs.asdict(replay),
        "since": rfc3339(replay.since),
        "until": rfc3339(replay.until),
        "created_at": rfc3339(replay.created_at),
        "finished_at": rfc3339(replay.finished_at),
        "trouble": told.trouble,
    }


def cancel(
    replay: Annotated[int, Parameter(validator=STORABLE, help="The number of a replay.")],
    /,
    *,
    config: ConfigFile = None,
) -> None:
    """Call a replay off; what it has sent stays sent."""

    def call_off(db: Connection) -> Replay:
        found = replays.load(db, replay)
        if found is None:
            raise UsageError(f"there is no replay {replay}", hint="See `streamer replay list`.")
        if not replays.cancel(db, found, now=common.now()):
            raise UsageError(
                f"replay {replay} is over already: {found.state}",
                hint="See `streamer replay list`.",
            )
        return found

    found = common.change_database(common.load_config(config).config, call_off)
    console.print_lines([f"replay {replay} is cancelled after {_progress(found)}"])

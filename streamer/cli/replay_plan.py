"""What a replay or a rewind would send, worked out before anything is asked or written."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from streamer.core.errors import UsageError
from streamer.store import cursors, destinations, facts, outbox, prune, replays
from streamer.store.cursors import Cursor
from streamer.store.destinations import Known
from streamer.store.replays import Request
from streamer.store.sqlite import Connection

_WHICH = "Say which events: --from and --to, --since and --until, --event, or --all."


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which events an operator asked for; raises `UsageError` when that makes no sense."""

    from_position: int | None = None
    to_position: int | None = None
    since: int | None = None
    until: int | None = None
    events: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    every: bool = False

    def __post_init__(self) -> None:
        bounds = (self.from_position, self.to_position, self.since, self.until)
        bounded = any(bound is not None for bound in bounds)
        if not (bounded or self.events or self.every):
            raise UsageError("nothing was asked for", hint=_WHICH)
        if self.every and (bounded or self.events):
            raise UsageError("--all goes with no bounds and no --event", hint=_WHICH)
        if self.events and (bounded or self.types):
            raise UsageError("--event goes with no bounds and no --type", hint=_WHICH)
        if any(at is not None and at < 1 for at in (self.from_position, self.to_position)):
            raise UsageError("positions begin at 1", hint="See `streamer events list`.")
        if None not in bounds[:2] and (self.from_position or 0) > (self.to_position or 0):
            raise UsageError("--from lies behind --to", hint="Then there is nothing in between.")


class Plan(msgspec.Struct, frozen=True):
    """A replay that can be started."""

    request: Request
    by_type: dict[str, int]
    notes: tuple[str, ...]
    """What the operator should know before saying yes."""

    @property
    def events(self) -> int:
        """How many events it sends."""
        return sum(self.by_type.values())


class Rewind(msgspec.Struct, frozen=True):
    """A move of the live cursor that can be made."""

    destination: str
    before: int
    """Where the cursor of the slowest lane stands."""
    position: int
    """Where all cursors will stand."""
    by_type: dict[str, int]

    @property
    def events(self) -> int:
        """How many events are settled and would be sent again."""
        return sum(self.by_type.values())


def make_plan(db: Connection, name: str, asked: Asked) -> Plan:
    """Work out a replay; raises `UsageError` when an event is not there or is filtered out."""
    known = destinations.load(db, name)
    notes: list[str] = []
    if asked.events:
        request = _pick(db, known, asked.events)
    else:
        request, notes = _bound(db, known, asked)
    if known.paused_at is not None:
        notes.append(f"{name} is paused: it begins when the destination is resumed")
    if replays.running(db, name) is not None:
        notes.append("another replay is running: this one begins when that is over")
    return Plan(request, replays.count_by_type(db, request, known.selection), tuple(notes))


def _pick(db: Connection, known: Known, event_ids: Sequence[str]) -> Request:
    positions: set[int] = set()
    for event_id in event_ids:
        found = outbox.find(db, event_id)
        if not found:
            raise UsageError(
                f"there is no event {event_id!r} in the outbox",
                hint="See `streamer events show` for what is known of it.",
            )
        for event in found:
            if not known.selection.matches(event.object_type, event.metric):
                raise UsageError(
                    f"{known.name} is set not to get {event.type_name} (event {event_id!r})",
                    hint="Its include and exclude say so; change them first.",
                )
            positions.add(event.position)
    ordered = tuple(sorted(positions))
    return Request(known.name, ordered[0], ordered[-1], positions=ordered)


def _bound(db: Connection, known: Known, asked: Asked) -> tuple[Request, list[str]]:
    """Bound a range: by itself it ends at the cursor, since the rest is still to be sent."""
    furthest = max((at.progress.position for at in _live(db, known)), default=0)
    last = outbox.last_position(db)
    end = furthest if asked.to_position is None else min(asked.to_position, last)
    notes = []
    if end > furthest:
        notes.append(f"what lies behind position {furthest} is pending and will be sent twice")
    elif asked.to_position is None and furthest < last:
        notes.append(f"it ends at position {furthest}: what is pending goes out by itself")
    first = outbox.first_position(db) or 1
    request = Request(
        known.name,
        max(first, asked.from_position or 1),
        end,
        since=asked.since,
        until=asked.until,
        include=asked.types,
    )
    return request, notes


def _live(db: Connection, known: Known) -> list[Cursor]:
    return cursors.live(cursors.load(db, known.name), known.lanes)


def make_rewind(
    db: Connection, name: str, asked: Asked, *, counted: dict[str, int] | None = None
) -> Rewind:
    """Work out a rewind; raises `UsageError` when it would skip events, or asks for a part.

    With ``counted`` its events are not counted anew: that reads the whole
    range, which no transaction that calls wait for may do.
    """
    if asked.events or asked.types or asked.to_position is not None or asked.until is not None:
        raise UsageError(
            "--rewind sends everything from one point on",
            hint="Use it with --from, --since or --all; for a part, start a replay without it.",
        )
    known = destinations.load(db, name)
    live = [at.progress.position for at in _live(db, known)]
    before = min(live, default=0)
    position = _rewind_to(db, asked)
    if position >= before:
        raise UsageError(
            f"the cursor of {name} stands at {before}, and a rewind only goes back",
            hint="Moving it on would skip events that were never sent.",
        )
    if counted is None:
        settled = Request(name, position + 1, max(live))
        counted = replays.count_by_type(db, settled, known.selection)
    return Rewind(name, before, position, counted)


def _rewind_to(db: Connection, asked: Asked) -> int:
    first = outbox.first_position(db)
    if first is None:
        raise UsageError("the outbox is empty", hint="There is nothing that could be sent again.")
    if asked.from_position is not None and asked.from_position < first:
        raise UsageError(
            f"the oldest event that is left has position {first}",
            hint="What came before it has been pruned; say --all for everything that is left.",
        )
    begin = asked.from_position or first
    if asked.since is not None:
        since = outbox.first_since(db, asked.since)
        if since is None:
            raise UsageError(
                "nothing was received since then", hint="See `streamer events list` for the newest."
            )
        begin = max(begin, since)
    return begin - 1


def rewind(db: Connection, planned: Rewind, *, now: int) -> None:
    """Move the live cursor back, inside the caller's transaction, and write down who asked why."""
    cursors.move(db, planned.destination, planned.position, now=now)
    # Nothing behind the cursor counts as settled any more, so retention starts anew for it.
    prune.unmark_beyond(db, planned.position)
    detail = f"{planned.destination} from {planned.before} to {planned.position}"
    facts.record_act(db, "rewind", detail, now=now)

"""``streamer dead-letters``: events that a destination refused for good, and what to do with them.

A retry is a replay of single events beside the live order; the letter closes
itself when the destination takes the event after all, and opens again when it
does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import msgspec
from cyclopts import Parameter

from streamer.cli import common, console
from streamer.cli.choosing import Kind
from streamer.cli.common import STORABLE, ConfigFile, Json, Yes
from streamer.cli.events import pretty
from streamer.cli.known import require_configured, require_named_destination
from streamer.cli.wording import count, moment_text
from streamer.config.model import Config
from streamer.core import cloudevents
from streamer.core.errors import UsageError
from streamer.core.event import StoredEvent, one_line
from streamer.core.limits import REPLAY_PICKED_EVENTS_MAX
from streamer.core.privacy import Redactor
from streamer.core.times import rfc3339
from streamer.store import dead_letters, destinations, facts, outbox, replays
from streamer.store.dead_letters import DeadLetter
from streamer.store.sqlite import Connection

STATES = ("open", "retrying", "accepted", "discarded")
EXPORT_EVENTS = 500
"""Events read at once by an export: bodies of 8 MiB must not all be in memory together."""
LETTERS_AT_ONCE = 100
"""Letters given up in one transaction, and named by one entry in the book of acts."""


Ids = Annotated[tuple[int, ...], Parameter(validator=STORABLE, help="Numbers of dead letters.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which letters are meant, as options."""

    destination: Annotated[str | None, Parameter(help="Only of this destination.")] = None
    reason: Annotated[str | None, Parameter(help="Only with this reason, such as http_422.")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Choice(Filter):
    """Those that fit a filter, instead of single ones."""

    every: Annotated[
        bool, Parameter(name="--all", negative="", help="All that are open and fit the filters.")
    ] = False


def list_letters(
    *,
    which: Filter = Filter(),
    state: Annotated[str, Parameter(help="open, retrying, accepted, discarded or any.")] = "open",
    limit: Annotated[int, Parameter(help="At most the newest so many.")] = 200,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """List dead letters, newest last."""
    if state not in (*STATES, "any"):
        raise UsageError(f"--state {state!r} is none", hint=f"One of {', '.join(STATES)}, any.")
    common.require_limit(limit)
    settings = common.load_config(config).config
    wanted = None if state == "any" else state

    def find(db: Connection) -> list[DeadLetter]:
        require_named_destination(db, settings, which.destination)
        return dead_letters.list_letters(db, **asdict(which), state=wanted, limit=limit)

    found = common.read_database(settings, find)
    console.print_found(
        found,
        json=json,
        as_json=letter_as_json,
        headings=_HEADINGS,
        row=_row,
        empty=_empty(which, state),
    )


_HEADINGS = ("ID", "DESTINATION", "STATE", "BURIED", "REASON", "POSITION", "EVENT ID", "DETAIL")


def _empty(which: Filter, state: str) -> str:
    if which != Filter():
        return "No dead letter fits."
    if state == "open":
        return "No open dead letters; --state any shows those that are dealt with."
    return "No dead letters." if state == "any" else f"No dead letters are {state}."


def _row(letter: DeadLetter) -> tuple[object, ...]:
    return (
        letter.id,
        letter.destination,
        letter.state,
        moment_text(rfc3339(letter.buried_at)),
        letter.reason,
        letter.position,
        letter.event_id,
        letter.detail,
    )


def letter_as_json(letter: DeadLetter) -> dict[str, object]:
    """Return a letter as ``--json`` prints it."""
    return {
        **msgspec.structs.asdict(letter),
        "buried_at": rfc3339(letter.buried_at),
        "closed_at": rfc3339(letter.closed_at),
    }


def show(
    letter: Annotated[int, Parameter(validator=STORABLE, help="The number of a dead letter.")],
    /,
    *,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show one dead letter with its event."""

    def find(db: Connection) -> tuple[DeadLetter, StoredEvent | None]:
        found = LETTERS.one(db, letter)
        events = outbox.read_positions(db, [found.position])
        return found, events[0] if events else None

    found, event = common.read_database(common.load_config(config).config, find)
    if json:
        body = None if event is None else msgspec.Raw(event.body)
        console.print_json({**letter_as_json(found), "body": body})
    else:
        console.print_text(_describe(found))
        pruned = ["The event has been pruned."]
        console.print_lines(["", *(pruned if event is None else pretty(event.body))])


def _describe(letter: DeadLetter) -> Iterator[str]:
    yield f"Dead letter   {letter.id} of {letter.destination}, {letter.state}"
    yield f"Reason        {letter.reason}"
    if letter.detail:
        yield f"              {letter.detail}"
    attempts = count(letter.attempts, "attempt")
    yield f"Buried        {moment_text(rfc3339(letter.buried_at))} after {attempts}"
    if letter.closed_at is not None:
        yield f"Closed        {moment_text(rfc3339(letter.closed_at))}"
    yield f"Event         {letter.event_id} of {letter.source}, position {letter.position}"


def retry(
    ids: Ids = (),
    /,
    *,
    which: Choice = Choice(),
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Send dead letters again, beside the live order."""
    settings = common.load_config(config).config
    chosen = common.read_database(settings, lambda db: _choose_to_retry(db, settings, ids, which))
    started = [
        replay
        for letters in chosen.values()
        for replay in common.change_in_pieces(
            settings, letters, _start_retry, at_once=REPLAY_PICKED_EVENTS_MAX
        )
    ]
    if json:
        console.print_json(started)
        return
    for one in started:
        letters = count(int(str(one["events"])), "dead letter")
        console.print_lines(
            [f"replay {one['replay']} sends {letters} to {one['destination']} again"]
        )
    console.print_lines(
        ["watch it with `streamer replay list`; what is refused again stays a dead letter"]
    )


def _choose_to_retry(
    db: Connection, settings: Config, ids: Sequence[int], which: Choice
) -> dict[str, list[DeadLetter]]:
    """Find the letters that are meant, by destination; raises when one of them is not wanted."""
    by_destination: dict[str, list[DeadLetter]] = {}
    for letter in _choose(db, settings, ids, which):
        by_destination.setdefault(letter.destination, []).append(letter)
    for name, letters in by_destination.items():
        require_configured(settings, name)
        positions = [letter.position for letter in letters]
        unwanted = outbox.first_unwanted(db, positions, destinations.load(db, name).selection)
        if unwanted is not None:
            position, type_name = unwanted
            raise UsageError(
                f"{name} is set not to get {type_name} any more (position {position})",
                hint="Change its include and exclude, or discard the dead letter.",
            )
    return by_destination


def _start_retry(db: Connection, letters: Sequence[DeadLetter]) -> dict[str, object]:
    """Start one replay of letters that are all of one destination."""
    name = letters[0].destination
    positions = tuple(sorted(letter.position for letter in letters))
    request = replays.Request(
        destination=name,
        from_position=positions[0],
        to_position=positions[-1],
        positions=positions,
        letter_ids=tuple(letter.id for letter in letters),
    )
    replay_id = replays.start(db, request, events=len(positions), now=common.now())
    return {"replay": replay_id, "destination": name, "events": len(positions)}


def _open(db: Connection, which: Choice) -> list[DeadLetter]:
    return dead_letters.list_letters(db, destination=which.destination, reason=which.reason)


LETTERS = Kind(
    name="dead letter",
    plural="dead letters",
    list_command="streamer dead-letters list",
    load=dead_letters.load,
    find=_open,
)


def _choose(
    db: Connection, settings: Config, ids: Sequence[int], which: Choice
) -> list[DeadLetter]:
    """Find the open letters that are meant; raises `UsageError` unless it is clear which."""
    require_named_destination(db, settings, which.destination)
    chosen = LETTERS.choose(db, ids, which)
    for letter in chosen:
        if letter.state != "open":
            raise UsageError(
                f"dead letter {letter.id} is not open, it is {letter.state}",
                hint=f"See `streamer dead-letters show {letter.id}`.",
            )
    return chosen


def discard(
    ids: Ids = (),
    /,
    *,
    which: Choice = Choice(),
    yes: Yes = False,
    config: ConfigFile = None,
) -> None:
    """Give dead letters up for good: their destination never gets these events."""
    settings = common.load_config(config).config
    chosen = common.read_database(settings, lambda db: _choose(db, settings, ids, which))
    console.confirm(f"Give up {_summary(chosen)} for good?", yes=yes)

    given_up = sum(common.change_in_pieces(settings, chosen, _give_up, at_once=LETTERS_AT_ONCE))
    console.print_lines([f"discarded {count(given_up, 'dead letter')}"])


def _give_up(db: Connection, letters: Sequence[DeadLetter]) -> int:
    given_up = dead_letters.discard(db, [letter.id for letter in letters], now=common.now())
    numbers = " ".join(str(letter.id) for letter in letters)
    facts.record_act(
        db, "dead-letters discard", f"{_summary(letters)}: {numbers}", now=common.now()
    )
    return given_up


def _summary(letters: Sequence[DeadLetter]) -> str:
    by_destination = Counter(letter.destination for letter in letters)
    parts = [f"{number} of {name}" for name, number in by_destination.items()]
    return f"{count(len(letters), 'dead letter')} ({', '.join(parts)})"


def export(
    ids: Ids = (),
    /,
    *,
    which: Choice = Choice(),
    raw: Annotated[
        bool, Parameter(name="--raw", negative="", help="The webhook body, not a CloudEvent.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Write dead letters to standard output, one JSON object a line: reason and event."""
    settings = common.load_config(config).config

    def write(db: Connection) -> None:
        chosen = _choose(db, settings, ids, which)
        console.print_bytes(export_lines(db, chosen, raw=raw))

    common.read_database(settings, write)


def export_lines(db: Connection, letters: Sequence[DeadLetter], *, raw: bool) -> Iterator[bytes]:
    """Write a line for each letter, without standing in a transaction between two of them.

    Whoever reads the lines may take his time, and the write-ahead log would
    grow as long. So a letter may be closed meanwhile, and its event pruned:
    that one is no open letter any more, and is left out.
    """
    for start in range(0, len(letters), EXPORT_EVENTS):
        some = letters[start : start + EXPORT_EVENTS]
        positions = [letter.position for letter in some]
        events = {event.position: event for event in outbox.read_positions(db, positions)}
        yield from _lines(some, events, raw=raw)


def _lines(
    letters: Iterable[DeadLetter], events: dict[int, StoredEvent], *, raw: bool
) -> Iterator[bytes]:
    redactor = Redactor(drop=(), hash=())
    for letter in letters:
        event = events.get(letter.position)
        if event is None:
            continue
        encoded = event.body if raw else cloudevents.encode(event, redactor)
        line = msgspec.Raw(one_line(encoded))
        yield msgspec.json.encode({**letter_as_json(letter), "event": line}) + b"\n"

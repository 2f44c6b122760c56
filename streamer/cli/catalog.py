"""``streamer catalog``: what Customer.io is known to send, and what came that is not known.

The lists and schemas are of the program alone and need no configuration; the
report of drift is read from the database, whether or not the service runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from streamer.cli import common, console
from streamer.cli.common import ConfigFile, Json, Yes
from streamer.cli.events import Types
from streamer.cli.wording import count, moment_text
from streamer.core.errors import UsageError
from streamer.core.selection import Selection, validate_pattern
from streamer.core.times import rfc3339
from streamer.store import drift, outbox, sqlite
from streamer.store.drift import Row
from streamer.store.sqlite import Connection

if TYPE_CHECKING:
    from streamer.core.catalogue.types import EventType

LIMIT = 100
Format = Literal["json-schema", "asyncapi"]


def list_types(*, types: Types = (), json: Json = False) -> None:
    """List every known type; with --type, the fields of its data too."""
    chosen = _chosen(types)
    if json:
        console.print_json([_type_as_json(one) for one in chosen])
    elif types:
        console.print_text(line for one in chosen for line in _describe(one))
    else:
        console.print_table(("TYPE", "MEANING"), [(one.name, _meaning(one)) for one in chosen], "")


def schema(
    *,
    form: Annotated[
        Format, Parameter(name="--format", help="JSON Schema 2020-12, or an AsyncAPI 3.0 document.")
    ] = "json-schema",
    types: Types = (),
) -> None:
    """Print the known types as a schema for other programs."""
    from streamer.app.telling import program_version  # noqa: PLC0415 - help needs none of it
    from streamer.core.catalogue.schema import asyncapi, json_schema  # noqa: PLC0415 - the same

    chosen = _chosen(types)
    if form == "asyncapi":
        console.print_json(asyncapi(chosen, version=program_version()))
    else:
        console.print_json(json_schema(chosen))


def show_drift(
    *,
    limit: Annotated[int, Parameter(help="At most those seen last.")] = LIMIT,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show what came that the catalogue does not know, that seen last first."""
    common.require_limit(limit)
    settings = common.load_config(config).config

    rows, place = common.read_database(settings, lambda db: _look(db, limit))
    console.print_found(
        rows,
        json=json,
        as_json=_drift_as_json,
        headings=("KIND", "WHAT", "FOUND", "EVENTS", "FIRST SEEN", "LAST SEEN", "EXAMPLE"),
        row=_drift_row,
        empty=f"Nothing that the catalogue does not know, {place}.",
    )
    if rows and not json:
        console.say([f"{place}; `streamer events show EXAMPLE` shows the last event of a row"])


def forget_drift(*, config: ConfigFile = None, yes: Yes = False) -> None:
    """Empty the report of what is new; what comes again is new again."""
    settings = common.load_config(config).config
    console.confirm("Forget what was found so far?", yes=yes)
    gone = common.change_database(settings, lambda db: drift.forget(db, now=common.now()))
    console.print_lines([f"Forgot {count(gone, 'row')}."])


def _chosen(patterns: Sequence[str]) -> list[EventType]:
    from streamer.core.catalogue.types import every_type  # noqa: PLC0415 - help needs no types

    for pattern in patterns:
        odd = validate_pattern(pattern)
        if odd is not None:
            raise UsageError(odd, hint="`streamer catalog list` has all types.")
    wanted = Selection(include=patterns, exclude=())
    return [one for one in every_type() if wanted.matches(one.object_type, one.metric)]


def _look(db: Connection, limit: int) -> tuple[list[Row], str]:
    """Read the report, and say how much of the outbox it is about."""
    with sqlite.one_moment(db):
        looked, last = drift.surveyed_position(db), outbox.last_position(db)
        return drift.list_drift(
            db, limit=limit
        ), f"looked through up to position {looked} of {last}"


def _drift_row(row: Row) -> tuple[object, ...]:
    return (
        row.kind,
        _what(row),
        _found(row),
        f"{row.events:,}",
        moment_text(rfc3339(row.first_at)),
        moment_text(rfc3339(row.last_at)),
        "" if row.event_id is None else row.position,
    )


def _what(row: Row) -> str:
    return "all that found no place here" if row.kind == drift.MORE else f"{row.type} {row.path}"


def _found(row: Row) -> str:
    """Say what stood there, and what is expected where that is known."""
    expected = " or ".join(kind for kind in _expected(row) if kind != "null")
    return ", ".join(row.found) + (f" (not {expected})" if expected else "")


def _expected(row: Row) -> list[str]:
    from streamer.core.catalogue.reading import expected_at  # noqa: PLC0415 - not for help
    from streamer.core.catalogue.types import types_of  # noqa: PLC0415 - the same

    object_type, _, metric = row.type.partition(".")
    of_each = [expected_at(one, row.path) for one in types_of(object_type, metric)]
    return sorted(set().union(*of_each))


def _drift_as_json(row: Row) -> dict[str, object]:
    return {
        "kind": row.kind,
        "type": row.type,
        "path": row.path,
        "found": row.found,
        "expected": _expected(row),
        "events": row.events,
        "first_at": rfc3339(row.first_at),
        "last_at": rfc3339(row.last_at),
        "position": row.position,
        "source": row.source,
        "event_id": row.event_id,
    }


def _meaning(one: EventType) -> str:
    guessed = " (known by name only: its fields are a guess)" if one.is_guessed else ""
    return f"{'person event: ' if one.is_person else ''}{one.meaning}{guessed}"


def _describe(one: EventType) -> Iterator[str]:
    yield f"{one.name}: {_meaning(one)}"
    for path, field, always in one.fields:
        shown = path if always else f"{path}?"
        yield f"  {shown:30}{field.kind.value}. {field.description}"
    yield ""


def _type_as_json(one: EventType) -> dict[str, object]:
    return {
        "type": one.name,
        "title": one.title,
        "person_event": one.is_person,
        "meaning": one.meaning,
        "guessed": one.is_guessed,
        "variants": one.variants,
        "fields": [
            {
                "path": path,
                "kind": field.kind.value,
                "always": always,
                "meaning": field.description,
            }
            for path, field, always in one.fields
        ],
    }

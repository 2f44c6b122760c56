"""``streamer mapping show``: the rules that apply, in the order in which the later wins."""

from __future__ import annotations

from streamer.cli import console
from streamer.cli.mapping_choice import Chosen
from streamer.core.errors import UsageError
from streamer.core.selection import validate_pattern
from streamer.core.xdm.rule import Rule
from streamer.core.xdm.trace import rules_for


def run(chosen: Chosen, *, type_name: str | None, json: bool) -> None:
    """Print the rules for one type of event, or all of them."""
    console.say(chosen.notes())
    rules = chosen.mapper.rules if type_name is None else _of_type(chosen, type_name)
    console.print_found(
        rules,
        json=json,
        as_json=_as_json,
        headings=("DESTINATION", "SOURCE", "TYPES", "ORIGIN", "NOTE"),
        row=_row,
        empty="No rule is for it.",
    )


def _of_type(chosen: Chosen, type_name: str) -> tuple[Rule, ...]:
    object_type, dot, metric = type_name.partition(".")
    if not object_type or not dot or not metric or "*" in type_name:
        raise UsageError(
            f"{type_name!r} is no type of event", hint="Write one such as email.clicked."
        )
    if validate_pattern(type_name) is not None:
        console.say([f"{type_name} is no type that is known; it would be mapped like this"])
    if not chosen.selection.matches(object_type, metric):
        console.say([f"{chosen.destination} leaves {type_name} out by its filter"])
    return rules_for(chosen.mapper, object_type, metric)


def _row(rule: Rule) -> tuple[str, ...]:
    return (rule.destination, rule.source, " ".join(rule.types), rule.origin, rule.note)


def _as_json(rule: Rule) -> dict[str, object]:
    return {
        "destination": rule.destination,
        "source": rule.source,
        "types": list(rule.types),
        "origin": rule.origin,
        "note": rule.note,
    }

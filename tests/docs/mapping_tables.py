"""The parts of docs/mapping.md that are made from the code: functions, rules and paths."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from streamer.core.xdm import builtin, consent
from streamer.core.xdm.event_types import ROWS
from streamer.core.xdm.fields import CONSENT_GROUPS, EVENT_GROUPS, Field, FieldGroup
from streamer.core.xdm.language.function import Function
from streamer.core.xdm.language.functions import GROUPS
from streamer.core.xdm.rule import Rule
from streamer.core.xdm.settings import MappingSettings

MAPPING = Path(__file__).resolve().parents[2] / "docs" / "mapping.md"

SETTINGS = MappingSettings(tenant="TENANT")


def functions_tables() -> str:
    """List every function with what it gives, and with examples."""
    parts = []
    for title, functions in GROUPS.items():
        rows = [_function_row(function) for function in functions]
        parts += [f"**{title}**", _table(("function", "gives", "such as"), rows)]
    return "\n\n".join(parts)


def _function_row(function: Function) -> tuple[str, ...]:
    name = _code(function.signature)
    if function.alias:
        name += f", {_code(function.alias)}"
    examples = "<br>".join(
        f"{_code(expression)} → {_code(json.dumps(value, ensure_ascii=False))}"
        for expression, value in function.examples
    )
    return (name, function.summary.replace("|", "\\|"), examples)


def types_table() -> str:
    """List what each type is to Adobe."""
    rows = [
        (
            _code(f"{row.object_type}.{row.metric}"),
            "own" if row.event_type == "own" else _code(row.event_type),
            _or_nothing(row.counter),
            _or_nothing(row.media_action),
            _or_nothing(row.journey.removeprefix("fs=").removeprefix("it=")),
        )
        for row in ROWS
    ]
    headings = (
        "type", "`eventType`", "`directMarketing.….value` 1", "`channel.mediaAction`",
        "feedback or interaction",
    )  # fmt: skip
    return _table(headings, rows)


def _or_nothing(word: str) -> str:
    return "" if word == "-" else _code(word)


def rules_table() -> str:
    """List the built-in rules that are not of one type's row."""
    return _rules(further_rules())


def further_rules() -> Iterator[Rule]:
    """Yield the rules that `types_table` does not tell of."""
    told = {row.types for row in ROWS}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for rule in builtin.rules(SETTINGS):
        key = (rule.destination, rule.types)
        if rule.types in told and key not in seen and _is_of_a_row(rule.destination):
            seen.add(key)
        else:
            yield rule


def _is_of_a_row(path: str) -> bool:
    return path.endswith((".value", ".feedbackStatus", ".interactionType")) or path in {
        "eventType",
        "channel.mediaAction",
    }


def consent_table() -> str:
    """List the built-in rules for records of consent."""
    return _rules(consent.rules(SETTINGS))


def _rules(rules: Iterable[Rule]) -> str:
    rows = [
        (
            _code(rule.destination),
            _code(rule.source),
            ", ".join(_code(pattern) for pattern in rule.types) or "all",
            rule.note.replace("|", "\\|"),
        )
        for rule in rules
    ]
    return _table(("destination", "source", "types", "note"), rows)


def paths_tables() -> str:
    """List the fields of each field group."""
    parts = [_group(group) for group in EVENT_GROUPS if group.fields]
    parts.append('For `produces = "consent"`:')
    parts += [_group(group) for group in CONSENT_GROUPS if group.fields]
    return "\n\n".join(parts)


def _group(group: FieldGroup) -> str:
    need = f" (with `{group.need} = true`)" if group.need else ""
    rows = [(_code(field.path), _kind(field)) for field in group.fields]
    return f"**{group.title}**{need}\n\n" + _table(("path", "takes"), rows)


def _kind(field: Field) -> str:
    if field.values:
        return "one of " + ", ".join(_code(value) for value in field.values)
    if field.characters_max is not None:
        return f"text of up to {field.characters_max} characters"
    return field.kind


def _code(text: str) -> str:
    """Quote code in a cell of a table, which a bar would end."""
    return f"`{text}`".replace("|", "\\|")


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


PARTS = {
    "functions": functions_tables,
    "types": types_table,
    "rules": rules_table,
    "consent": consent_table,
    "paths": paths_tables,
}

"""docs/mapping.md says of the language, the rules and the paths what the code says."""

from __future__ import annotations

import json
import re
from typing import Any

from streamer.cli.mapping_render import event_of
from streamer.core.mapping_limits import EXPRESSION_CHARACTERS_MAX, MAPPING_RULES_MAX
from streamer.core.xdm import builtin
from streamer.core.xdm.event_types import ROWS
from streamer.core.xdm.fields import CONSENT_GROUPS, EVENT_GROUPS, fields_of
from streamer.core.xdm.kinds import TENANT_KINDS
from streamer.core.xdm.language import functions_time, paths
from streamer.core.xdm.language.functions import FUNCTIONS, REFUSED
from streamer.core.xdm.language.tokens import WORD_OPERATORS
from streamer.core.xdm.mapper import Mapped, Mapper
from streamer.core.xdm.mapping_file import read_mapping
from streamer.core.xdm.settings import MappingSettings
from tests.docs import generate, mapping_tables, pages
from tests.docs.mapping_tables import MAPPING

PAGE = pages.text(MAPPING)


def test_the_generated_parts_are_current() -> None:
    made = generate.render(PAGE, mapping_tables.PARTS)
    assert made == PAGE, "run `python -m tests.docs.generate`"


def test_the_first_mapping_file_does_what_the_page_says() -> None:
    [mapping] = pages.blocks(MAPPING, "toml")
    event_text, result_text = pages.blocks(MAPPING, "json")
    layer = read_mapping(mapping, origin="mapping.toml")
    assert layer.warnings == ()
    mapper = Mapper(MappingSettings(tenant="tenant"), [layer])
    event = event_of(event_text.encode(), name="the page")
    mapped = mapper.map(event, event.body)
    assert isinstance(mapped, Mapped)
    entity = json.loads(mapped.entity)
    assert_holds(entity, json.loads(result_text))
    assert "headers" not in entity["_tenant"]["customerio"]


def assert_holds(value: dict[str, Any], part: dict[str, Any]) -> None:
    for name, inner in part.items():
        if isinstance(inner, dict):
            assert_holds(value[name], inner)
        else:
            assert value[name] == inner


def test_every_function_and_no_other_is_listed() -> None:
    listed = re.findall(r"^\| `(\w+)\(.*?\)`(?:, `(\w+)`)? \|", PAGE, re.MULTILINE)
    assert {name for names in listed for name in names if name} == set(FUNCTIONS)


def test_every_type_and_every_rule_is_listed() -> None:
    table = PAGE.partition("<!-- generated: types -->")[2].partition("<!-- end: types -->")[0]
    types = re.findall(r"^\| `(\w+\.\w+)` \| (?:own|`[\w.]+`) \|", table, re.MULTILINE)
    assert types == [f"{row.object_type}.{row.metric}" for row in ROWS]
    further = list(mapping_tables.further_rules())
    every = builtin.rules(mapping_tables.SETTINGS)
    assert len(every) - len(further) == sum(
        1 + sum(word != "-" for word in (row.counter, row.media_action, row.journey))
        for row in ROWS
    )


def test_every_path_is_listed() -> None:
    _, _, section = PAGE.partition("\n## Paths\n")
    listed = set(re.findall(r"^\| `([\w{}.]+)` \|", section, re.MULTILINE))
    assert listed == set(fields_of((*EVENT_GROUPS, *CONSENT_GROUPS), {}))


def test_what_the_page_says_of_limits_and_names_is_so() -> None:
    assert f"up to {EXPRESSION_CHARACTERS_MAX:,} characters" in PAGE
    assert f"up to {MAPPING_RULES_MAX:,}" in PAGE
    ours = re.findall(r"^\| `streamer\.(\w+)` \|", PAGE, re.MULTILINE)
    assert set(ours) == paths.OURS
    [words] = re.findall(r"\*\*Operators\*\*.*?\n\n", PAGE, re.DOTALL)
    assert all(f"(`{word}`)" in " ".join(words.split()) for word in WORD_OPERATORS)
    assert all(f"`{name}()`" in PAGE for name in REFUSED)
    letters = re.findall(r"`(\w+)`", PAGE.partition("Date patterns know")[2].partition(" and\n")[0])
    assert set(letters) == set(functions_time.LETTERS)
    [kinds] = re.findall(r"^\| `\[fields\]` \|.*the kind of each: (.*) \|$", PAGE, re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", kinds)) == set(TENANT_KINDS)

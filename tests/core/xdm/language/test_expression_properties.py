"""Whatever is written compiles or is told to be wrong; whatever an event holds is evaluated."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.xdm.language.expression import (
    ExpressionError,
    compile_expression,
    read_expression,
)
from streamer.core.xdm.language.functions import FUNCTIONS
from streamer.core.xdm.mapping_file import literal

NAMES = ["data", "event_id", "timestamp", "streamer", "data.a", "data.b", "data.a.b", "data[0]"]
PATHS = [*NAMES, "data.a[*].b", "data.a[1]", "data.${a b}", "streamer.time", "data.c.d.e.f"]
LITERALS = ["1", "0", "-1", "2.5", "true", "null", "''", "'a'", "'UTF-8'", "'yyyy'", "'[0-9]'"]
LEAVES = st.sampled_from(PATHS + LITERALS)
SIGNS = ["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "and", "div", "eq", "lt"]


def _calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    call = st.builds(
        lambda name, arguments: f"{name}({', '.join(arguments)})",
        st.sampled_from(sorted(FUNCTIONS)),
        st.lists(inner, max_size=4),
    )
    between = st.builds(
        lambda a, sign, b: f"({a} {sign} {b})", inner, st.sampled_from(SIGNS), inner
    )
    listed = st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")
    method = st.builds(lambda a, b: f"({a}).equals({b})", inner, inner)
    return call | between | listed | method | inner.map(lambda one: f"!{one}")


EXPRESSIONS = st.recursive(LEAVES, _calls, max_leaves=12)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["", "0", "7", "2020-01-01T00:00:00Z", "https://a.b/c", '{"a":1}', "\ud800"])
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "a b", "c"]), inner, max_size=3)
    ),
    max_leaves=8,
)
SCOPES = st.dictionaries(st.sampled_from(["data", "event_id", "timestamp", "streamer"]), JSON)


@settings(max_examples=500)
@given(st.text(max_size=60) | st.text(alphabet="data.x()[]'\"${}\\ +-<=!&|1,*eq", max_size=60))
def test_any_text_compiles_or_is_told_to_be_wrong_at_a_place_of_its(text: str) -> None:
    try:
        compile_expression(text)({})
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)
        assert error.message


@settings(max_examples=1_500, deadline=None)
@given(EXPRESSIONS, SCOPES)
def test_evaluating_never_raises_and_gives_values_of_json(
    expression: str, scope: dict[str, Any]
) -> None:
    try:
        evaluate = compile_expression(expression)
    except ExpressionError:
        return
    before = json.dumps(scope)
    value = evaluate(scope)
    assert value != ""
    assert json.loads(json.dumps(value)) == value
    assert json.dumps(scope) == before, "an event's scope is shared by all rules"
    assert json.dumps(evaluate(scope)) == json.dumps(value), "the same event, the same result"


@given(st.text(), SCOPES)
def test_a_value_written_as_an_expression_gives_itself(text: str, scope: dict[str, Any]) -> None:
    read = read_expression(literal(text))
    assert read.evaluate(scope) == (text or None)
    assert read.paths == frozenset()


@given(st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(-1e18, 1e18))
def test_a_number_written_as_an_expression_gives_itself(value: float) -> None:
    found = compile_expression(literal(value))({})
    assert found == value
    assert type(found) is type(value)

"""What an expression may say, what it then gives, and what is said of one that means nothing."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.core.mapping_limits import EXPRESSION_CHARACTERS_MAX, EXPRESSION_DEPTH_MAX
from streamer.core.xdm.language.expression import (
    ExpressionError,
    compile_expression,
    read_expression,
)
from tests.core.xdm.scopes import SCOPE, value_of


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("event_id", "01E4C4CT6YDC7Y5M7FE1GWWPQJ"),
        ("timestamp", 1613063489),
        ("data.link_id", 7),
        ("data.machine", False),
        ("data.score", 2.5),
        ("data.identifiers.email", "Ann@Example.com"),
        ("data.identifiers.deep.er", "still"),
        ("data.identifiers.deep", {"er": "still"}),
        ("streamer.position", 7),
        ("data.${First Name}", "Ann"),
        ("${data}.href", "https://Example.com/offer?x=1"),
        ("${data.First Name}", "Ann"),
        (r"data.dotted\.name", "dot"),
        (r"data.${dotted\.name}", "dot"),
        (r"data.${{\}}", "braces"),
        ("data.${new}", "reserved"),
        ("data.recipients[0].device_id", "a"),
        ("data.recipients[ 3 ].device_id", "b"),
        ("data.recipients[*].device_id", ["a", "b"]),
        ("  data.link_id\n", 7),
    ],
)
def test_a_path_gives_what_is_there_in_its_own_type(expression: str, value: object) -> None:
    found = value_of(expression)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "expression",
    [
        "data.absent",
        "data.nothing",
        "data.blank",
        "data.href.deeper",
        "data.absent.deeper.still.more",
        "data.identifiers.absent",
        "data.identifiers.deep.er.more",
        "data.nothing.x.y",
        "data.link_id.x",
        "data[0]",
        "data.recipients.device_id",
        "data.recipients[9].device_id",
        "data.recipients[1].device_id",
        "data.recipients[*].absent",
        "data.href[0]",
        "streamer.sent_time",
    ],
)
def test_absent_null_and_empty_are_all_no_value(expression: str) -> None:
    assert value_of(expression) is None


@pytest.mark.parametrize("names", [["metric"], ["data", "a"], ["data", "a", "b"], ["data", *"abc"]])
@pytest.mark.parametrize("value", ["", None])
def test_empty_is_no_value_however_long_the_way_to_it(names: list[str], value: object) -> None:
    scope: Any = value
    for name in reversed(names):
        scope = {name: scope}
    assert value_of(".".join(names), scope) is None
    assert value_of(f"coalesce({'.'.join(names)}, 'x')", scope) == "x"


@pytest.mark.parametrize("expression", ["data", "data.href", "data.a.b", "data.a.b.c", "data[0].x"])
@pytest.mark.parametrize("scope", [{}, {"data": None}, {"data": []}, {"data": "x"}, {"data": 1}])
def test_a_document_of_any_shape_can_be_looked_into(expression: str, scope: dict[str, Any]) -> None:
    assert value_of(expression, scope) == (scope.get("data") if expression == "data" else None)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1", 1),
        ("1.0", 1.0),
        ("-1", -1),
        ("0.25", 0.25),
        ("9223372036854775807", 2**63 - 1),
        ("true", True),
        ("false", False),
        ("null", None),
        ('"a"', "a"),
        ("'a'", "a"),
        ("'it\"s'", 'it"s'),
        (r'"it\"s"', 'it"s'),
        (r"'it\'s'", "it's"),
        (r'"a\\b"', r"a\b"),
        (r'"\d+"', r"\d+"),
        (r'"a\nb\tc"', "a\nb\tc"),
        ('"Ωü€"', "Ωü€"),
        ('""', None),
        ("[]", []),
        ("[1, 'a', null, [true]]", [1, "a", None, [True]]),
    ],
)
def test_a_literal_is_its_value(expression: str, value: object) -> None:
    found = value_of(expression)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        # What binds more, and what comes first.
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("100 / 10 / 2", 5),
        ("1 + 1 == 2 && 2 < 3", True),
        ("true || false && false", True),
        ("(true || false) && false", False),
        ("!false && false", False),
        ("not true or true", True),
        ("1 < 2 == true", True),
        ("--1", 1),
        ("!!data.link_id", True),
        ("2 - -1", 3),
        # Words are operators too.
        ("1 eq 1", True),
        ("1 ne 1", False),
        ("1 lt 2 and 2 gt 1", True),
        ("1 le 1 and 1 ge 1", True),
        ("7 div 2 + 7 mod 4", 6),
        # Arithmetic.
        ("timestamp * 1000", 1613063489000),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("7 / -2", -3),
        ("-7 % 3", -1),
        ("7 % -3", 1),
        ("7.0 / 2", 3.5),
        ("7.5 % 2", 1.5),
        ("data.text_id + 1", 8),
        ("data.score * 2", 5.0),
        ("1 / 0", None),
        ("1.0 / 0", None),
        ("1 % 0", None),
        ("1.0 % 0", None),
        ("9223372036854775807 + 1", None),
        ("data.absent + 1", None),
        ("1 - data.absent", None),
        ("data.href + 1", None),
        ("data.machine + 1", None),
        ("data.recipients * 2", None),
        ("data.huge + 1", None),
        ("-data.absent", None),
        # Equality.
        ("data.link_id == data.text_id", True),
        ("data.text_id == 7.0", True),
        ('"07" == 7', True),
        ('"07" == "7"', False),
        ('"x" == 7', False),
        ("true == 1", False),
        ("false == 0", False),
        ('data.machine == "false"', True),
        ('data.machine == "No"', True),
        ('true == "maybe"', False),
        ("1 == 1.0", True),
        ("data.absent == null", True),
        ("data.absent == data.nothing", True),
        ("data.absent != null", False),
        ("data.absent == false", False),
        ("data.link_id == null", False),
        ("[1] == [1]", True),
        ("[1] == 1", False),
        ("[1] == '1'", False),
        # Order.
        ('"a" < "b"', True),
        ('"10" < "9"', True),
        ('"10" < 9', False),
        ("data.score >= 2.5", True),
        ("data.absent < 1", False),
        ("data.absent >= null", False),
        ("true > false", False),
        ("data.recipients > 1", False),
        # Truth.
        ("data.href && true", False),
        ("'yes' && 'On' && 'y' && 'TRUE'", True),
        ("'no' || 0 || null || 'x' || 0.0", False),
        ("!data.absent", True),
        ("data.recipients || false", False),
    ],
)
def test_an_operator_does_as_in_data_prep(expression: str, value: object) -> None:
    found = value_of(expression)
    assert found == value
    assert type(found) is type(value)


def test_what_decides_is_enough() -> None:
    """The other side is not evaluated, which a mapping of many conditions is quick by."""
    seen: list[str] = []

    class Watched(dict[str, Any]):
        def get(self, key: str, default: object = None) -> Any:  # noqa: ANN401 - as in dict
            seen.append(key)
            return default

    compile_expression("event_id == null || metric == null")(Watched())
    compile_expression("iif(event_id == null, timestamp, metric)")(Watched())
    compile_expression("event_id != null && metric != null")(Watched())
    assert seen == ["event_id", "event_id", "timestamp", "event_id"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('metric.equals("clicked")', True),
        ('data.identifiers.email.equalsIgnoreCase("ann@example.com")', True),
        ('lower(data.identifiers.email).equals("ann@example.com")', True),
        ('"a".equals("a").equals("true")', True),
        ('data.absent.equals("a")', False),
        ('"a".equals(null)', False),
        ("(1 + 1).equals(2)", True),
        ('data.recipients[0].device_id.equals("a")', True),
    ],
)
def test_a_comparison_can_be_a_method(expression: str, value: object) -> None:
    assert value_of(expression) is value


WRONG = [
    ("", 0, "ends too early", ""),
    ("   ", 3, "ends too early", ""),
    ("href", 0, "no event has `href`", "`data.href`"),
    ("dta.href", 0, "no event has `dta`", "`data`"),
    ("1 + objct_type", 4, "no event has", "`object_type`"),
    ("streamer.tme", 0, "there is no `streamer.tme`", "`streamer.time`"),
    ("data.my-field", 8, "no event has `field`", "hyphen"),
    ("data.", 5, "name must follow", "${"),
    ("data..x", 5, "name must follow", ""),
    ("data.9x", 5, "name must follow", "${"),
    ("9x", 0, "no number", "${"),
    ("1.2.3", 0, "no number", ""),
    ("99999999999999999999", 0, "larger than any", ""),
    ("new", 0, "reserved word", "${new}"),
    ("empty.x", 0, "reserved word", "${empty}"),
    ("${a", 0, "no }", ""),
    ("${}", 0, "no }", ""),
    ("data.${", 5, "no }", ""),
    ('"abc', 0, "closing quotation mark", ""),
    ("'abc\\'", 0, "closing quotation mark", ""),
    ("data.x = 1", 7, "'=' means nothing", "`==`"),
    ("data.x & 1", 7, "'&' means nothing", "`&&`"),
    ("data.x ? 1 : 2", 7, "'?' means nothing", "iif("),
    ("data.x ; 1", 7, "';' means nothing", ""),
    ("1 2", 2, "`2` makes no sense", ""),
    ("data.x data.y", 7, "`data.y` makes no sense", ""),
    ("(1", 2, "ends too early", "`)`"),
    ("1)", 1, "`)` makes no sense", ""),
    ("[1, 2", 5, "ends too early", "`]`"),
    ("* 2", 0, "`*` makes no sense", ""),
    ("1 +", 3, "ends too early", ""),
    ('"a" + "b"', 0, "texts cannot be calculated with", "concat"),
    ('1 * "b"', 4, "texts cannot be calculated with", "concat"),
    ('-"b"', 1, "texts cannot be calculated with", "concat"),
    ("lowr(data.href)", 0, "no function lowr()", "`lower`"),
    ("1 + Lower(data.href)", 4, "no function Lower()", "`lower`"),
    ("zzz(1)", 0, "no function zzz()", "Known: "),
    ("uuid()", 0, "another value each time", "same event"),
    ("concat(guid(), 1)", 7, "another value each time", "same event"),
    ("now()", 0, "looks at the clock", "streamer.time"),
    ("timestamp()", 0, "looks at the clock", "streamer.time"),
    ("get_keys(data)", 0, "not offered here", ""),
    ("substr(data.href, 1)", 0, "does not take 2 arguments", "substr(text, start, length)"),
    ("trim()", 0, "does not take 0 arguments", "trim(text)"),
    ("coalesce()", 0, "does not take 0 arguments", "coalesce(value, …)"),
    ("iif(true, 1)", 0, "does not take 2 arguments", "iif("),
    ("explode('a', ',', 1)", 0, "does not take 3 arguments", "explode(text, [pattern])"),
    ("'a'.equals()", 4, "does not take 1 argument", "equals(text, other)"),
    ("'a'.lower()", 4, "no method `lower`", "`equals`"),
    ("data.href.equal('a')", 0, "no method `equal`", "`equals`"),
    ("'a'.", 4, "the name of a method must follow", ""),
    ("'a'.equals", 10, "ends too early", "`(`"),
    ("lower(data.href", 15, "ends too early", "`)`"),
    ("lower(,)", 6, "`,` makes no sense", ""),
    ("decode(metric, 1)", 7, "decode needs a key, and pairs", ""),
    ("contains_key(1)", 13, "contains_key needs a path", ""),
    ("contains_key('1')", 13, "names no path", ""),
    ("contains_key('a b')", 13, "names no path", ""),
    ("contains_key('dta.x')", 13, "no event has `dta`", "`data`"),
    ("contains_key(';')", 13, "';' means nothing", ""),
    ("matches_regex(data.href, data.pattern)", 25, "must be a text in quotation marks", "events"),
    ("matches_regex(data.href, '(a+)+')", 25, "repeats what itself repeats", "such as `[a-z.]+`"),
    ("explode(data.href, '[')", 19, "is not supported", ""),
    ("dformat(timestamp, 'QQQ')", 19, "'QQQ' in the date pattern", "" ),
    ("sha256(data.href, 'EBCDIC')", 18, "character set", ""),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "position", "message", "hint"), WRONG)
def test_a_mistake_is_told_with_its_place_and_what_to_write(
    expression: str, position: int, message: str, hint: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(expression)
    assert message in caught.value.message
    assert caught.value.position == position
    assert hint in caught.value.hint
    assert str(caught.value) == f"{caught.value.message} (at character {position + 1})"


def test_an_expression_can_be_as_long_as_in_data_prep_and_no_longer() -> None:
    longest = "data.href".ljust(EXPRESSION_CHARACTERS_MAX)
    assert value_of(longest) == SCOPE["data"]["href"]
    with pytest.raises(ExpressionError, match="at most 4,096 characters"):
        compile_expression(longest + " ")


@pytest.mark.parametrize(
    ("before", "after"),
    [("(", ")"), ("lower(", ")"), ("!", ""), ("-", ""), ("[", "]"), ("1 + (", ")")],
)
def test_an_expression_can_be_as_deep_as_the_limit(before: str, after: str) -> None:
    deep = EXPRESSION_DEPTH_MAX - 1
    compile_expression(before * deep + "timestamp" + after * deep)(SCOPE)
    with pytest.raises(ExpressionError, match="stand within each other"):
        compile_expression(before * 500 + "timestamp" + after * 500)


def test_a_long_chain_is_deep_too() -> None:
    """It would become as many functions within each other, and end at Python's own limit."""
    with pytest.raises(ExpressionError, match="stand within each other"):
        compile_expression("1" + "+1" * 500)
    with pytest.raises(ExpressionError, match="stand within each other"):
        compile_expression("'a'" + ".equals('a')" * 100)


def test_it_is_known_what_an_expression_looks_at() -> None:
    read = read_expression("iif(contains_key('data.a'), concat(event_id, data.b[*].c), 'x')")
    assert read.paths == {("data", "a"), ("event_id",), ("data", "b", ("*",), "c")}
    assert read_expression("concat('a', 'b')").paths == frozenset()

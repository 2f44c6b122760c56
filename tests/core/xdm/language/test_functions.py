"""Each function: what it documents, and what it does with what it is not made for."""

from __future__ import annotations

import pytest

from streamer.core.mapping_limits import MADE_LIST_ELEMENTS_MAX, MADE_TEXT_CHARACTERS_MAX
from streamer.core.xdm.language.function import Function
from streamer.core.xdm.language.functions import FUNCTIONS, GROUPS, NOT_OFFERED, REFUSED
from tests.core.xdm.scopes import SCOPE, value_of

EVERY = [function for group in GROUPS.values() for function in group]


@pytest.mark.parametrize(
    ("expression", "value"), [example for function in EVERY for example in function.examples]
)
def test_the_documented_examples_are_true(expression: str, value: object) -> None:
    found = value_of(expression)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("function", EVERY, ids=lambda function: function.name)
def test_every_function_shows_itself_at_work(function: Function) -> None:
    assert function.examples
    names = (f"{function.name}(", f".{function.name}(")
    assert all(
        any(name in text for name in names) or function.alias for text, _ in function.examples
    )
    assert function.summary.endswith(".")


def test_a_name_means_one_thing() -> None:
    names = [name for function in EVERY for name in (function.name, function.alias) if name]
    assert sorted(names) == sorted(FUNCTIONS)
    assert not FUNCTIONS.keys() & (REFUSED.keys() | NOT_OFFERED)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        # Choosing.
        ("iif(data.absent, 1, 2)", 2),
        ("iif('yes', 1, 2)", 1),
        ("iif(data.recipients, 1, 2)", 2),
        ("iif(true, data.absent, 2)", None),
        ("decode(data.link_id, 1, 'a', 7, 'b')", "b"),
        ("decode(data.link_id, '7', 'text', 'other')", "text"),
        ("decode('7', 7, 'number', 'other')", "number"),
        ("decode(data.absent, null, 'none', 'other')", "none"),
        ("decode(data.absent, 'a', 1, 'other')", "other"),
        ("decode(data.absent, 'a', 1)", None),
        ("decode('a', 'a', 1, 'a', 2)", 1),
        ("decode(data.machine, true, 'bot', false, 'person')", "person"),
        ("decode(metric, object_type, 1, 'clicked', data.link_id)", 7),
        ("coalesce(data.absent, data.blank, data.machine)", False),
        ("coalesce(0, 1)", 0),
        ("coalesce(null)", None),
        ("contains_key('data.nothing')", True),
        ("contains_key('data.blank')", True),
        ("contains_key('data.recipients[*].device_id')", True),
        ("contains_key('data.recipients[9]')", False),
        (r"contains_key('data.dotted\\.name')", True),
        ("contains_key('data.${First Name}')", True),
        ("contains_key(data.href.deeper)", False),
        # Text.
        ("concat('a', data.absent)", None),
        ("concat('a', coalesce(data.absent, ''))", "a"),
        ("concat(1, true, 2.5, 'x')", "1true2.5x"),
        ("concat('a', data.recipients)", None),
        ("concat('a', data.identifiers)", None),
        ("lower('ÀÉ ΣΑΣ')", "àé σας"),
        ("upper('straße')", "STRASSE"),
        ("lower(data.absent)", None),
        ("lower(data.link_id)", "7"),
        ("lower(data.machine)", "false"),
        ("lower([1])", None),
        ("trim('  ')", None),
        ("trim('\t a b\u00a0\n')", "a b"),
        ("ltrim(' a ')", "a "),
        ("rtrim(' a ')", " a"),
        ("substr('abc', 1, 9)", "bc"),
        ("substr('abc', 9, 1)", None),
        ("substr('abc', 0, 0)", None),
        ("substr('abc', -1, 1)", None),
        ("substr('abc', 0, -1)", None),
        ("substr('abc', '1', 1)", None),
        ("substr('abc', 1.0, 1)", None),
        ("substr('abc', true, 1)", None),
        ("substr('a😀c', 1, 1)", "😀"),
        ("substr(data.absent, 0, 1)", None),
        ("substr(12345, 1, 2)", "23"),
        ("left('ab', 9)", "ab"),
        ("left('ab', 0)", None),
        ("right('ab', 9)", "ab"),
        ("right('ab', 0)", None),
        ("right('abc', -1)", None),
        ("instr('abcabc', 'c', 3)", 5),
        ("instr('abc', 'x')", -1),
        ("instr('aaa', 'a', 0, 4)", -1),
        ("instr('aaa', 'a', 0, 0)", -1),
        ("instr('aaa', 'a', 0, 99999)", -1),
        ("instr(data.absent, 'a')", None),
        ("replacestr('aaa', 'a', 'aa')", "aaaaaa"),
        ("replacestr('aaa', '', 'x')", "aaa"),
        ("replacestr('abc', 'b', '')", "ac"),
        ("replacestr('abc', data.absent, 'x')", None),
        ("split('a,,b', ',')", ["a", "", "b"]),
        ("split('abc', '')", None),
        ("split(data.absent, ',')", None),
        (r"split('a\\b', '\\')", ["a", "b"]),
        ("explode('a1b22c', '[0-9]+')", ["a", "b", "c"]),
        ("explode('a(1)b', '\\(')", ["a", "1)b"]),
        ("explode('a', 'b*')", ["a"]),
        ("explode(',a,')", ["", "a", ""]),
        ("explode(data.absent)", None),
        ("join(',', [1, null, 'x', true])", "1,x,true"),
        ("join(',', [])", None),
        ("join(',', 'abc')", None),
        ("join(',', [[1]])", None),
        ("join(',', data.recipients[*].device_id)", "a,b"),
        ("equals(7, '7')", True),
        ("equals(data.absent, null)", False),
        ("equalsIgnoreCase('STRASSE', 'straße')", True),
        ("equalsIgnoreCase(data.absent, 'a')", False),
        ("equalsIgnoreCase([1], 'a')", None),
        # Patterns.
        ("extract_regex('550 5.1.1 no', '([45])\\d\\d')", ["550", "5"]),
        ("extract_regex('ab', '(x)?b')", ["b", ""]),
        ("extract_regex('ab', 'x')", None),
        ("extract_regex(data.absent, 'x')", None),
        ("extract_regex(550, '5+')", ["55"]),
        ("matches_regex('٣', '\\d')", False),
        ("matches_regex(data.absent, 'x')", None),
        ("matches_regex('ab', 'a')", False),
        # Hashes and URLs.
        ("sha256('ü')", "607474ca475a9724d7360aba71a56d5df77e61350e3f724cfa1f46e857e2d85f"),
        ("md5(7) == md5('7')", True),
        ("sha256(data.absent)", None),
        ("sha256(data.recipients)", None),
        ("md5('ü', 'ISO-8859-1')", "cf0eece3a23b680f6266a21aabba4d32"),
        ("md5('a', 'utf-16')", "4b936244fb81c0500598b1938266f69a"),
        ("md5('ü', 'US-ASCII') == md5('?')", True),
        ("get_url_host(data.href)", "example.com"),
        ("get_url_host('example.com/x')", None),
        ("get_url_host('http://[bad')", None),
        ("get_url_host('')", None),
        ("get_url_host(7)", None),
        ("get_url_protocol('MAILTO:a@example.com')", None),
        ("get_url_protocol('HTTPS://example.com')", "https"),
        ("get_url_path('https://example.com')", None),
        ("get_url_path('https://example.com/a/b?c#d')", "/a/b"),
        ("get_url_path('https://example.com/a/b', true)", "/a/b"),
        # Times.
        ("date('2019-10-23T11:24:35.1234Z')", "2019-10-23T11:24:35.123Z"),
        ("date('2019-10-23')", "2019-10-23T00:00:00Z"),
        ("date('2019-10-23T00:30:00+02:00')", "2019-10-22T22:30:00Z"),
        ("date('soon')", None),
        ("date(1571829875)", None),
        ("date(data.absent)", None),
        ("date('x', 'yyyy', 'y')", None),
        ("date(data.absent, 'yyyy', data.absent)", None),
        ("date('10/23/19 1:05:09 pm', 'MM/dd/yy h:mm:ss a')", "2019-10-23T13:05:09Z"),
        ("date('12 AM 2019', 'hh a yyyy')", "2019-01-01T00:00:00Z"),
        ("date('3-Feb-2020', 'd-MMM-yyyy')", "2020-02-03T00:00:00Z"),
        ("date('3-Foo-2020', 'd-MMM-yyyy')", None),
        ("date('30.02.2020', 'dd.MM.yyyy')", None),
        ("date('2020-01-01T01:02:03.004-0530', \"yyyy-MM-dd'T'HH:mm:ss.SSSX\")",
         "2020-01-01T06:32:03.004Z"),
        ("date(\"2020 o'clock\", \"yyyy 'o''clock'\")", "2020-01-01T00:00:00Z"),
        ("date('0001-01-01T00:00:00+14:00')", None),
        ("dformat(0, 'yyyy-MM-dd HH:mm:ss.SSS')", "1970-01-01 00:00:00.000"),
        ("dformat(-1, 'yyyy')", "1969"),
        ("dformat('0', 'h:mm a, MMM d, yy XXX Z')", "12:00 AM, Jan 1, 70 Z +0000"),
        ("dformat(10 * 1000 * 1000 * 1000 * 1000 * 1000, 'yyyy')", None),
        ("dformat(data.absent, 'yyyy')", None),
        ("dformat(true, 'yyyy')", None),
        ("format('2020-07-01T13:05:09+05:30', 'H h:m:s a X')", "13 1:5:9 PM +0530"),
        ("format('2020-07-01T13:05:09-08:00', 'X XX XXX Z')", "-08 -0800 -08:00 -0800"),
        ("format('soon', 'yyyy')", None),
        ("format('2020-07-01', \"''yyyy'' 'a''b'\")", "'2020' a'b"),
        # Objects and lists.
        ("size_of('äöü')", 3),
        ("size_of(data.identifiers)", 3),
        ("size_of(7)", None),
        ("is_empty('')", True),
        ("is_empty(0)", False),
        ("is_empty(false)", False),
        ("is_empty([])", True),
        ("get(data.recipients, 0)", {"device_id": "a"}),
        ("get(data.recipients, 9)", None),
        ("get(data.recipients, -1)", None),
        ("get(data.recipients, true)", None),
        ("get(data.identifiers, 'id')", "42"),
        ("get(data.identifiers, 'absent')", None),
        ("get(data.identifiers, 1)", None),
        ("get('abc', 1)", None),
        ("get(data.absent, 1)", None),
        ("json_to_object('{\"a\": {\"b\": 1}}')", {"a": {"b": 1}}),
        ("json_to_object('{')", None),
        ("json_to_object(data.recipients)", None),
        ("json_to_object(7)", None),
        ("first([])", None),
        ("first(data.recipients[*].device_id)", "a"),
        ("last(data.absent, 1)", 1),
        ("last([1, null])", None),
        ("to_array(true, 1, null)", [1, None]),
        ("to_array('true', 1, null)", [1]),
        ("add_to_array(data.absent, 1, data.absent)", [1]),
        ("add_to_array('a', 1)", None),
        ("join_arrays(data.absent, [1])", [1]),
        ("join_arrays([1], 2)", None),
        ("min('b', 'a')", "a"),
        ("min('b', 1)", None),
        ("min(true, 1)", None),
        ("min(null)", None),
        ("max([])", None),
        ("max(1, 2.5, data.absent)", 2.5),
        ("max([1], [2])", [2]),
        # Numbers.
        ("to_integer('2147483647')", 2**31 - 1),
        ("to_integer('2147483648')", None),
        ("to_integer(' 12 ')", 12),
        ("to_integer(-12.9)", -12),
        ("to_integer(true)", None),
        ("to_integer('1e3')", None),
        ("to_integer('٣')", None),
        ("to_integer(data.recipients)", None),
        ("to_integer(data.absent)", None),
        ("to_bigint('-9223372036854775808')", -(2**63)),
        ("to_bigint('9223372036854775808')", None),
        ("to_bigint(data.huge)", None),
        ("to_float('1')", 1.0),
        ("to_float('x')", None),
        ("to_decimal('-0.5')", -0.5),
        ("nullify()", None),
    ],
)  # fmt: skip
def test_a_function_gives_a_value_or_none(expression: str, value: object) -> None:
    found = value_of(expression)
    assert found == value
    assert type(found) is type(value)


def test_a_strangers_text_makes_no_text_that_fills_the_memory() -> None:
    scope = SCOPE | {"data": {"x": "a" * (MADE_TEXT_CHARACTERS_MAX // 2)}}
    assert value_of("replacestr(data.x, 'a', 'aaa')", scope) is None
    assert value_of("concat(data.x, data.x, 'b')", scope) is None
    assert value_of("join('', [data.x, data.x, 'b'])", scope) is None
    assert value_of("join('-', split(data.x, 'b'))", scope) == scope["data"]["x"]
    assert value_of("sha256(data.x)", scope) is not None, "what makes nothing longer has no limit"


def test_a_strangers_text_makes_no_list_without_end() -> None:
    scope = SCOPE | {
        "data": {"x": "," * MADE_LIST_ELEMENTS_MAX, "list": [1] * MADE_LIST_ELEMENTS_MAX}
    }
    assert value_of("split(data.x, ',')", scope) is None
    assert value_of("explode(data.x)", scope) is None
    assert value_of("add_to_array(data.list, 1)", scope) is None
    assert value_of("join_arrays(data.list, data.list)", scope) is None
    assert value_of("size_of(split(left(data.x, 100), ','))", scope) == 101


def test_nesting_beyond_what_can_be_read_is_no_value() -> None:
    scope = SCOPE | {"data": {"x": "[" * 100_000}}
    assert value_of("json_to_object(data.x)", scope) is None


def test_half_a_character_can_be_hashed() -> None:
    """A body may hold one, and Java hashes a question mark in its place."""
    scope = SCOPE | {"data": {"x": "\ud800"}}
    assert value_of("md5(data.x) == md5('?')", scope) is True

"""The functions for texts, with and without patterns.

A number or a truth value that stands where a text is wanted counts as its text, since
Customer.io sends the same id now as a number and now as a text.
"""

from __future__ import annotations

from collections.abc import Callable

from streamer.core.mapping_limits import MADE_LIST_ELEMENTS_MAX
from streamer.core.xdm.language.function import (
    Function,
    lenient,
    prepared,
    short_enough,
    strict,
    whole_number,
)
from streamer.core.xdm.language.safe_regex import compile_pattern
from streamer.core.xdm.language.values import equal, text_of

_SEPARATORS_MAX = 100


def _concat(*values: object) -> str:
    texts = [text_of(value) for value in values]
    short_enough(sum(map(len, texts)))
    return "".join(texts)


def _substr(text: object, start: object, length: object) -> str:
    begin = whole_number(start)
    return text_of(text)[begin : begin + whole_number(length)]


def _left(text: object, count: object) -> str:
    return text_of(text)[: whole_number(count)]


def _right(text: object, count: object) -> str:
    whole = text_of(text)
    return whole[max(len(whole) - whole_number(count), 0) :]


def _instr(text: object, part: object, start: object = 0, occurrence: object = 1) -> int:
    whole, wanted, times = text_of(text), text_of(part), whole_number(occurrence)
    place = whole_number(start) - 1
    if not 1 <= times <= MADE_LIST_ELEMENTS_MAX:
        return -1
    for _ in range(times):
        place = whole.find(wanted, place + 1)
        if place < 0:
            return -1
    return place


def _replacestr(text: object, old: object, new: object) -> str:
    whole, part, instead = text_of(text), text_of(old), text_of(new)
    if not part:
        return whole
    short_enough(len(whole) + whole.count(part) * max(len(instead) - len(part), 0))
    return whole.replace(part, instead)


def _split(text: object, separators: object) -> list[str]:
    whole, signs = text_of(text), text_of(separators)
    if not 1 <= len(signs) <= _SEPARATORS_MAX:
        raise ValueError("no separators, or a text that is none")
    for sign in signs[1:]:
        whole = whole.replace(sign, signs[0])
    return _bounded(whole.split(signs[0], MADE_LIST_ELEMENTS_MAX + 1))


def _bounded(parts: list[str]) -> list[str]:
    if len(parts) > MADE_LIST_ELEMENTS_MAX:
        raise ValueError("the list would be too long")
    return parts


def _join(separator: object, values: object) -> str:
    if not isinstance(values, list):
        raise TypeError("only lists can be joined")
    between = text_of(separator)
    texts = [text_of(value) for value in values if value is not None]
    short_enough(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def _equals(left: object, right: object) -> bool:
    return left is not None and right is not None and equal(left, right)


def _equals_ignore_case(left: object, right: object) -> bool:
    if left is None or right is None:
        return False
    return text_of(left).casefold() == text_of(right).casefold()


def _explode(pattern: str = ",") -> Callable[..., object]:
    compiled = compile_pattern(pattern)

    def parts(text: object) -> list[str]:
        whole = text_of(text)
        compiled.require_short(whole)
        found, begin = [], 0
        for separator in compiled.regex.finditer(whole):
            if separator.end() > separator.start():
                found.append(whole[begin : separator.start()])
                begin = separator.end()
        return _bounded([*found, whole[begin:]])

    return parts


def _extract_regex(pattern: str) -> Callable[..., object]:
    compiled = compile_pattern(pattern)

    def groups(text: object) -> list[str] | None:
        whole = text_of(text)
        compiled.require_short(whole)
        found = compiled.regex.search(whole)
        return None if found is None else [found[0], *found.groups(default="")]

    return groups


def _matches_regex(pattern: str) -> Callable[..., object]:
    compiled = compile_pattern(pattern)

    def matches(text: object) -> bool:
        whole = text_of(text)
        compiled.require_short(whole)
        return compiled.regex.fullmatch(whole) is not None

    return matches


TEXTS = (
    Function(
        name="concat",
        arguments=("value…",),
        summary="The texts, one behind the other. One that is missing makes the whole missing; "
        '`coalesce(…, "")` stands in for it.',
        examples=(('concat("Hi, ", "there", "!")', "Hi, there!"), ('concat("cio-", 7)', "cio-7")),
        build=strict(_concat),
    ),
    Function(
        name="lower",
        alias="lcase",
        arguments=("text",),
        summary="In lower case.",
        examples=(('lower("HeLLo")', "hello"), ('lcase("ÀÉ")', "àé")),
        build=strict(lambda text: text_of(text).lower()),
    ),
    Function(
        name="upper",
        alias="ucase",
        arguments=("text",),
        summary="In upper case.",
        examples=(('upper("HeLLo")', "HELLO"),),
        build=strict(lambda text: text_of(text).upper()),
    ),
    Function(
        name="trim",
        arguments=("text",),
        summary="Without the blanks at both ends.",
        examples=(('trim(" hello ")', "hello"),),
        build=strict(lambda text: text_of(text).strip()),
    ),
    Function(
        name="ltrim",
        arguments=("text",),
        summary="Without the blanks at the beginning.",
        examples=(('ltrim(" hello")', "hello"),),
        build=strict(lambda text: text_of(text).lstrip()),
    ),
    Function(
        name="rtrim",
        arguments=("text",),
        summary="Without the blanks at the end.",
        examples=(('rtrim("hello ")', "hello"),),
        build=strict(lambda text: text_of(text).rstrip()),
    ),
    Function(
        name="substr",
        arguments=("text", "start", "length"),
        summary="The part of this length that begins at `start`, counted from 0.",
        examples=(('substr("This is a substring test", 7, 8)', " a subst"),),
        build=strict(_substr),
    ),
    Function(
        name="left",
        arguments=("text", "count"),
        summary="The first characters.",
        examples=(('left("abcde", 2)', "ab"),),
        build=strict(_left),
    ),
    Function(
        name="right",
        arguments=("text", "count"),
        summary="The last characters.",
        examples=(('right("abcde", 2)', "de"),),
        build=strict(_right),
    ),
    Function(
        name="instr",
        arguments=("text", "part", "start?", "occurrence?"),
        summary="Where a part is found, counted from 0; -1 if it is not.",
        examples=(('instr("adobe.com", "com")', 6), ('instr("a-b-c", "-", 0, 2)', 3)),
        build=strict(_instr),
    ),
    Function(
        name="replacestr",
        arguments=("text", "old", "new"),
        summary="With `new` wherever `old` was.",
        examples=(
            (
                'replacestr("This is a string re test", "re", "replace")',
                "This is a string replace test",
            ),
        ),
        build=strict(_replacestr),
    ),
    Function(
        name="split",
        arguments=("text", "separators"),
        summary="The parts between separators, each of which is one character.",
        examples=(
            ('split("Hello world", " ")', ["Hello", "world"]),
            ('split("a-b_c", "-_")', ["a", "b", "c"]),
        ),
        build=strict(_split),
    ),
    Function(
        name="explode",
        arguments=("text", "pattern?"),
        summary="The parts between what the pattern matches; without one, between commas.",
        examples=(
            ('explode("Hi, there!", " ")', ["Hi,", "there!"]),
            ('explode("a,b")', ["a", "b"]),
        ),
        build=prepared(_explode, literals=slice(1, None)),
    ),
    Function(
        name="join",
        arguments=("separator", "list"),
        summary="The elements of a list as one text; null ones are left out.",
        examples=(('join(" ", to_array(true, "Hello", "world"))', "Hello world"),),
        build=strict(_join),
    ),
    Function(
        name="equals",
        arguments=("text", "other"),
        summary="Whether both are the same; a missing one equals nothing. Adobe writes it as a "
        "method, which is understood too.",
        examples=(('"string1".equals("STRING1")', False), ('equals("a", "a")', True)),
        build=lenient(_equals),
    ),
    Function(
        name="equalsIgnoreCase",
        arguments=("text", "other"),
        summary="The same, whatever the case.",
        examples=(('"string1".equalsIgnoreCase("STRING1")', True),),
        build=lenient(_equals_ignore_case),
    ),
)

PATTERNS = (
    Function(
        name="extract_regex",
        arguments=("text", "pattern"),
        summary="What the pattern finds first: the whole of it, and each of its groups.",
        examples=(
            (
                'extract_regex("E259,E259B_009,1_1", "([^,]+),[^,]*,([^,]+)")',
                ["E259,E259B_009,1_1", "E259", "1_1"],
            ),
        ),
        build=prepared(_extract_regex, literals=slice(1, 2)),
    ),
    Function(
        name="matches_regex",
        arguments=("text", "pattern"),
        summary="Whether the pattern matches the whole text.",
        examples=(
            ('matches_regex("E259,E259B_009,1_1", "([^,]+),[^,]*,([^,]+)")', True),
            ('matches_regex("abc", "b")', False),
        ),
        build=prepared(_matches_regex, literals=slice(1, 2)),
    ),
)

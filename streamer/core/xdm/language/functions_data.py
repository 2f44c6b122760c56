"""The functions for objects, lists and numbers, and for turning texts into them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from streamer.core.mapping_limits import MADE_LIST_ELEMENTS_MAX
from streamer.core.xdm.language.function import Function, lenient, strict
from streamer.core.xdm.language.values import LONG_MAX, in_range, number

_INTEGER_MAX = 2**31 - 1


def _size_of(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, str | list | dict):
        return len(value)
    raise TypeError("a number has no size")


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})


def _get(value: object, key: object) -> object:
    if isinstance(value, list) and isinstance(key, int) and not isinstance(key, bool):
        return value[key] if key >= 0 else None
    if isinstance(value, dict) and isinstance(key, str):
        return value.get(key)
    raise TypeError("neither a list and a place nor an object and a name")


def _elements(values: tuple[object, ...]) -> list[object]:
    """Take a single list for its elements."""
    if len(values) == 1 and isinstance(values[0], list):
        return values[0]
    return list(values)


def _first(*values: object) -> object:
    return _elements(values)[0]


def _last(*values: object) -> object:
    return _elements(values)[-1]


def _extreme(choose: Callable[[Iterable[Any]], object]) -> Callable[..., object]:
    def call(*values: object) -> object:
        present = [value for value in _elements(values) if value is not None]
        if all(isinstance(value, str) for value in present):
            return choose(present)
        if any(isinstance(value, bool) for value in present):
            raise TypeError("truth values have no order")
        return choose(present)

    return call


def _to_array(include_nulls: object, *values: object) -> list[object]:
    if include_nulls is True:
        return list(values)
    return [value for value in values if value is not None]


def _add_to_array(array: object, *values: object) -> list[object]:
    return _bounded([*_list(array), *(value for value in values if value is not None)])


def _join_arrays(*arrays: object) -> list[object]:
    return _bounded([element for array in arrays for element in _list(array)])


def _list(value: object) -> list[object]:
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise TypeError("not a list")


def _bounded(elements: list[object]) -> list[object]:
    if len(elements) > MADE_LIST_ELEMENTS_MAX:
        raise ValueError("the list would be too long")
    return elements


def _whole(most: int) -> Callable[[object], object]:
    def convert(value: object) -> int | None:
        found = _number(value)
        whole = int(found)
        return whole if -most - 1 <= whole <= most else None

    return convert


def _float(value: object) -> float | int | None:
    return in_range(float(_number(value)))


def _number(value: object) -> int | float:
    found = number(value.strip() if isinstance(value, str) else value)
    if found is None:
        raise ValueError("not a number")
    return found


def _json_to_object(text: object) -> object:
    if not isinstance(text, str):
        raise TypeError("only text can hold JSON")
    return msgspec.json.decode(text)


OBJECTS = (
    Function(
        name="size_of",
        arguments=("value",),
        summary="How many elements a list, names an object or characters a text has; 0 if it is "
        "missing.",
        examples=(("size_of([1, 2, 3, 4])", 4), ("size_of(null)", 0)),
        build=lenient(_size_of),
    ),
    Function(
        name="is_empty",
        arguments=("value",),
        summary="Whether it is missing, or a list, an object or a text with nothing in it.",
        examples=(("is_empty([1, 2, 3])", False), ("is_empty(data.no_such_field)", True)),
        build=lenient(_is_empty),
    ),
    Function(
        name="get",
        arguments=("value", "key"),
        summary="A list's element by its place, counted from 0, or an object's by its name.",
        examples=(
            ("get(['a', 'b'], 1)", "b"),
            ('get(json_to_object(\'{"topic_1": true}\'), "topic_1")', True),
        ),
        build=strict(_get),
    ),
    Function(
        name="json_to_object",
        arguments=("text",),
        summary="The value that a text of JSON describes.",
        examples=(('json_to_object("[1, true, null]")', [1, True, None]),),
        build=strict(_json_to_object),
    ),
)

ARRAYS = (
    Function(
        name="first",
        arguments=("value…",),
        summary="The first of its arguments, or of a single list.",
        examples=(('first("1", "2", "3")', "1"), ("first(['a', 'b'])", "a")),
        build=lenient(_first),
    ),
    Function(
        name="last",
        arguments=("value…",),
        summary="The last of its arguments, or of a single list.",
        examples=(('last("1", "2", "3")', "3"),),
        build=lenient(_last),
    ),
    Function(
        name="to_array",
        arguments=("include_nulls", "value…"),
        summary="A list of the values; missing ones are left out unless `include_nulls` is true.",
        examples=(("to_array(false, 1, null, 2, 3)", [1, 2, 3]),),
        build=lenient(_to_array),
    ),
    Function(
        name="add_to_array",
        arguments=("list", "value…"),
        summary="The list with further elements at its end; missing ones are left out.",
        examples=(("add_to_array(['a', 'b'], 'c', 'd')", ["a", "b", "c", "d"]),),
        build=lenient(_add_to_array),
    ),
    Function(
        name="join_arrays",
        arguments=("list…",),
        summary="The elements of all lists in one; a missing list has none.",
        examples=(("join_arrays(['a', 'b'], ['c'], ['d', 'e'])", ["a", "b", "c", "d", "e"]),),
        build=lenient(_join_arrays),
    ),
    Function(
        name="min",
        arguments=("value…",),
        summary="The least of numbers, or of texts, or of a single list of them; missing ones do "
        "not count.",
        examples=(("min(3, 1, 4)", 1), ("min([3, null, 2.5])", 2.5)),
        build=lenient(_extreme(min)),
    ),
    Function(
        name="max",
        arguments=("value…",),
        summary="The greatest, likewise.",
        examples=(("max(3, 1, 4)", 4),),
        build=lenient(_extreme(max)),
    ),
)

NUMBERS = (
    Function(
        name="to_integer",
        arguments=("value",),
        summary="A whole number of up to 32 bits; what comes behind a decimal point is cut off.",
        examples=(('to_integer("12")', 12), ('to_integer("12.9")', 12), ('to_integer("x")', None)),
        build=strict(_whole(_INTEGER_MAX)),
    ),
    Function(
        name="to_bigint",
        arguments=("value",),
        summary="A whole number of up to 64 bits.",
        examples=(('to_bigint("4294967296")', 4_294_967_296),),
        build=strict(_whole(LONG_MAX)),
    ),
    Function(
        name="to_float",
        arguments=("value",),
        summary="A number with a decimal point.",
        examples=(('to_float("12.5")', 12.5),),
        build=strict(_float),
    ),
    Function(
        name="to_decimal",
        arguments=("value",),
        summary="The same; numbers are double.",
        examples=(('to_decimal("20.5")', 20.5),),
        build=strict(_float),
    ),
)

"""Reading and changing JSON documents by path, as queries and JSON patches name them.

Knows no service: a path leads through objects and arrays, and what it cannot reach is absent.
"""

from __future__ import annotations

import copy
import operator
import re
from typing import Any

CONDITION = re.compile(r"(?P<path>[^=!<>~]+)(?:(?P<sign>==|!=|>=|<=|>|<)(?P<wanted>.*))?")
COMPARISONS = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
Patch = list[dict[str, Any]]


class BadPatch(Exception):
    """A patch that cannot be applied, and why."""


class BadFilter(Exception):
    """A filter that cannot be understood, and why."""


def value_at(document: object, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what a dotted path leads to, or None."""
    value: Any = document
    for key in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def matches(document: dict[str, Any], condition: str) -> bool:
    """Tell whether a document meets one ``property`` condition.

    A path alone asks whether there is a value; ``==`` and ``!=`` compare as text, the other
    signs as numbers. A path that ends in ``[]`` asks about any entry of an array.

    Raises:
        BadFilter: the condition has another form.
    """
    found = CONDITION.fullmatch(condition)
    if found is None:
        raise BadFilter(f"[{condition}] is neither PATH nor PATH, a sign and a value")
    path, sign, wanted = found["path"], found["sign"], found["wanted"]
    value = value_at(document, path.removesuffix("[]"))
    if not sign:
        return value is not None
    if sign in COMPARISONS:
        return _compares(value, sign, wanted)
    texts = [_as_text(entry) for entry in value] if isinstance(value, list) else [_as_text(value)]
    return (wanted in texts) is (sign == "==")


def _compares(value: object, sign: str, wanted: str) -> bool:
    if not wanted.lstrip("-").isdigit():
        raise BadFilter(f"[{wanted}] is no number")
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return bool(COMPARISONS[sign](value, int(wanted)))


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def patched(document: dict[str, Any], patch: Patch) -> dict[str, Any]:
    """Return a copy to which a JSON patch was applied: ``add``, ``replace`` and ``remove``.

    Operations may be written in capitals, as one description has them.

    Raises:
        BadPatch: an operation is unknown, or its path leads nowhere.
    """
    result = copy.deepcopy(document)
    for step in patch:
        _apply(result, step)
    return result


def _apply(document: dict[str, Any], step: dict[str, Any]) -> None:
    operation, path = str(step.get("op")).lower(), step.get("path")
    if operation not in ("add", "replace", "remove"):
        raise BadPatch(f"[{step.get('op')}] is neither add nor replace nor remove")
    if not isinstance(path, str) or not path.startswith("/"):
        raise BadPatch(f"[{path}] is not a path that begins with a slash")
    if operation != "remove" and "value" not in step:
        raise BadPatch(f"[{path}] has no value")
    *parents, last = [
        key.replace("~1", "/").replace("~0", "~") for key in path.removeprefix("/").split("/")
    ]
    place: Any = document
    for key in parents:
        place = _entry(place, key, path)
    if isinstance(place, list):
        _change_array(place, last, operation, step.get("value"), path)
    elif isinstance(place, dict):
        _change_object(place, last, operation, step.get("value"), path)
    else:
        raise BadPatch(f"[{path}] leads nowhere")


def _entry(place: object, key: str, path: str) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(place, dict) and key in place:
        return place[key]
    if isinstance(place, list) and key.isdigit() and int(key) < len(place):
        return place[int(key)]
    raise BadPatch(f"[{path}] leads nowhere")


def _change_object(
    place: dict[str, Any], key: str, operation: str, value: object, path: str
) -> None:
    if operation != "add" and key not in place:
        raise BadPatch(f"[{path}] is not there")
    if operation == "remove":
        del place[key]
    else:
        place[key] = value


def _change_array(place: list[Any], key: str, operation: str, value: object, path: str) -> None:
    if operation == "add" and key == "-":
        place.append(value)
        return
    if not key.isdigit() or int(key) >= len(place) + (operation == "add"):
        raise BadPatch(f"[{path}] is not there")
    if operation == "add":
        place.insert(int(key), value)
    elif operation == "replace":
        place[int(key)] = value
    else:
        del place[int(key)]

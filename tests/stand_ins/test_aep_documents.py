"""Patches and filters do what the standard says, and refuse the rest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stand_ins.aep.documents import BadFilter, BadPatch, matches, patched

DOCUMENT: dict[str, Any] = {"name": "a", "list": [1, {"deep": 2}], "a/b": {"~": 3}}


def change(operation: str, path: str, value: object = 9) -> dict[str, Any]:
    step = {"op": operation, "path": path, "value": value}
    return patched(DOCUMENT, [step])


@pytest.mark.parametrize(
    ("operation", "path", "expected"),
    [
        ("add", "/new", {**DOCUMENT, "new": 9}),
        ("ADD", "/name", {**DOCUMENT, "name": 9}),
        ("replace", "/name", {**DOCUMENT, "name": 9}),
        ("remove", "/name", {"list": DOCUMENT["list"], "a/b": {"~": 3}}),
        ("add", "/list/-", {**DOCUMENT, "list": [1, {"deep": 2}, 9]}),
        ("add", "/list/0", {**DOCUMENT, "list": [9, 1, {"deep": 2}]}),
        ("add", "/list/2", {**DOCUMENT, "list": [1, {"deep": 2}, 9]}),
        ("replace", "/list/0", {**DOCUMENT, "list": [9, {"deep": 2}]}),
        ("remove", "/list/1", {**DOCUMENT, "list": [1]}),
        ("replace", "/list/1/deep", {**DOCUMENT, "list": [1, {"deep": 9}]}),
        ("replace", "/a~1b/~0", {**DOCUMENT, "a/b": {"~": 9}}),
    ],
)
def test_a_patch_changes_what_its_path_leads_to(
    operation: str, path: str, expected: dict[str, Any]
) -> None:
    assert change(operation, path) == expected


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("move", "/name"),
        ("test", "/name"),
        ("add", "name"),
        ("replace", "/new"),
        ("remove", "/new"),
        ("replace", "/list/2"),
        ("replace", "/list/-"),
        ("add", "/list/3"),
        ("remove", "/list/x"),
        ("add", "/list/2/deep"),
        ("add", "/list/x/deep"),
        ("add", "/new/deep"),
        ("add", "/name/deep"),
    ],
)
def test_a_patch_that_leads_nowhere_is_refused(operation: str, path: str) -> None:
    with pytest.raises(BadPatch):
        change(operation, path)


def test_a_patch_leaves_the_document_alone() -> None:
    before = repr(DOCUMENT)
    change("add", "/list/-")
    assert repr(DOCUMENT) == before


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("name", True),
        ("other", False),
        ("a.b", True),
        ("name.deep", False),
        ("name==x", True),
        ("name==y", False),
        ("name!=y", True),
        ("other==None", False),
        ("other!=y", True),
        ("on==true", True),
        ("a.b==5", True),
        ("list[]==two", True),
        ("list[]==three", False),
        ("list[]!=three", True),
        ("a.b>=5", True),
        ("a.b>5", False),
        ("a.b<-1", False),
        ("name>5", False),
        ("on>=1", False),
    ],
)
def test_a_condition_is_met_or_not(condition: str, *, holds: bool) -> None:
    document = {"name": "x", "a": {"b": 5}, "list": ["one", "two"], "on": True}
    assert matches(document, condition) is holds


@pytest.mark.parametrize("condition", ["", "name~x", "a.b>high", "==x"])
def test_a_condition_of_another_form_is_refused(condition: str) -> None:
    with pytest.raises(BadFilter):
        matches({}, condition)

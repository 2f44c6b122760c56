"""Which patterns are tried on strangers' texts, and how long the texts may be."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.mapping_limits import REGEX_CHARACTERS_MAX, SEARCHED_CHARACTERS_MAX
from streamer.core.xdm.language.safe_regex import (
    UnsafePattern,
    compile_pattern,
)

SEARCH_SECONDS_MAX = 5.0
"""Ten times what the dearest pattern took on a slow machine; an exponential one takes hours."""


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a+)+", "repeats what itself repeats"),
        ("(a*)*", "repeats what can be nothing"),
        ("(?:a+){5,}", "repeats what itself repeats"),
        ("(a+b?)*", "repeats what itself repeats"),
        ("(a?b)*", "repeats what itself repeats, or is a choice"),
        ("(a|a)*", "repeats what can be nothing"),
        ("(x(a|a)y)+", "repeats what itself repeats, or is a choice"),
        ("(a?){30}", "repeats what can be nothing"),
        ("((){999}){999}", "repeats what can be nothing"),
        ("(a{0})*", "repeats what can be nothing"),
        (".*.*.*.*x", "too many choices"),
        ("a*a*a*a*b", "too many choices"),
        ("(a+){4}b", "too many choices"),
        ("a*b?a*b?a*b?a*z", "too many choices"),
        ("(a*){4}b", "repeats what can be nothing"),
        ("[λ-ω]*[λ-ω]*[λ-ω]*[λ-ω]*λ", "too many choices"),
        ("((a{99}b){99}c){99}", "too many parts or choices"),
        ("a?a?a?a?a?a?a?a?a?a?a", "too many parts or choices"),
        ("(a|b|c)(a|b|c)(a|b|c)(a|b|c)(a|b|c)(a|b|c)(a|b|c)", "too many parts or choices"),
        ("(a)\\1", "not supported"),
        ("(?=a)", "not supported"),
        ("(?!a)", "not supported"),
        ("(?<a>b)", "not supported"),
        ("(?i)a", "not supported"),
        ("a++", "not supported"),
        ("a**", "not supported"),
        ("\\b+", "not supported"),
        ("[a&&b]", "not supported"),
        ("[a--b]", "not supported"),
        ("[[a]]", "not supported"),
        ("\\p{L}", "not supported"),
        ("\\u0041", "not supported"),
        ("[\\x41]", "not supported"),
        ("{3}", "not supported"),
        ("(a", "does not close a group"),
        ("a)", "closes a group that was not opened"),
        ("[z-a]", "is wrong: "),
        ("a{3,1}", "is wrong: "),
        ("a" * (REGEX_CHARACTERS_MAX + 1), "more than 500 characters"),
    ],
)
def test_a_pattern_that_could_take_for_ever_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(UnsafePattern, match=re.escape(reason)):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "text", "groups"),
    [
        ("", "a", []),
        ("a.c", "xabc", []),
        (r"\b([45]\d\d)\b", "smtp; 550 no", ["550"]),
        (r"(?:\d{1,3}\.){3}\d{1,3}", "from 10.0.0.1", []),
        ("https?://([^/]+)/([^?]*)", "see https://x.io/a/b?c", ["x.io", "a/b"]),
        ("utm_campaign=([^&#]*)", "?utm_campaign=may&x=1", ["may"]),
        ("([^,]+),[^,]*,([^,]+)", "E259,E259B_009,1_1", ["E259", "1_1"]),
        ("(jpg|png|gif|webp)$", "a.png", ["png"]),
        ("^(.*)-(.*?)$", "a-b-c", ["a-b", "c"]),
        (r"\[(\w+)\] \{\}", "[a] {}", ["a"]),
        ("(?:,\\d)*;", ",1,2;", []),
        ("([λ-ω]+)", "abc λόγος", ["λ"]),
        ("a{2}b{1,2}c?", "aabb", []),
    ],
)
def test_an_ordinary_pattern_is_tried(pattern: str, text: str, groups: list[str]) -> None:
    found = compile_pattern(pattern).regex.search(text)
    assert found is not None
    assert list(found.groups()) == groups


@pytest.mark.parametrize(
    ("pattern", "least", "most"),
    [
        ("[45]\\d\\d", SEARCHED_CHARACTERS_MAX, SEARCHED_CHARACTERS_MAX),
        ("^([^?]*)", SEARCHED_CHARACTERS_MAX, SEARCHED_CHARACTERS_MAX),
        ("utm_campaign=([^&#]*)", 4_000, 5_000),
        ("^(.*)-(.*)", 4_000, 5_000),
        ("(.*)foo(.*)", 300, 500),
        (".*a.*b", 100, 150),
    ],
)
def test_the_more_choices_a_pattern_leaves_the_shorter_a_text_may_be(
    pattern: str, least: int, most: int
) -> None:
    compiled = compile_pattern(pattern)
    assert least <= compiled.characters_max <= most
    compiled.require_short("a" * compiled.characters_max)
    with pytest.raises(ValueError, match="too long for the pattern"):
        compiled.require_short("a" * (compiled.characters_max + 1))


ATOMS = [
    "a",
    "b",
    "[ab]",
    "[^b]",
    ".",
    r"\b",
    "$",
    "(a|ab)",
    "(?:ab)",
    "(?:a|b)",
    "(?:aab)",
    "(b|a)",
]
REPEATS = ["", "", "?", "*", "+", "{2}", "{1,4}", "*?", "{2,}"]
PATTERNS = st.lists(
    st.tuples(st.sampled_from(ATOMS), st.sampled_from(REPEATS)), min_size=1, max_size=8
).map(lambda parts: "".join(atom + repeat for atom, repeat in parts))


@settings(max_examples=300, deadline=None)
@given(PATTERNS)
def test_what_is_tried_ends_soon_on_the_worst_text_of_the_longest_length(pattern: str) -> None:
    try:
        compiled = compile_pattern(pattern)
    except UnsafePattern:
        return
    length = compiled.characters_max
    begun = time.process_time()
    for text in ("a" * length, "a" * (length - 1) + "c", "ab" * (length // 2), "b" * length):
        compiled.regex.search(text)
        compiled.regex.fullmatch(text)
    assert time.process_time() - begun < SEARCH_SECONDS_MAX


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="ab()[]{}|*+?^$.\\,-123dwsbλ ", max_size=40))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        compiled = compile_pattern(text)
    except UnsafePattern:
        return
    compiled.regex.search("ab12, ")

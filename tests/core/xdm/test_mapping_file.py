"""A mapping file is taken as it is meant, or everything that is wrong with it is told at once."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.errors import ConfigurationError
from streamer.core.mapping_limits import MAPPING_RULES_MAX
from streamer.core.xdm.mapper import Mapper
from streamer.core.xdm.mapping_file import MappingErrors, read_mapping
from streamer.core.xdm.rule import Rule
from streamer.core.xdm.settings import MappingSettings

FILE = """\
# A first mapping file.
remove = ["directMarketing.linkURL", "channel"]

[[rules]]
destination = "_{tenant}.customerio.region"
source = 'substr(data.recipient, 0, 2)'
types = ["sms.*", "whatsapp.replied"]
note = \"\"\"
by the number's
source = country\"\"\"

[[rules]]   # the second
destination = "_{tenant}.customerio.score"
constant = 5

[[rules]]
destination = "_id"
source = "concat('cio-', event_id)"

[[rules]]
destination = "eventType"
constant = 'say "hello\\n"'

[fields]
"_{tenant}.customerio.region" = "text"
"_{tenant}.customerio.score" = "integer"
"_{tenant}.customerio.more.deeply" = "array"
"""


def test_a_file_becomes_rules_that_say_where_they_are_from() -> None:
    layer = read_mapping(FILE, origin="mapping.toml")
    assert layer.rules[0] == Rule(
        destination="_{tenant}.customerio.region",
        source="substr(data.recipient, 0, 2)",
        types=("sms.*", "whatsapp.replied"),
        note="by the number's\nsource = country",
        origin="mapping.toml:4",
    )
    assert [rule.source for rule in layer.rules[1:]] == [
        "5",
        "concat('cio-', event_id)",
        '"say \\"hello\\\\n\\""',
    ]
    assert [rule.origin for rule in layer.rules[1:]] == [
        "mapping.toml:12",
        "mapping.toml:16",
        "mapping.toml:20",
    ]
    assert layer.remove == ("directMarketing.linkURL", "channel")
    assert layer.fields == {
        "_{tenant}.customerio.region": "text",
        "_{tenant}.customerio.score": "integer",
        "_{tenant}.customerio.more.deeply": "array",
    }
    assert layer.warnings == ()


def test_a_file_that_was_taken_can_be_applied() -> None:
    Mapper(MappingSettings(tenant="acme"), [read_mapping(FILE, origin="mapping.toml")])


def test_an_empty_file_changes_nothing() -> None:
    layer = read_mapping("", origin="x")
    assert (layer.rules, layer.remove, layer.fields) == ((), (), {})


def test_a_type_that_nobody_knows_yet_is_only_warned_of() -> None:
    text = '[[rules]]\ndestination = "eventType"\nconstant = "x"\ntypes = ["emial.*"]\n'
    (warning,) = read_mapping(text, origin="x").warnings
    assert (warning.line, warning.key) == (4, "rules[0].types")
    assert "did you mean email.*" in warning.message


def rule(*lines: str) -> str:
    """Write a rule that is right but for what the lines say."""
    given = {line.partition(" ")[0] for line in lines}
    defaults = [
        line
        for key, line in {
            "destination": 'destination = "eventType"',
            "source": 'source = "metric"',
        }.items()
        if key not in given and not (key == "source" and "constant" in given)
    ]
    return "\n".join(["[[rules]]", *lines, *defaults])


MISTAKES = [
    # The file as a whole.
    ("rules = 1", 1, "rules", "must be tables", "[[rules]]"),
    ("rules = [1]", 1, "rules", "must be tables", "[[rules]]"),
    ("[rules]\nx = 1", 1, "rules", "must be tables", "[[rules]]"),
    ("\n[[rulse]]", 2, "rulse", "is not a known key", "`rules`"),
    ("removes = []", 1, "removes", "is not a known key", "`remove`"),
    ("a = = b", 1, "", "not valid TOML", ""),
    ("\n\nx = " + "[" * 5000, 1, "", "not valid TOML: nested too deeply", ""),
    ("x = " + "9" * 5000, 1, "", "thousands of digits", ""),
    # A rule's keys.
    (rule('sorce = "metric"'), 2, "rules[0].sorce", "is not a known key", "`source`"),
    (rule("remove = []"), 2, "rules[0].remove", "is not a known key", "top of the file"),
    ("[[rules]]\nsource = 'metric'", 1, "rules[0]", "has no `destination`", ""),
    ("[[rules]]\ndestination = 'eventType'", 1, "rules[0]", "either `source` or", "expression"),
    (rule("constant = 1", "source = 'metric'"), 1, "rules[0]", "either `source` or", ""),
    (rule("destination = 5"), 2, "rules[0].destination", "must be a text", ""),
    (rule("destination = ''"), 2, "rules[0].destination", "and not empty", ""),
    (rule("source = 5"), 2, "rules[0].source", "must be a text", ""),
    (rule("source = ''"), 2, "rules[0].source", "and not empty", ""),
    (rule("note = 5"), 2, "rules[0].note", "must be a text", ""),
    (rule("types = 'email.*'"), 2, "rules[0].types", "must be a list of texts", '["email.*"]'),
    (rule("types = ['']"), 2, "rules[0].types", "must be a list of texts", ""),
    (rule(f"types = {['a'] * 201}"), 2, "rules[0].types", "at most 200", "email.*"),
    (rule("constant = ''"), 2, "rules[0].constant", "must be a text, a number", ""),
    (rule("constant = []"), 2, "rules[0].constant", "must be a text, a number", ""),
    (rule("constant = 2020-01-01"), 2, "rules[0].constant", "must be a text, a number", ""),
    (rule("constant = nan"), 2, "rules[0].constant", "must be a text, a number", ""),
    (rule("constant = -inf"), 2, "rules[0].constant", "must be a text, a number", ""),
    (rule(f"constant = {10**20}"), 2, "rules[0].constant", "larger than any", ""),
    (rule(f"constant = '{'x' * 5000}'"), 2, "rules[0].constant", "at most 4,096", ""),
    # Sources.
    (rule("source = 'data.'"), 2, "rules[0].source", "(at character 6)", "${"),
    (rule("source = 'lowr(metric)'"), 2, "rules[0].source", "no function lowr()", "`lower`"),
    (rule("source = 'uuid()'"), 2, "rules[0].source", "another value each time", "same event"),
    # Destinations.
    (rule("destination = 'a b'"), 2, "rules[0].destination", "is no path", "full stops"),
    (rule("destination = '.a'"), 2, "rules[0].destination", "is no path", ""),
    (
        rule("destination = 'directMarketing.linkUrl'"), 2, "rules[0].destination",
        "is not in the schema", "`directMarketing.linkURL`",
    ),
    (
        rule("destination = 'directMarketing'"), 2, "rules[0].destination",
        "is not in the schema", "",
    ),
    (
        rule("destination = '_{tenant}.customerio.region'"), 2, "rules[0].destination",
        "is not in the schema", '"_{tenant}.customerio.region" = "text"',
    ),
    (rule("destination = 'zzz'"), 2, "rules[0].destination", "is not in the schema", "your own"),
    (
        rule("destination = '_acme.customerio.href'"), 2, "rules[0].destination",
        "names a tenant", "`_{tenant}.customerio.href`",
    ),
    (
        rule("destination = 'identityMap.Email'"), 2, "rules[0].destination",
        "is not written by rules", "`identities`",
    ),
    # What a source must be because of where it goes.
    (
        rule("destination = '_id'", "constant = 'x'"), 3, "rules[0].constant",
        "several events one `_id`", "event_id",
    ),
    (
        rule("destination = '_id'", "source = 'data.delivery_id'"), 3, "rules[0].source",
        "several events one `_id`", "event_id",
    ),
    (
        rule("destination = '_id'", "source = 'concat(streamer.position, timestamp)'"), 3,
        "rules[0].source", "several events one `_id`", "event_id",
    ),
    (
        rule("destination = 'timestamp'", "constant = '2020-01-01T00:00:00Z'"), 3,
        "rules[0].constant", "every event the same time", "",
    ),
    (
        rule("destination = 'directMarketing.opens.value'", "constant = 'one'"), 3,
        "rules[0].constant", "does not fit", "`number`",
    ),
    (
        rule("destination = 'channel.mode'", "constant = 'pushed'"), 3,
        "rules[0].constant", "does not fit", "push, pull",
    ),
    # What is taken away.
    ("remove = 'channel'", 1, "remove", "must be a list of texts", "top of the file"),
    ("remove = ['chanel']", 1, "remove", "`chanel` is not in the schema", ""),
    (
        "remove = ['directMarketing.linkUrl']", 1, "remove", "is not in the schema",
        "`directMarketing.linkURL`",
    ),
    ("remove = ['_id']", 1, "remove", "`_id` cannot be done without", "another rule"),
    # Fields.
    ("fields = 1", 1, "fields", "must be a table", "[fields]"),
    ("[fields]\na.b = 'text'", 2, "fields.a", "the name of a kind", "quotation marks"),
    ("[fields]\n'a b' = 5", 2, 'fields."a b"', "the name of a kind", ""),
    ("[fields]\nfoo = 'text'", 2, "fields.foo", "lie below _{tenant}.customerio", ""),
    (
        "[fields]\n'_{tenant}.customerio.x' = 'txt'", 2, 'fields."_{tenant}.customerio.x"',
        "no kind of field", "",
    ),
    (
        "[fields]\n'_{tenant}.customerio.href' = 'text'", 2, 'fields."_{tenant}.customerio.href"',
        "is there already", "",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "key", "message", "hint"), MISTAKES)
def test_a_mistake_is_told_with_its_line_and_what_to_write(
    text: str, line: int, key: str, message: str, hint: str
) -> None:
    with pytest.raises(MappingErrors) as caught:
        read_mapping(text, origin="mapping.toml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (line, key)
    assert message in problem.message
    assert hint in problem.hint
    assert "1 error in the mapping file mapping.toml" in str(caught.value)
    assert caught.value.exit_code == ConfigurationError.exit_code


def test_an_object_cannot_be_a_value_as_well() -> None:
    text = "[fields]\n'_{tenant}.customerio.a' = 'text'\n'_{tenant}.customerio.a.b' = 'text'\n"
    with pytest.raises(MappingErrors) as caught:
        read_mapping(text, origin="x")
    assert [problem.line for problem in caught.value.problems] == [2, 3]
    assert all("cannot be beside" in problem.message for problem in caught.value.problems)


def test_what_is_required_can_be_taken_away_for_another_rule() -> None:
    text = 'remove = ["_id"]\n[[rules]]\ndestination = "_id"\nsource = "sha256(event_id)"\n'
    assert read_mapping(text, origin="x").remove == ("_id",)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
[[rules]]
destination = "eventTyp"
source = "uper(metric"

[[rules]]
destination = "_{tenant}.customerio.region"
source = "href"
types = 5

[fields]
"_{tenant}.customerio.region" = "txt"
"""
    with pytest.raises(MappingErrors) as caught:
        read_mapping(text, origin="mapping.toml")
    lines = [problem.line for problem in caught.value.problems]
    assert lines == [2, 3, 7, 8, 11], "a field that is wrong is not missed by its rule as well"
    assert str(caught.value).splitlines()[:3] == [
        "5 errors in the mapping file mapping.toml:",
        "  line 2, rules[0].destination: is not in the schema",
        "      Did you mean `eventType`?",
    ]


def test_a_file_has_a_limit_of_rules() -> None:
    one = rule() + "\n"
    assert len(read_mapping(one * MAPPING_RULES_MAX, origin="x").rules) == MAPPING_RULES_MAX
    with pytest.raises(MappingErrors, match="not be more than 1,000"):
        read_mapping(one * (MAPPING_RULES_MAX + 1), origin="x")


def test_rules_in_one_list_are_told_with_its_line() -> None:
    text = "\nrules = [\n  { destination = 'eventType', source = 'x' },\n]"
    with pytest.raises(MappingErrors, match=r"line 2, rules\[0\].source"):
        read_mapping(text, origin="x")


def test_a_text_of_several_lines_is_no_place_for_keys() -> None:
    text = """\
[[rules]]
note = '''
[[rules]]
destination = "x"
'''
destination = "eventTyp"
source = "metric"
"""
    with pytest.raises(MappingErrors, match=r"line 6, rules\[0\].destination"):
        read_mapping(text, origin="x")


def test_no_mistake_repeats_what_a_rule_says_at_length() -> None:
    with pytest.raises(MappingErrors) as caught:
        read_mapping(rule(f"source = '{'x' * 5000}'"), origin="x")
    assert len(str(caught.value)) < 500


KEYS = st.sampled_from(["rules", "remove", "fields", "destination", "source", "types", "x"])
VALUES = st.sampled_from(
    ["1", "'metric'", "'eventType'", "[]", "['a']", "{}", "{a = 1}", "true", "nan", "1979-05-27"]
)
LINES = st.builds("{} = {}".format, KEYS, VALUES) | st.sampled_from(
    ["[[rules]]", "[fields]", "[rules]", "[[fields]]", "#", "\"_{tenant}.customerio.x\" = 'text'"]
)


@settings(max_examples=300)
@given(st.lists(LINES, max_size=8).map("\n".join))
def test_any_toml_is_read_or_told_to_be_wrong(text: str) -> None:
    try:
        read_mapping(text, origin="x")
    except MappingErrors as error:
        assert error.problems
        assert all(1 <= problem.line <= text.count("\n") + 1 for problem in error.problems)
    else:
        tomllib.loads(text)

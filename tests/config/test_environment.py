"""Environment variables that override single settings."""

from __future__ import annotations

import pytest

from streamer.config.environment import setting_names
from streamer.config.problems import ConfigurationErrors
from streamer.destinations.common_options import Secret
from streamer.destinations.options import HttpOptions

from .conftest import LoadText, ProblemsOf

HOOK = '[destinations.hook]\nkind = "http"\nurl = "https://example.com/"\n'


def hook(load_text: LoadText, text: str = HOOK, **environ: str) -> HttpOptions:
    prefixed = {f"STREAMER_DESTINATIONS__HOOK__{key}": value for key, value in environ.items()}
    options = load_text(text, prefixed).config.destinations["hook"]
    assert isinstance(options, HttpOptions)
    return options


def test_a_variable_wins_over_the_file_and_leaves_the_rest(load_text: LoadText) -> None:
    text = '[server]\nbind = "127.0.0.1:1"\nlame_duck_seconds = 1'
    environ = {
        "STREAMER_SERVER__BIND": "127.0.0.1:2",
        "STREAMER_DATA_DIR": "/elsewhere",
        "STREAMER_OUTBOX__ALLOW_UNSAFE_SQLITE": "true",
    }
    config = load_text(text, environ).config
    assert (config.server.bind, config.server.lame_duck_seconds) == ("127.0.0.1:2", 1)
    assert config.data_dir == "/elsewhere"
    assert config.outbox.allow_unsafe_sqlite is True


def test_texts_become_what_the_setting_is(load_text: LoadText) -> None:
    options = hook(load_text, LANES="4", RATE_PER_SECOND="2.5", INCLUDE="email.*, sms.*")
    assert (options.lanes, options.rate_per_second) == (4, 2.5)
    assert options.include == ["email.*", "sms.*"]


def test_lists_and_tables_may_be_json(load_text: LoadText) -> None:
    options = hook(load_text, INCLUDE='["email.*"]', HEADERS='{"X-Tenant": "a"}')
    assert (options.include, options.headers) == (["email.*"], {"X-Tenant": "a"})


def test_an_empty_list_is_an_empty_variable(load_text: LoadText) -> None:
    assert hook(load_text, HOOK + 'include = ["email.*"]', INCLUDE="").include == []


def test_a_whole_destination_can_come_from_the_environment(load_text: LoadText) -> None:
    assert hook(load_text, "", KIND="http", URL="https://example.com/x").url.endswith("/x")


def test_signing_keys_can_come_as_json(load_text: LoadText) -> None:
    environ = {
        "STREAMER_SOURCES__CUSTOMERIO__KIND": "customerio",
        "STREAMER_SOURCES__CUSTOMERIO__SIGNING_KEYS": '[{"env": "KEY"}, {"credential": "old"}]',
    }
    keys = load_text("", environ).config.sources["customerio"].signing_keys
    assert keys == [Secret(env="KEY"), Secret(credential="old")]


def test_a_secret_from_the_environment_replaces_the_place_in_the_file(load_text: LoadText) -> None:
    text = HOOK + 'signing_key = { credential = "hook-key" }'
    assert hook(load_text, text, SIGNING_KEY__ENV="KEY").signing_key == Secret(env="KEY")


def test_a_secret_itself_in_such_a_variable_is_refused(problems_of: ProblemsOf) -> None:
    variable = "STREAMER_ADMIN__TOKEN"
    problems = problems_of("", {variable: "hunter2"})
    assert list(problems) == ["admin.token"]
    assert problems["admin.token"].where == variable
    assert "hunter2" not in str(problems["admin.token"])


def test_an_underscore_stands_for_the_dash_of_a_name(load_text: LoadText) -> None:
    text = HOOK.replace("hook", "hook-eu_1")
    variable = "STREAMER_DESTINATIONS__HOOK_EU_1__LANES"
    destinations = load_text(text, {variable: "2"}).config.destinations
    assert list(destinations) == ["hook-eu_1"]
    assert destinations["hook-eu_1"].lanes == 2


def test_a_name_that_could_be_two_is_refused(problems_of: ProblemsOf) -> None:
    text = HOOK.replace("hook", "a-b") + HOOK.replace("hook", "a_b")
    variable = "STREAMER_DESTINATIONS__A_B__LANES"
    [problem] = problems_of(text, {variable: "2"}).values()
    assert (problem.where, problem.message) == (variable, "could mean `a-b` and `a_b`")


@pytest.mark.parametrize(
    ("variable", "path", "hint"),
    [
        ("STREAMER_SEVER__BIND", "sever.bind", "Did you mean `server`?"),
        ("STREAMER_SERVER__BNID", "server.bnid", "Did you mean `bind`?"),
        ("STREAMER_SERVER__BIND__PORT", "server.bind.port", ""),
        ("STREAMER_SERVER__", "server.", ""),
        ("STREAMER_DATA_DIR__X", "data_dir.x", ""),
    ],
)
def test_a_variable_without_a_setting_is_an_error(
    problems_of: ProblemsOf, variable: str, path: str, hint: str
) -> None:
    text = 'data_dir = "x"\n[server]\nbind = "127.0.0.1:1"'
    problems = problems_of(text, {variable: "127.0.0.1:80"})
    assert list(problems) == [path]
    assert (problems[path].where, problems[path].hint) == (variable, hint)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STREAMER_OUTBOX__RETENTION_DAYS", "soon"),
        ("STREAMER_OUTBOX__RETENTION_DAYS", "7"),
        ("STREAMER_OUTBOX__ALLOW_UNSAFE_SQLITE", "perhaps"),
        ("STREAMER_ADMIN__ALLOWED_HOSTS", "[broken"),
        ("STREAMER_ADMIN__ALLOWED_HOSTS", "[" * 100_000),
        ("STREAMER_LOG__LEVEL", "loud"),
    ],
)
def test_a_wrong_value_is_blamed_on_its_variable(
    problems_of: ProblemsOf, variable: str, value: str
) -> None:
    [problem] = problems_of("", {variable: value}).values()
    assert problem.where == variable


def test_an_element_of_a_list_is_blamed_on_its_variable(problems_of: ProblemsOf) -> None:
    variable = "STREAMER_ADMIN__ALLOWED_HOSTS"
    problems = problems_of("", {variable: "good.example,https://bad.example/"})
    assert problems["admin.allowed_hosts[1]"].where == variable


def test_one_underscore_too_few_is_warned_of(load_text: LoadText) -> None:
    warnings = load_text(HOOK, {"STREAMER_SERVER_BIND": "127.0.0.1:1"}).warnings
    assert [(one.where, one.hint) for one in warnings if one.where.isupper()] == [
        ("STREAMER_SERVER_BIND", "Did you mean `STREAMER_SERVER__BIND`?")
    ]


def test_variables_of_orchestrators_and_of_secrets_are_no_settings(load_text: LoadText) -> None:
    text = HOOK + '[admin]\ntoken = { env = "STREAMER_ADMIN_TOKEN" }'
    environ = {
        "STREAMER_PORT": "tcp://10.0.0.1:80",
        "STREAMER_SERVICE_HOST": "10.0.0.1",
        "STREAMER_ADMIN_TOKEN": "hunter2",
        "HOME": "/",
    }
    assert [warning.path for warning in load_text(text, environ).warnings] == ["sources"]


def test_a_table_cannot_be_given_as_one_variable(load_text: LoadText) -> None:
    assert load_text("", {"STREAMER_SERVER": "x"}).config.server.bind == "127.0.0.1:8080"


@pytest.mark.parametrize("variable", list(setting_names()))
def test_each_variable_that_the_reference_names_is_a_setting(
    load_text: LoadText, variable: str
) -> None:
    try:
        load_text("", {variable: "?"})
    except ConfigurationErrors as errors:
        [problem] = errors.problems
        assert problem.where == variable
        assert "is not a known key" not in problem.message

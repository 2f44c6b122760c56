"""What is wrong with a configuration is found, all of it, and said where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import LoadText, ProblemsOf

SOURCE = '[sources.customerio]\nkind = "customerio"\n'
HOOK = '[destinations.hook]\nkind = "http"\nurl = "https://example.com/"\n'


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(
    load_text: LoadText, problems_of: ProblemsOf, tmp_path: Path
) -> None:
    text = """
[destinations.hook]
kind = "http"
url = "http://example.com/"
lanes = "many"
[server]
bindd = "127.0.0.1:80"
processes = 65
[outbox]
retention_days = 3
"""
    places = {path: problem.where for path, problem in problems_of(text).items()}
    file = tmp_path / "streamer.toml"
    assert list(places.items()) == [
        ("destinations.hook.url", f"{file}:4"),
        ("destinations.hook.lanes", f"{file}:5"),
        ("server.bindd", f"{file}:7"),
        ("server.processes", f"{file}:8"),
        ("outbox.retention_days", f"{file}:10"),
    ]


@pytest.mark.parametrize(
    ("text", "path", "hint"),
    [
        ("[sever]", "sever", "Did you mean `server`?"),
        ('[server]\nbnd = "x"', "server.bnd", "Did you mean `bind`?"),
        (HOOK + "batch_event_max = 1", "destinations.hook.batch_event_max", "`batch_events_max`"),
        (HOOK + 'privacy = { dorp = ["x"] }', "destinations.hook.privacy.dorp", "`drop`"),
        ('[server]\ndata_dir = "x"', "server.data_dir", "top of the file"),
        ("[log]\nxyzzy = 1", "log.xyzzy", "Known: `format`, `level`."),
        (SOURCE + "signing_keys = [{ fiel = 'x', env = 'Y' }]",
         "sources.customerio.signing_keys[0].fiel", "`file`"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_an_error_with_a_suggestion(
    problems_of: ProblemsOf, text: str, path: str, hint: str
) -> None:
    problems = problems_of(text)
    assert list(problems) == [path]
    assert problems[path].message == "is not a known key"
    assert hint in problems[path].hint


def test_an_unknown_kind_is_answered_with_the_nearest_and_what_else_that_would_lack(
    problems_of: ProblemsOf,
) -> None:
    problems = problems_of('[destinations.hook]\nkind = "htttp"\nurll = "https://example.com/"')
    assert problems["destinations.hook.kind"].hint == 'Did you mean "http"?'
    assert problems["destinations.hook.urll"].hint == "Did you mean `url`?"
    assert "destinations.hook.url" in problems


@pytest.mark.parametrize("kind", ["", 'kind = "carrier-pigeon"', "kind = 3", "kind = []"])
def test_a_missing_or_impossible_kind_lists_the_kinds(problems_of: ProblemsOf, kind: str) -> None:
    problems = problems_of(f"[destinations.hook]\n{kind}")
    assert list(problems) == ["destinations.hook.kind"]
    assert '"file" or "http" or "stdout"' in problems["destinations.hook.kind"].message


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("server = 3", "server", "must be a table, not 3"),
        ('[[destinations]]\nname = "x"', "destinations", "must be tables with names, not a list"),
        ("destinations.hook = true", "destinations.hook", "must be a table, not true"),
        ("[outbox]\nretention_days = 7", "outbox.retention_days", "from 8 to 3650, not 7"),
        ("[outbox]\nretention_days = true", "outbox.retention_days", "not true"),
        ("[outbox]\nretention_days = 14.5", "outbox.retention_days", "not 14.5"),
        ('[outbox]\nretention_days = "14"', "outbox.retention_days", "not a text"),
        ("[outbox]\nretention_days = 0x" + "f" * 9_000, "outbox.retention_days", "that large"),
        ("[outbox]\nallow_unsafe_sqlite = 1", "outbox.allow_unsafe_sqlite", "true or false, not 1"),
        ("[outbox]\nbody_max_bytes = 33554433", "outbox.body_max_bytes", "(32 MiB)"),
        ("[server]\ndeadline_seconds = nan", "server.deadline_seconds", "not nan"),
        ("[server]\ndeadline_seconds = 4", "server.deadline_seconds", "from 0.1 to 3.8, not 4"),
        ("[server]\nbind = 2026-11-01", "server.bind", "must be a text, not a time"),
        ('[server]\nengine = "h2o"', "server.engine", 'must be "hypercorn" or "uvicorn", not'),
        ('[log]\nlevel = "warn"', "log.level", '"warning"'),
        ('data_dir = ""', "data_dir", "must not be empty"),
        ('data_dir = "a\\u0000b"', "data_dir", "NUL"),
        (HOOK + "rate_per_second = inf", "destinations.hook.rate_per_second", "not inf"),
        (HOOK + "backoff_base_seconds = 0", "destinations.hook.backoff_base_seconds", "above 0"),
        (HOOK + 'include = "email.*"', "destinations.hook.include", "must be a list, not a text"),
        (HOOK + 'include = ["a.b", 7]', "destinations.hook.include[1]", "must be a text, not 7"),
        (HOOK + 'include = ["a b"]', "destinations.hook.include[0]", "without blanks"),
        (HOOK + "headers = { X = 1 }", "destinations.hook.headers", "a table of texts"),
        (HOOK + 'privacy.drop = ["a..b"]', "destinations.hook.privacy.drop[0]", "can never match"),
        (HOOK + 'start = "later"', "destinations.hook.start", "`earliest`, `now` or a time"),
        (HOOK + "start = 2026-11-01", "destinations.hook.start", "needs its offset"),
        (SOURCE, "sources.customerio.signing_keys", "is missing"),
        (SOURCE + "signing_keys = []", "sources.customerio.signing_keys", "must not be empty"),
        (SOURCE + "signing_keys = [{ env = 'A' }]\non_bad_signature = 503",
         "sources.customerio.on_bad_signature", '"503" or "401", not 503'),
        (SOURCE + "signing_keys = [{ env = 'A' }]\napp_api_url = 'http://api.customer.io'",
         "sources.customerio.app_api_url", "must be https"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_from_what_it_must_be(
    problems_of: ProblemsOf, text: str, path: str, message: str
) -> None:
    problems = problems_of(text)
    assert list(problems) == [path]
    assert message in problems[path].message


def test_a_misspelt_choice_is_answered_with_the_nearest(problems_of: ProblemsOf) -> None:
    assert problems_of('[log]\nlevel = "warn"')["log.level"].hint == "Did you mean `warning`?"


@pytest.mark.parametrize("name", ["Hook", '"a b"', "-hook", '"hook.eu"', '""', "h" * 64])
def test_names_fit_into_addresses_and_variables(problems_of: ProblemsOf, name: str) -> None:
    text = f'[destinations.{name}]\nkind = "stdout"'
    [problem] = problems_of(text).values()
    assert problem.message == "cannot be a name"


def test_a_secret_in_the_file_is_refused_and_never_repeated(problems_of: ProblemsOf) -> None:
    problems = problems_of(HOOK + 'signing_key = "hunter2"\nbearer_token = 4711')
    assert set(problems) == {"destinations.hook.signing_key", "destinations.hook.bearer_token"}
    for problem in problems.values():
        assert "{ credential = " in problem.hint
        assert "hunter2" not in str(problem)
        assert "4711" not in str(problem)


def test_an_address_that_is_refused_is_not_repeated(problems_of: ProblemsOf) -> None:
    text = '[destinations.hook]\nkind = "http"\nurl = "https://user:hunter2@example.com/"'
    [problem] = problems_of(text).values()
    assert "user or password" in problem.message
    assert "hunter2" not in str(problem)

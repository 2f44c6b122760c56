"""What settings demand of each other."""

from __future__ import annotations

import pytest

from .conftest import LoadText, ProblemsOf

HOOK = '[destinations.hook]\nkind = "http"\nurl = "https://example.com/"\n'
LAKE = """[destinations.lake]
kind = "aep"
mode = "raw"
flow_id = "f"
ims_org_id = "o@AdobeOrg"
"""
INLET = 'inlet_url = "https://dcs.adobedc.net/collection/ab"\n'
XDM = LAKE.replace('"raw"', '"xdm"') + 'tenant = "t"\ndataset_id = "d"\nschema_id = "s"\n'
SOURCE = '[sources.customerio]\nkind = "customerio"\nsigning_keys = [{ env = "KEY" }]\n'


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ('[admin]\nbind = "0.0.0.0:8081"', "admin.token", "from other machines"),
        ('[admin]\nbind = "ops.example.com:8081"', "admin.token", "from other machines"),
        ('[admin]\nbind = "127.0.0.1:8080"', "admin.bind", "same address as `server.bind`"),
        ("[outbox]\ningest_floor_bytes = 100\ndrain_floor_bytes = 100",
         "outbox.drain_floor_bytes", "below `ingest_floor_bytes` (100)"),
        ("[outbox]\nqueue_bytes_max = 8388607", "outbox.queue_bytes_max", "`body_max_bytes`"),
        (SOURCE + "age_limit_seconds = 299", "sources.customerio.age_limit_seconds", "(300)"),
        (HOOK + "backoff_base_seconds = 11\nbackoff_max_seconds = 10",
         "destinations.hook.backoff_base_seconds", "`backoff_max_seconds` (10)"),
        (HOOK + f"include = {['email.*'] * 150}\nexclude = {['email.*'] * 51}",
         "destinations.hook.include", "more than 200"),
        (HOOK + 'headers = { Authorization = "x" }', "destinations.hook.headers", "by streamer"),
        (HOOK + 'headers = { webhook-extra = "x" }', "destinations.hook.headers", "by streamer"),
        (HOOK + 'headers = { "a b" = "x" }', "destinations.hook.headers", "a header's name"),
        (HOOK + 'headers = { X-A = "x\\r\\nX-B: y" }', "destinations.hook.headers", "`X-A`"),
        ('[destinations.a]\nkind = "file"\ndirectory = "a"\nlanes = 2',
         "destinations.a.lanes", "must be 1"),
        (LAKE + 'inlet_url = "https://dcs.adobedc.net/ab"',
         "destinations.lake.inlet_url", "`/collection/`"),
        (LAKE + 'inlet_url = "https://dcs.adobedc.net/collection/ab?syncValidation=true"',
         "destinations.lake.inlet_url", "validation"),
        (LAKE + INLET + 'sandbox = "two words"', "destinations.lake.sandbox", "no blanks"),
        (LAKE.replace('"f"', '""') + INLET, "destinations.lake.flow_id", "not be empty"),
        (LAKE + INLET + 'client_id = "c"', "destinations.lake.client_secret", "go together"),
        (LAKE.replace('"raw"', '"xdm"') + INLET, "destinations.lake.tenant",
         "needs it, and `dataset_id` and `schema_id`"),
        (LAKE + INLET + 'tenant = "_acme"', "destinations.lake.tenant", "an underscore"),
        (LAKE.replace("o@AdobeOrg", "o") + INLET, "destinations.lake.ims_org_id", "@AdobeOrg"),
        (XDM + INLET + "privacy = { drop = ['content', 'delivery_id'] }",
         "destinations.lake.privacy", "`delivery_id`"),
        (HOOK + "signing_key = {}", "destinations.hook.signing_key", "exactly one"),
        (HOOK + 'signing_key = { env = "A", file = "b" }',
         "destinations.hook.signing_key", "exactly one"),
        (HOOK + 'signing_key = { env = "" }', "destinations.hook.signing_key", "not be empty"),
        (HOOK + 'signing_key = { credential = "../key" }',
         "destinations.hook.signing_key.credential", "not a path"),
        (HOOK + 'signing_key = { credential = ".." }',
         "destinations.hook.signing_key.credential", "not a path"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together_are_refused(
    problems_of: ProblemsOf, text: str, path: str, message: str
) -> None:
    problems = problems_of(text)
    assert list(problems) == [path]
    assert message in problems[path].message


@pytest.mark.parametrize(
    "text",
    [
        '[admin]\nbind = "0.0.0.0:8081"\ntoken = { env = "TOKEN" }',
        '[admin]\nbind = "localhost:8081"',
        LAKE + INLET,
        LAKE + INLET + "privacy = { drop = ['delivery_id'] }",
        XDM + INLET + "privacy = { hash = ['delivery_id'] }",
        LAKE + INLET.replace("collection", "collection/batch"),
        '[admin]\nbind = "unix:/run/streamer/admin.sock"',
        '[server]\nbind = "127.0.0.1:0"\n[admin]\nbind = "127.0.0.1:0"',
        "[outbox]\ningest_floor_bytes = 101\ndrain_floor_bytes = 100",
        "[outbox]\nqueue_bytes_max = 8388608",
        SOURCE + "age_limit_seconds = 300",
        HOOK + "backoff_base_seconds = 10\nbackoff_max_seconds = 10",
        HOOK + 'headers = { X-Tenant = "a b" }',
        HOOK + "lanes = 64",
    ],
)
def test_settings_that_just_go_together_are_taken(load_text: LoadText, text: str) -> None:
    load_text(text)


@pytest.mark.parametrize(
    ("directory", "owner"),
    [
        ("a", "destinations.a.directory"),
        ("./b/../a", "destinations.a.directory"),
        ("d", "data_dir"),
    ],
)
def test_two_file_destinations_never_share_a_directory(
    problems_of: ProblemsOf, directory: str, owner: str
) -> None:
    problems = problems_of(
        f"""
        data_dir = "d"
        destinations.a = {{ kind = "file", directory = "a" }}
        destinations.b = {{ kind = "file", directory = "{directory}" }}
        """
    )
    assert list(problems) == ["destinations.b.directory"]
    assert f"`{owner}`" in problems["destinations.b.directory"].message


def test_a_rule_is_silent_while_one_of_its_settings_is_wrong_by_itself(
    problems_of: ProblemsOf,
) -> None:
    text = "[outbox]\ningest_floor_bytes = 0\ndrain_floor_bytes = -1\n"
    assert list(problems_of(text)) == ["outbox.drain_floor_bytes"]


def test_a_rule_speaks_although_another_setting_of_the_table_is_wrong(
    problems_of: ProblemsOf,
) -> None:
    text = '[server]\nbind = "127.0.0.1:8081"\ngraceful_seconds = -1'
    assert list(problems_of(text)) == ["admin.bind", "server.graceful_seconds"]

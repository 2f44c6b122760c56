"""Which changes of a configuration a running service can take over."""

from __future__ import annotations

import pytest

from streamer.config.changes import needs_restart
from streamer.config.model import Config
from streamer.config.settings import named_of, settings_of, variants_of

from .conftest import LoadText

BEFORE = """
data_dir = "/var/lib/streamer"
[sources.customerio]
kind = "customerio"
signing_keys = [{ credential = "key" }, { file = "/key" }]
[destinations.hook]
kind = "http"
url = "https://example.com/"
signing_key = { env = "HOOK" }
"""


def test_nothing_changed_needs_nothing(load_text: LoadText) -> None:
    assert needs_restart(load_text(BEFORE).config, load_text(BEFORE).config) == []


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ("/var/lib/streamer", "/srv/streamer", ["data_dir"]),
        ("[sources", '[server]\nbind = "127.0.0.1:9"\n[sources', ["server.bind"]),
        ("[sources", '[admin]\nbind = "127.0.0.1:9"\n[sources', ["admin.bind"]),
        ("[sources", '[admin]\ntoken = { file = "/t" }\n[sources', ["admin.token"]),
        ("[sources", '[log]\nformat = "json"\nlevel = "debug"\n[sources', ["log.format"]),
        ("[sources", "[outbox]\nallow_unsafe_sqlite = true\nretention_days = 30\n[sources",
         ["outbox.allow_unsafe_sqlite"]),
        ('{ file = "/key" }', '{ env = "KEY" }', ["sources.customerio.signing_keys[1]"]),
        ('{ file = "/key" }', '{ credential = "b" }', ["sources.customerio.signing_keys[1]"]),
        ('env = "HOOK"', 'env = "OTHER"', ["destinations.hook.signing_key"]),
        ("[sources", '[destinations.new]\nkind = "http"\nurl = "https://example.com/"\n'
         'bearer_token = { credential = "new" }\n[sources', ["destinations.new.bearer_token"]),
    ],
)  # fmt: skip
def test_what_a_running_service_cannot_change_is_listed(
    load_text: LoadText, old: str, new: str, paths: list[str]
) -> None:
    before, after = load_text(BEFORE), load_text(BEFORE.replace(old, new, 1))
    assert needs_restart(before.config, after.config) == paths


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('[{ credential = "key" }, { file = "/key" }]', '[{ file = "/key" }]'),
        ('{ credential = "key" }, { file = "/key" }', '{ file = "/c" }, { credential = "key" }'),
        ('{ env = "HOOK" }', '{ file = "/hook" }'),
        ('signing_key = { env = "HOOK" }', ""),
        ('url = "https://example.com/"', 'url = "https://example.org/"\nlanes = 4'),
        ("[sources", "[outbox]\nretention_days = 30\n[sources"),
        ("[sources", '[destinations.new]\nkind = "stdout"\n[sources'),
        ("[destinations.hook]", '[destinations.other]'),
    ],
)  # fmt: skip
def test_what_a_running_service_can_change_is_not_listed(
    load_text: LoadText, old: str, new: str
) -> None:
    text = BEFORE.replace(old, new, 1)
    assert text != BEFORE
    assert needs_restart(load_text(BEFORE).config, load_text(text).config) == []


def test_another_kind_under_the_same_name_is_taken_over(load_text: LoadText) -> None:
    screen = BEFORE[: BEFORE.index("[destinations")] + '[destinations.hook]\nkind = "stdout"'
    assert needs_restart(load_text(BEFORE).config, load_text(screen).config) == []


def test_every_setting_of_a_source_or_destination_can_change_while_running() -> None:
    kinds = [named_of(item.type) for item in settings_of(Config) if named_of(item.type)]
    tables = [table for kind in kinds for table in variants_of(kind).values()]
    assert len(tables) >= 4
    assert not [item.name for table in tables for item in settings_of(table) if item.restart]

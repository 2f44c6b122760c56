"""The file that `streamer init` writes is right as it stands, and with every example in it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from streamer.config.model import Config
from streamer.config.settings import as_table, named_of, settings_of, variants_of
from streamer.config.template import render

from .conftest import LoadText

DATA_DIR = Path("/var/lib/streamer")
_COMMENTED_SETTING = re.compile(r"^#(?=[a-z\[])", re.MULTILINE)

EXAMPLES = {
    ("admin", "token"),
    ("sources.customerio", "age_limit_seconds"),
    ("sources.customerio", "app_api_key"),
    *(
        ("destinations.hook", key)
        for key in (
            "signing_key", "bearer_token", "headers", "ca_file", "include", "exclude", "privacy",
        )
    ),
    *(
        ("destinations.lake", key)
        for key in (
            "tenant", "dataset_id", "schema_id", "client_id", "client_secret", "mapping",
            "identities", "topics", "dismiss_actions",
        )
    ),
}  # fmt: skip
"""Settings that the file shows with a value other than the default, because that says more."""


def uncommented() -> str:
    return _COMMENTED_SETTING.sub("", render(DATA_DIR))


def test_it_loads_as_it_is_written(load_text: LoadText) -> None:
    loaded = load_text(render(DATA_DIR))
    assert loaded.warnings == []
    assert loaded.config.data_dir == str(DATA_DIR)
    assert list(loaded.config.destinations) == ["archive"]
    assert (
        loaded.config.sources["customerio"].signing_keys[0].file == "/var/lib/streamer/signing-key"
    )


def test_it_loads_with_every_example_switched_on(load_text: LoadText) -> None:
    loaded = load_text(uncommented())
    assert loaded.warnings == []
    assert list(loaded.config.destinations) == ["archive", "hook", "lake", "screen"]


@pytest.mark.parametrize("name", ['with "quotes"', "with \\ backslash", "ümlaut", "with\x7fdelete"])
def test_any_data_directory_can_be_written(load_text: LoadText, name: str) -> None:
    assert load_text(render(DATA_DIR / name)).config.data_dir == str(DATA_DIR / name)


def test_every_setting_and_every_kind_stands_in_it() -> None:
    document = tomllib.loads(uncommented())
    for item in settings_of(Config):
        table, named = as_table(item.type), named_of(item.type)
        if table is not None:
            assert set(document[item.name]) == {key.name for key in settings_of(table)}
        elif named is not None:
            assert {one["kind"] for one in document[item.name].values()} == set(variants_of(named))
            for kind, options in variants_of(named).items():
                shown = {key for one in document[item.name].values() for key in one}
                missing = {key.name for key in settings_of(options)} - shown
                assert not missing, kind


def test_what_it_shows_as_a_default_is_the_default() -> None:
    document = tomllib.loads(uncommented())
    compared = 0
    for name, table, values in _tables(document):
        defaults = {key.name: key.default for key in settings_of(table) if not key.required}
        for key, value in values.items():
            if key in defaults and (name, key) not in EXAMPLES:
                assert value == msgspec.to_builtins(defaults[key]), (name, key)
                compared += 1
    assert compared > 30


def _tables(
    document: dict[str, dict[str, dict[str, object]]],
) -> list[tuple[str, type[msgspec.Struct], dict[str, object]]]:
    found: list[tuple[str, type[msgspec.Struct], dict[str, object]]] = []
    for item in settings_of(Config):
        table, named = as_table(item.type), named_of(item.type)
        if table is not None:
            found.append((item.name, table, dict(document[item.name])))
        elif named is not None:
            kinds = variants_of(named)
            found += [
                (f"{item.name}.{name}", kinds[str(values["kind"])], values)
                for name, values in document[item.name].items()
            ]
    return found

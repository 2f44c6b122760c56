"""Every kind of settings becomes a destination of its kind, and no library is imported early."""

from __future__ import annotations

import subprocess
import sys
import typing
from pathlib import Path

import msgspec
import pytest

from streamer.core.errors import ConfigurationError
from streamer.destinations.common_options import CommonOptions, Secret
from streamer.destinations.options import (
    DestinationOptions,
    FileOptions,
    HttpOptions,
    StdoutOptions,
)
from streamer.destinations.registry import build, kind_of
from tests.destinations.aep_cases import aep_options
from tests.destinations.examples import Alarms, StandingClock

SETTINGS: list[CommonOptions] = [
    FileOptions(directory="/nowhere"),
    StdoutOptions(),
    HttpOptions(url="https://example.com/"),
    aep_options(),
]


def refuse(secret: Secret) -> str:
    raise ConfigurationError("the secret is not there")


@pytest.mark.parametrize("options", SETTINGS, ids=kind_of)
def test_settings_become_a_destination_of_their_kind(options: CommonOptions) -> None:
    destination = build("name", options, clock=StandingClock(), secret=refuse, raise_alarm=Alarms())
    assert destination.name == "name"
    assert destination.kind == kind_of(options)


def test_no_kind_that_can_be_configured_is_forgotten() -> None:
    kinds = {each.__struct_config__.tag for each in typing.get_args(DestinationOptions)}
    assert kinds == {kind_of(options) for options in SETTINGS}


@pytest.mark.parametrize(
    ("options", "place"),
    list(
        zip(
            SETTINGS, ["/nowhere", "standard output", "example.com", "dcs.adobedc.net"], strict=True
        )
    ),
)
def test_each_kind_says_where_events_go(options: CommonOptions, place: str) -> None:
    assert options.place == place


def test_a_url_is_not_shown_whole_because_it_may_hold_a_secret() -> None:
    assert (
        HttpOptions(url="https://u:canary@example.com:1/canary?key=canary").place == "example.com"
    )


@pytest.mark.parametrize("lanes", [1, 7])
def test_a_replay_may_be_under_way_beside_every_lane(lanes: int) -> None:
    assert HttpOptions(url="https://example.com/", lanes=lanes).sends_max == lanes + 1


@pytest.mark.parametrize("field", ["signing_key", "bearer_token"])
def test_secrets_are_read_where_the_settings_say_and_only_then(field: str) -> None:
    secret = Secret(env="KEY")
    plain = HttpOptions(url="https://example.com/")
    options = msgspec.structs.replace(plain, **{field: secret})
    asked: list[Secret] = []

    def read(where: Secret) -> str:
        asked.append(where)
        return "value"

    build("hook", options, clock=StandingClock(), secret=read, raise_alarm=Alarms())
    assert asked == [secret]
    with pytest.raises(ConfigurationError):
        build("hook", options, clock=StandingClock(), secret=refuse, raise_alarm=Alarms())


def test_listing_the_kinds_imports_no_http_client() -> None:
    code = "import sys, streamer.destinations.registry as r; print('aiohttp' in sys.modules)"
    root = Path(__file__).parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "False\n"

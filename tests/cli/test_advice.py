"""Every alarm says in one line what to do, with commands that there are."""

from __future__ import annotations

import re
import shlex

import pytest

from streamer.cli.advice import advice_for
from streamer.cli.commands import app
from streamer.core.alarms import ALARMS


@pytest.mark.parametrize("code", ALARMS)
def test_every_alarm_has_a_line_of_its_own(code: str) -> None:
    advice = advice_for(code, "hook")
    assert advice != advice_for("STR-999", "hook")
    assert "{" not in advice
    for command in re.findall(r"`streamer ([^`]+)`", advice):
        missing = " --all" if command.startswith("replay start") else ""
        app.parse_args(shlex.split(command + missing), exit_on_error=False, print_error=False)

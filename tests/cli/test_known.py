"""Which source signs is asked for unless there is only one."""

from __future__ import annotations

import pytest

from streamer.cli.known import choose_source
from streamer.core.errors import UsageError
from tests.cli.desk import CONFIG, Desk

SECOND = """
[sources.second]
kind = "customerio"
signing_keys = [{ env = "SECOND" }]
"""


def test_the_only_source_need_not_be_named(desk: Desk) -> None:
    (only,) = desk.config.sources
    assert choose_source(desk.config, None) == choose_source(desk.config, only) == only


def test_of_several_sources_one_has_to_be_named(desk: Desk) -> None:
    desk.config_file.write_text(CONFIG + SECOND, encoding="utf-8")
    with pytest.raises(UsageError, match="not clear whose key") as unclear:
        choose_source(desk.config, None)
    assert ", ".join(desk.config.sources) in unclear.value.hint
    assert choose_source(desk.config, "second") == "second"
    with pytest.raises(UsageError, match="no source 'secnod'") as misspelt:
        choose_source(desk.config, "secnod")
    assert "second" in misspelt.value.hint

"""Loading a configuration from a text, away from the machine's own files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest

from streamer.config.load import Loaded, load
from streamer.config.problems import ConfigurationErrors, Problem


class LoadText(Protocol):
    def __call__(self, text: str = "", environ: Mapping[str, str] | None = None) -> Loaded: ...


class ProblemsOf(Protocol):
    def __call__(
        self, text: str = "", environ: Mapping[str, str] | None = None
    ) -> dict[str, Problem]: ...


@pytest.fixture
def load_text(tmp_path: Path) -> LoadText:
    """Load a text as the file ``streamer.toml`` in the test's directory."""

    def load_it(text: str = "", environ: Mapping[str, str] | None = None) -> Loaded:
        file = tmp_path / "streamer.toml"
        file.write_text(text)
        return load(file, environ=environ or {}, working_directory=tmp_path)

    return load_it


@pytest.fixture
def problems_of(load_text: LoadText) -> ProblemsOf:
    """Load a text that is wrong and return its problems by key path."""

    def problems(text: str = "", environ: Mapping[str, str] | None = None) -> dict[str, Problem]:
        with pytest.raises(ConfigurationErrors) as caught:
            load_text(text, environ)
        found = {problem.path: problem for problem in caught.value.problems}
        assert len(found) == len(caught.value.problems), "one path was complained of twice"
        return found

    return problems

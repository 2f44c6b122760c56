"""An operator's desk with a stand-in for Adobe beside it, in a thread of its own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from streamer.cli.aep_session import SECRET_VARIABLE
from streamer.destinations.aep_options import AepOptions
from tests.cli.desk import Answer, Desk
from tests.stand_ins.aep import Adobe, aep_stand_in
from tests.stand_ins.aep.rules import Clock
from tests.support.adobe import ADOBE


class AepDesk(Desk):
    """A desk whose Adobe answers."""

    def __init__(self, directory: Path, capture: pytest.CaptureFixture[str], adobe: Adobe) -> None:
        super().__init__(directory, capture)
        self.adobe = adobe

    @property
    def access(self) -> list[str]:
        """The options that say where Adobe is and who we are there."""
        adobe = self.adobe
        return [
            "--org", adobe.org_id, "--client-id", adobe.client_id,
            "--ims-url", adobe.ims_url, "--platform-url", adobe.platform_url,
        ]  # fmt: skip

    def set_up(self, *more: str) -> Answer:
        """Set up without waiting; must succeed."""
        answer = self.run("aep", "setup", "--no-wait", *self.access, *more)
        assert answer.code == 0, answer.err
        return answer

    def options(self, name: str = "lake") -> AepOptions:
        """Return a destination's settings as the service would read them."""
        options = self.config.destinations[name]
        assert isinstance(options, AepOptions)
        return options

    def table(self, name: str = "lake") -> dict[str, Any]:
        """Return a destination's table as it is written."""
        tables: dict[str, Any] = tomllib.loads(self.config_file.read_text("utf-8"))["destinations"]
        table: dict[str, Any] = tables[name]
        return table

    def writes(self) -> list[str]:
        """List the calls that were to change something."""
        return [
            request.path
            for request in self.adobe.requests
            if request.method != "GET" and "/ims/" not in request.path
        ]


@contextmanager
def adobe_beside(clock: Clock | None = None) -> Iterator[Adobe]:
    """Run a stand-in in a thread: commands block theirs."""
    directory = ADOBE if ADOBE.is_dir() else None
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(aep_stand_in(clock=clock, directory=directory)) as adobe,
    ):
        yield adobe


@pytest.fixture
def aep_desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[AepDesk]:
    """A desk and an empty Adobe; the client's secret is in the environment."""
    with adobe_beside() as adobe:
        monkeypatch.setenv(SECRET_VARIABLE, adobe.client_secret)
        yield AepDesk(tmp_path, capsys, adobe)

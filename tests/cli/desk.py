"""An operator's desk: a configuration, a database file, and commands run in this process.

Commands run through the real command line parser and end as the program does:
with an exit code, what they wrote, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from streamer.app.prepare import declare
from streamer.cli.commands import app, report
from streamer.cli.common import load_config
from streamer.config.model import Config
from streamer.core.errors import StreamerError
from streamer.store import migrate, sqlite
from streamer.store.sqlite import Connection
from tests.store.build import NOW
from tests.support.service import CONFIG as LEAST

CONFIG = f"""{LEAST}
[destinations.hook]
kind = "http"
url = "https://example.com/events"
exclude = ["email.opened"]
"""


class Answer(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the command printed
        """Standard output as one JSON value."""
        return json.loads(self.out)


class Desk:
    """Everything that an operator has."""

    def __init__(self, directory: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.config_file = directory / "streamer.toml"
        self.config_file.write_text(CONFIG, encoding="utf-8")
        self.data_dir = directory / "data"
        self.data_dir.mkdir(mode=0o700)
        self.path = self.data_dir / "streamer.db"
        self._capture = capture

    @property
    def config(self) -> Config:
        """The configuration, read anew."""
        return load_config(self.config_file).config

    def make_database(self) -> None:
        """Make the database as the service does when it starts."""
        with self.database() as db:
            migrate.migrate(db, self.path, now=NOW)
            db.execute("BEGIN")
            declare(db, self.config, now=NOW)
            db.execute("COMMIT")

    @contextmanager
    def database(self) -> Iterator[Connection]:
        """Open the database as the service does."""
        db = sqlite.open_writer(self.path)
        try:
            yield db
        finally:
            db.close()

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with self.database() as db:
            return list(db.execute(statement, values))

    def acts(self) -> list[tuple[str, str]]:
        """Return the book of what operators did."""
        return self.query("SELECT act, detail FROM operator_acts ORDER BY id")

    def run(self, *arguments: str) -> Answer:
        """Run one command."""
        self._capture.readouterr()
        code = 0
        try:
            app([*arguments, "--config", str(self.config_file)], result_action="return_value")
        except StreamerError as error:
            code = report(error)
        except SystemExit as stop:
            code = int(stop.code or 0)
        written = self._capture.readouterr()
        return Answer(code, written.out, written.err)

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever the command printed
        """Run a command that must succeed with JSON and nothing on standard error."""
        answer = self.run(*arguments, "--json")
        assert (answer.code, answer.err) == (0, "")
        return answer.json

"""What a start does before anything listens: whatever it finds, it goes on if it safely can."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamer.app.prepare import make_data_directory, prepare_database
from streamer.config.model import Config
from streamer.core.errors import ConfigurationError
from streamer.destinations.options import StdoutOptions
from streamer.store import cursors, sqlite
from tests.store.build import NOW, append, event, only_cursor


def test_a_start_goes_on_when_what_was_settled_ahead_is_unreadable(tmp_path: Path) -> None:
    config = Config(data_dir=str(tmp_path), destinations={"out": StdoutOptions()})
    assert prepare_database(config, now=NOW) == ([], [])
    with closing(sqlite.open_writer(config.database_path)) as db:
        append(db, event(1), event(2), event(3))
        db.execute("UPDATE cursors SET position = 1, ahead = '{}'")
    with capture_logs() as said:
        prepared = prepare_database(config, now=NOW)
    assert prepared == ([("STR-308", "out")], [("STR-308", "out")])
    assert [(line["code"], line["destination"]) for line in said] == [("STR-308", "out")]
    with closing(sqlite.open_reader(config.database_path)) as db:
        assert only_cursor(db, "out").progress.position == 1
        assert cursors.find_unreadable(db) == {}


@pytest.mark.parametrize("name", ["file", "file/data", "file/data/further"])
def test_a_file_in_the_place_of_the_data_directory_is_named(tmp_path: Path, name: str) -> None:
    file = tmp_path / "file"
    file.write_text("something else")
    with pytest.raises(ConfigurationError, match=f"{file} is a file") as refused:
        make_data_directory(tmp_path / name)
    assert "set data_dir to another place" in refused.value.hint
    assert file.read_text() == "something else"

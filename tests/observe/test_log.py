"""Logging: a form for machines, a form for people, and never what an exception quotes."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from streamer.observe import log

SECRET = "somebody@example.com"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as the other tests found it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _set_up(*, form: str = "json", level: str = "info", under_journal: bool = False) -> io.StringIO:
    stream = io.StringIO()
    log.set_up(level=level, form=form, under_journal=under_journal, stream=stream)
    return stream


def test_a_line_is_one_json_object() -> None:
    stream = _set_up()
    structlog.get_logger("streamer.test").info("thing.happened", count=3, name='a"b\nc')
    line = json.loads(stream.getvalue())
    assert line["event"] == "thing.happened"
    assert (line["count"], line["name"], line["level"]) == (3, 'a"b\nc', "info")
    assert stream.getvalue().count("\n") == 1


def test_the_journal_gets_a_priority_before_each_line() -> None:
    stream = _set_up(under_journal=True)
    structlog.get_logger("streamer.test").error("thing.failed")
    assert stream.getvalue().startswith("<3>{")


def test_each_line_says_which_of_several_processes_wrote_it() -> None:
    stream = io.StringIO()
    log.set_up(level="info", form="json", under_journal=False, stream=stream, process=3)
    structlog.get_logger("streamer.test").info("ours")
    logging.getLogger("foreign").warning("theirs")
    assert [json.loads(line)["process"] for line in stream.getvalue().splitlines()] == [3, 3]


def test_a_level_holds_back_what_is_less_severe_and_can_be_changed() -> None:
    stream = _set_up(level="warning")
    logger = structlog.get_logger("streamer.test")
    logger.info("quiet")
    log.set_level("info")
    logger.info("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_an_exception_of_a_library_is_logged_without_what_it_quotes() -> None:
    stream = _set_up()
    try:
        int(SECRET)
    except ValueError:
        logging.getLogger("hypercorn.error").exception("Error in ASGI Framework")
    line = json.loads(stream.getvalue())
    assert SECRET not in stream.getvalue()
    assert "ValueError at test_log.py" in line["raised"]


def test_where_tells_the_places_and_not_the_message() -> None:
    def inner() -> None:
        raise KeyError(SECRET)

    with pytest.raises(KeyError) as caught:
        inner()
    said = log.where(caught.value)
    assert said.startswith("KeyError at test_log.py:")
    assert "inner" in said
    assert SECRET not in said


def test_where_looks_into_the_groups_that_an_exception_was_wrapped_in() -> None:
    error = KeyError(SECRET)
    try:
        raise error
    except KeyError as caught:
        wrapped = ExceptionGroup("tasks", [ExceptionGroup("tasks", [caught]), ValueError()])
    assert log.culprit(wrapped) is error
    assert log.where(wrapped).startswith("KeyError at test_log.py:")


def test_the_most_severe_level_has_a_priority_of_its_own() -> None:
    stream = _set_up(under_journal=True)
    structlog.get_logger("streamer.test").critical("thing.over")
    assert stream.getvalue().startswith("<2>{")


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("wish", ["", "1"])
def test_a_terminal_gets_colours_unless_somebody_wants_none(
    monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    monkeypatch.setenv("NO_COLOR", wish)
    stream = Terminal()
    log.set_up(level="info", form="auto", under_journal=False, stream=stream)
    structlog.get_logger("streamer.test").info("thing.happened")
    assert ("\x1b[" in stream.getvalue()) is (not wish)


def test_a_line_that_cannot_be_written_is_lost_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("no space left")

    log.set_up(level="info", form="json", under_journal=False, stream=Full())
    structlog.get_logger("streamer.test").info("thing.happened")
    assert capfd.readouterr().err == ""


def test_people_get_lines_without_braces() -> None:
    stream = _set_up(form="console")
    structlog.get_logger("streamer.test").info("thing.happened", count=3)
    assert "thing.happened" in stream.getvalue()
    assert "{" not in stream.getvalue()

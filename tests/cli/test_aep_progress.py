"""What is shown while Adobe is waited for, on a terminal and elsewhere."""

from __future__ import annotations

import pytest

from streamer.cli.aep_progress import waiting

WHY = "a new dataflow takes data about five minutes after it was made"


def test_without_a_terminal_there_is_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting() as tell:
        for left in range(300, 0, -1):
            tell(float(left), WHY)
        tell(600.0, "the inlet does not take calls yet")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"note: waiting, at most 5 min more: {WHY}"
    assert [line.partition(" more")[0] for line in lines[1:5]] == [
        f"note: waiting, at most {minutes} min" for minutes in (4, 3, 2, 1)
    ]
    assert lines[5:] == ["note: waiting, at most 10 min more: the inlet does not take calls yet"]


def test_on_a_terminal_there_is_the_reason_and_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with waiting() as tell:
        tell(300.0, WHY)
        tell(299.0, WHY)
        tell(600.0, "it answered [bold]404\x1b[2J")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count(WHY) == 1
    assert "it answered [bold]404\\x1b[2J" in shown.err

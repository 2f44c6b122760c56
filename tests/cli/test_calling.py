"""What somebody is told to type is what calls this program from where they are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streamer.cli.calling import called_as


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (".venv/bin/streamer", ".venv/bin/streamer"),
        ("{here}/.venv/bin/streamer", ".venv/bin/streamer"),
        ("{here}/streamer", "./streamer"),
        ("{elsewhere}/streamer", "{elsewhere}/streamer"),
        ("{path}/streamer", "streamer"),
        ("{path}/other", "{path}/other"),
    ],
)
def test_the_program_is_called_as_it_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, expected: str
) -> None:
    places = {name: tmp_path / name for name in ("here", "elsewhere", "path")}
    for place in places.values():
        place.mkdir()
    found = places["path"] / "streamer"
    found.write_text("#!/bin/sh\n")
    found.chmod(0o755)
    monkeypatch.chdir(places["here"])
    monkeypatch.setenv("PATH", str(places["path"]))
    monkeypatch.setattr(sys, "argv", [argument.format(**places)])
    assert called_as() == expected.format(**places)


def test_a_module_is_called_with_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/streamer/__main__.py", "serve"])
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert called_as() == f"{Path(sys.executable).name} -m streamer"

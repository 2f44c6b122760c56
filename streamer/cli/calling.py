"""How the program was called, for text that tells somebody what to type next."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def called_as() -> str:
    """Return what to type to call this same program again from this directory.

    ``streamer`` where the shell finds it under that name, otherwise the path
    that leads to it, such as ``.venv/bin/streamer``.
    """
    script = Path(sys.argv[0])
    if script.name == "__main__.py":
        return f"{_typed(Path(sys.executable))} -m streamer"
    return _typed(script)


def _typed(program: Path) -> str:
    """Write a program as a shell takes it; nothing is resolved, since a link may mean more."""
    path = program.absolute()
    found = shutil.which(path.name)
    if found is not None and Path(found).absolute() == path:
        return path.name
    here = Path.cwd()
    if not path.is_relative_to(here):
        return shlex.quote(str(path))
    near = str(path.relative_to(here))
    return shlex.quote(near if "/" in near else f"./{near}")

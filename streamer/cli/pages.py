"""Where the documentation lies on this machine, for whoever is told to read a page of it."""

from __future__ import annotations

import sys
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2] / "docs"
_INSTALLED = Path("share/doc/streamer")
_PLACES = (_CHECKOUT, Path("/opt/streamer") / _INSTALLED, Path(sys.prefix) / _INSTALLED)


def page(name: str, *, places: tuple[Path, ...] = _PLACES) -> str:
    """Return the path of a page such as ``operating.md``; without any copy, its name in a release.

    The pages of the checkout that runs come first, then those of the installed release.
    """
    for place in places:
        if (place / name).is_file():
            return str(place / name)
    return f"docs/{name}"

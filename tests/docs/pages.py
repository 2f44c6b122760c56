"""The pages of the documentation, cut into what tests look at: blocks, links, headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]

_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TABLE = re.compile(r"^\|.+\|\n\|[ -|]+\|\n((?:\|.+\|\n)+)", re.MULTILINE)
_ANCHOR = re.compile(r'<a id="([^"]+)">')


def name(page: Path) -> str:
    """Name a page as people do, by its path in the tree."""
    return page.relative_to(ROOT).as_posix()


def text(page: Path) -> str:
    """Read a page."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks in one language."""
    return [body for found, body in _BLOCK.findall(text(page)) if found == language]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _BLOCK.sub("", text(page))


def code(page: Path) -> list[str]:
    """Return what stands in code quotes outside blocks; a quote may span a line break."""
    return [" ".join(quoted.split()) for quoted in _CODE.findall(prose(page))]


def links(page: Path) -> list[str]:
    """Return where the links of a page go."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """Return the places of a page that a link can name."""
    headings = {_slug(heading) for heading in _HEADING.findall(prose(page))}
    return headings | set(_ANCHOR.findall(text(page)))


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading of the second level."""
    _, found, rest = text(page).partition(f"\n## {heading}\n")
    assert found, heading
    rows = _TABLE.search(rest.split("\n## ")[0])
    assert rows, heading
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[1].splitlines()]


def commands(page: Path) -> Iterator[str]:
    """Find every call of our command line, in blocks and in the text."""
    lines = [line for language in ("sh", "console") for block in blocks(page, language)
             for line in re.sub(r"\\\n *", "", block).splitlines()]  # fmt: skip
    for line in [*lines, *code(page)]:
        call = re.match(
            r"(?:\$ )?(?:\w+=\S+ )*(?:sudo -u streamer )?(?:[\w./]*/)?streamer (?=[a-z-])(.+)", line
        )
        if call is None:
            continue
        arguments = re.split(r"\s+[#|>]|\s*…", call[1])[0].strip()
        if arguments:
            yield arguments


def _slug(heading: str) -> str:
    """Make a heading's anchor by the rule that code hosts use."""
    bare = re.sub(r"[^\w\- ]", "", heading.lower())
    return bare.strip().replace(" ", "-")

"""Bar charts as SVG: the same numbers give the same bytes, to be read by day and by night.

What a plotting library would bring for this is fonts, pixels and a stamp of the time. Bars need
none of it: text stays text, and colours are chosen by the reader's own preference. A chart has a
background of its own, since nobody knows what page it is shown on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH = 760
MARGIN = 24
LABEL_WIDTH = 250
VALUE_WIDTH = 96
BAR_HEIGHT = 18
BAR_STEP = 26
GROUP_STEP = 34
TITLE_HEIGHT = 66
BARS_WIDTH = WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH

STYLE = """
.paper { fill: #ffffff; stroke: #d0d7de; }
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.quiet { fill: #59636e; }
.group { font-weight: 600; }
.bar { fill: #afb8c1; }
.ours { fill: #0969da; }
.bound { stroke: #cf222e; stroke-width: 2; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #0d1117; stroke: #30363d; }
  text { fill: #e6edf3; }
  .quiet { fill: #9198a1; }
  .bar { fill: #57606a; }
  .ours { fill: #4493f8; }
  .bound { stroke: #ff7b72; }
}
"""


class Bar(NamedTuple):
    """One value."""

    label: str
    value: float
    told: str
    """The value as people read it, with its unit."""
    ours: bool = False
    """Whether it is drawn in the colour that stands out."""


class Group(NamedTuple):
    """Values that are compared with each other, drawn to one scale."""

    title: str
    bars: Sequence[Bar]
    bound: float | None = None
    """What is to be reached, drawn as a line."""


class Chart(NamedTuple):
    """A picture."""

    title: str
    subtitle: str
    groups: Sequence[Group]


def draw(chart: Chart) -> str:
    """Return the whole file."""
    height = TITLE_HEIGHT + sum(map(_height, chart.groups)) + MARGIN // 2
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(chart.title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        _text(MARGIN, 32, chart.title, "title"),
        _text(MARGIN, 52, chart.subtitle, "quiet"),
    ]
    top = TITLE_HEIGHT
    for group in chart.groups:
        lines += _group(group, top)
        top += _height(group)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _height(group: Group) -> int:
    return (GROUP_STEP if group.title else 8) + BAR_STEP * len(group.bars)


def _group(group: Group, top: int) -> Iterator[str]:
    if group.title:
        yield _text(MARGIN, top + 24, group.title, "group")
    first = top + _height(group) - BAR_STEP * len(group.bars)
    largest = max([*(bar.value for bar in group.bars), group.bound or 0, 1e-9])
    for number, bar in enumerate(group.bars):
        yield from _bar(bar, first + BAR_STEP * number, largest)
    if group.bound is not None:
        at = _number(MARGIN + LABEL_WIDTH + BARS_WIDTH * group.bound / largest)
        bottom = first + BAR_STEP * len(group.bars) - 4
        yield f'<line class="bound" x1="{at}" y1="{first}" x2="{at}" y2="{bottom}"/>'


def _bar(bar: Bar, top: int, largest: float) -> Iterator[str]:
    left, base = MARGIN + LABEL_WIDTH, top + 15
    width = max(1.0, BARS_WIDTH * bar.value / largest)
    kind = "bar ours" if bar.ours else "bar"
    yield _text(left - 10, base, bar.label, end=True)
    yield (
        f'<rect class="{kind}" x="{left}" y="{top + 1}" width="{_number(width)}"'
        f' height="{BAR_HEIGHT}" rx="2"/>'
    )
    yield _text(left + width + 8, base, bar.told, "quiet")


def _text(x: float, y: float, told: str, kind: str = "", *, end: bool = False) -> str:
    attributes = f' class="{kind}"' if kind else ""
    attributes += ' text-anchor="end"' if end else ""
    return f'<text x="{_number(x)}" y="{_number(y)}"{attributes}>{escape(told)}</text>'


def _number(value: float) -> str:
    """Write a coordinate: a tenth of a pixel is seen by nobody."""
    return f"{value:.1f}".removesuffix(".0")

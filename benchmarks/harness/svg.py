"""Charts as SVG: the same numbers give the same bytes, to be read by day and by night.

What a plotting library would bring for this is fonts, pixels and a stamp of the time. Bars and
lines need none of it: text stays text, and colours are chosen by the reader's own preference. A
chart has a background of its own, since nobody knows what page it is shown on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape

MARGIN = 24
CHARACTER_WIDTH = 6.9
"""Of the text, about; a label that is wider than this makes of it grows to the left."""
TITLE_SCALE = 1.4
"""How much wider the characters of the title are."""
LABEL_WIDTH_MIN = 150
BARS_WIDTH = 360
VALUE_WIDTH = 110
BAR_HEIGHT = 18
BAR_STEP = 26
GROUP_STEP = 34
TITLE_HEIGHT = 66
CURVES_WIDTH = 560
CURVES_HEIGHT = 220
LEGEND_STEP = 22

Kind = Literal["ours", "other", "third", "faint"]
"""What stands out, what it is compared with, what else, and what is no fair comparison."""

STYLE = """
.paper { fill: #ffffff; stroke: #d0d7de; }
text { font-family: system-ui, -apple-system, "Segoe UI", sans-serif; font-size: 13px; }
text { fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.group { font-weight: 600; }
.quiet { fill: #59636e; }
.ours { fill: #0969da; stroke: #0969da; }
.other { fill: #8c959f; stroke: #8c959f; }
.third { fill: #bc4c00; stroke: #bc4c00; }
.faint { fill: #d8dee4; stroke: #8c959f; }
.gap { stroke: #ffffff; stroke-width: 3; }
.bar { stroke-width: 1; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.curve.faint { stroke-dasharray: 6 4; }
.axis { stroke: #d0d7de; }
.bound { stroke: #cf222e; stroke-width: 2; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #0d1117; stroke: #30363d; }
  text { fill: #e6edf3; }
  .quiet { fill: #9198a1; }
  .ours { fill: #4493f8; stroke: #4493f8; }
  .other { fill: #6e7681; stroke: #6e7681; }
  .third { fill: #db6d28; stroke: #db6d28; }
  .faint { fill: #21262d; stroke: #6e7681; }
  .gap { stroke: #0d1117; }
  .curve { fill: none; }
  .axis { stroke: #30363d; }
  .bound { stroke: #ff7b72; }
}
"""


class Bar(NamedTuple):
    """One value."""

    label: str
    value: float
    told: str
    """The value as people read it, with its unit."""
    kind: Kind = "other"


class Group(NamedTuple):
    """Values that are compared with each other, drawn to one scale."""

    title: str
    bars: Sequence[Bar]
    bound: float | None = None
    """What is to be reached, drawn as a line."""
    limit: float | None = None
    """A bar that is longer than this is cut, and has a gap to say so."""


class Bars(NamedTuple):
    """A picture of groups of bars."""

    title: str
    subtitle: str
    groups: Sequence[Group]


class Curve(NamedTuple):
    """Values at equal distances, all drawn to one scale."""

    label: str
    values: Sequence[float]
    kind: Kind = "other"


class Curves(NamedTuple):
    """A picture of curves over one axis."""

    title: str
    subtitle: str
    ticks: Sequence[str]
    """What stands below the axis, at equal distances from its beginning to its end."""
    curves: Sequence[Curve]


Chart = Bars | Curves


def draw(chart: Chart) -> str:
    """Return the whole file."""
    if isinstance(chart, Bars):
        label_width = _label_width(chart)
        width = MARGIN + label_width + BARS_WIDTH + VALUE_WIDTH
        height = TITLE_HEIGHT + sum(map(_height, chart.groups)) + MARGIN // 2
        lines = list(_bars(chart, label_width))
    else:
        width = CURVES_WIDTH + 4 * MARGIN
        height = TITLE_HEIGHT + CURVES_HEIGHT + 2 * MARGIN + LEGEND_STEP * len(chart.curves)
        lines = list(_curves(chart))
    words = max(len(chart.subtitle), len(chart.title) * TITLE_SCALE)
    width = max(width, round(2 * MARGIN + CHARACTER_WIDTH * words))
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" role="img">',
        f"<title>{escape(chart.title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6"/>',
        _text(MARGIN, 32, chart.title, "title"),
        _text(MARGIN, 52, chart.subtitle, "quiet"),
    ]
    return "\n".join([*head, *lines, "</svg>"]) + "\n"


def _label_width(chart: Bars) -> int:
    longest = max((len(bar.label) for group in chart.groups for bar in group.bars), default=0)
    return max(LABEL_WIDTH_MIN, round(longest * CHARACTER_WIDTH) + MARGIN)


def _height(group: Group) -> int:
    return (GROUP_STEP if group.title else 8) + BAR_STEP * len(group.bars)


def _bars(chart: Bars, label_width: int) -> Iterator[str]:
    top, left = TITLE_HEIGHT, MARGIN + label_width
    for group in chart.groups:
        yield from _group(group, top, left)
        top += _height(group)


def _group(group: Group, top: int, left: int) -> Iterator[str]:
    if group.title:
        yield _text(MARGIN, top + 24, group.title, "group")
    first = top + _height(group) - BAR_STEP * len(group.bars)
    largest = max([*(bar.value for bar in group.bars), group.bound or 0, 1e-9])
    scale = min(largest, group.limit or largest)
    for number, bar in enumerate(group.bars):
        top = first + BAR_STEP * number
        width = max(1.0, BARS_WIDTH * min(bar.value, scale) / scale)
        yield from _bar(bar, top, left, width, is_cut=bar.value > scale)
        # A value stands behind its bar, but not where the line may go through it.
        x = left + (width if group.bound is None else BARS_WIDTH) + 8
        yield _text(x, top + 15, bar.told, "quiet")
    if group.bound is not None:
        at = _number(left + BARS_WIDTH * group.bound / scale)
        bottom = first + BAR_STEP * len(group.bars) - 4
        yield f'<line class="bound" x1="{at}" y1="{first - 2}" x2="{at}" y2="{bottom}"/>'


def _bar(bar: Bar, top: int, left: int, width: float, *, is_cut: bool) -> Iterator[str]:
    yield _text(left - 10, top + 15, bar.label, anchor="end")
    yield (
        f'<rect class="bar {bar.kind}" x="{left}" y="{top + 1}" width="{_number(width)}"'
        f' height="{BAR_HEIGHT}" rx="2"/>'
    )
    if is_cut:
        at = left + BARS_WIDTH - 20
        yield f'<path class="gap" d="M{at} {top + BAR_HEIGHT + 2}l6 -{BAR_HEIGHT + 2}"/>'


def _curves(chart: Curves) -> Iterator[str]:
    left, top, bottom = 3 * MARGIN, TITLE_HEIGHT + 10, TITLE_HEIGHT + CURVES_HEIGHT
    right = left + CURVES_WIDTH
    largest = max([*(value for curve in chart.curves for value in curve.values), 1e-9])
    for share in (0.0, 0.5, 1.0):
        at = _number(bottom - share * (bottom - top))
        yield f'<line class="axis" x1="{left}" y1="{at}" x2="{right}" y2="{at}"/>'
        yield _text(left - 8, float(at) + 4, f"{share * largest:,.0f}", "quiet", anchor="end")
    for number, tick in enumerate(chart.ticks):
        x = left + CURVES_WIDTH * number / max(1, len(chart.ticks) - 1)
        yield _text(x, bottom + 18, tick, "quiet", anchor="middle")
    for number, curve in enumerate(chart.curves):
        base = bottom + 2 * MARGIN + LEGEND_STEP * number
        yield f'<path class="curve {curve.kind}" d="M{left} {base - 4}h30"/>'
        yield _text(left + 40, base, curve.label)
    for curve in sorted(chart.curves, key=lambda curve: curve.kind == "ours"):
        yield _line(curve, left, top, bottom, largest)


def _line(curve: Curve, left: int, top: int, bottom: int, largest: float) -> str:
    step = CURVES_WIDTH / max(1, len(curve.values) - 1)
    points = (
        f"{_number(left + step * number)},{_number(bottom - (bottom - top) * value / largest)}"
        for number, value in enumerate(curve.values)
    )
    return f'<polyline class="curve {curve.kind}" points="{" ".join(points)}"/>'


def _text(x: float, y: float, told: str, kind: str = "", *, anchor: str = "") -> str:
    attributes = f' class="{kind}"' if kind else ""
    attributes += f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{_number(x)}" y="{_number(y)}"{attributes}>{escape(told)}</text>'


def _number(value: float) -> str:
    """Write a coordinate: a tenth of a pixel is seen by nobody."""
    return f"{value:.1f}".removesuffix(".0")

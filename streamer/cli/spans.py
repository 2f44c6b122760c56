"""Spans of time as options: a moment, or how long ago.

Every time that a command shows is UTC, and every one can be given back to it:
as JSON has it, or as a table does.
"""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from cyclopts import Parameter

from streamer.cli import common
from streamer.core.errors import UsageError
from streamer.core.limits import DAY_SECONDS
from streamer.core.times import parse_time

_AGO = re.compile(r"(\d{1,9})(s|m|min|h|d|w)", re.ASCII)
_UNIT_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": DAY_SECONDS, "w": 7 * DAY_SECONDS}
_HINT = "Write it like 2026-11-23T08:00:00Z, or how long ago: 30m, 12h, 7d."

Since = Annotated[
    str | None,
    Parameter(
        name="--since",
        help="Received at or after: a time (UTC) like 2026-11-23T08:00:00Z or 2026-11-23, or how "
        "long ago, like 30m, 12h, 7d.",
    ),
]
Until = Annotated[
    str | None, Parameter(name="--until", help="Received before; written as for --since.")
]


class Span(NamedTuple):
    """From a moment on and up to another one, in ms since 1970; None: without that bound."""

    since: int | None
    until: int | None


def read_span(since: str | None, until: str | None, *, now: int) -> Span:
    """Read both options; raises `UsageError` when one is no time or nothing lies between them."""
    span = Span(_read(since, "--since", now), _read(until, "--until", now))
    if span.since is not None and span.until is not None and span.since >= span.until:
        raise UsageError(
            "--since lies behind --until" if span.since > span.until else "--since is --until",
            hint="Then there is nothing in between: --until is the later one.",
        )
    return span


def read_options(since: str | None, until: str | None) -> Span:
    """Read both options as of this moment."""
    return read_span(since, until, now=common.now())


def _read(text: str | None, option: str, now: int) -> int | None:
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(0, now - int(ago[1]) * _UNIT_SECONDS[ago[2]] * 1000)
    try:
        return parse_time(text.removesuffix(" UTC"))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option} {text!r} is no time", hint=_HINT) from error

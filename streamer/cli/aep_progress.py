"""What is shown while Adobe is waited for.

On a terminal why, and a bar that says how long still; into a file or a journal
a line at the beginning and one a minute. Both on standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamer.cli import console
from streamer.cli.wording import duration

LINE_SECONDS = 60.0
"""How often a line is written where there is no terminal."""

Tell = Callable[[float, str], None]
"""Hears how many seconds are left at most, and what is waited for."""


@contextmanager
def waiting() -> Iterator[Tell]:
    """Give the function that shows how long it still takes."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console  # noqa: PLC0415 - costs a tenth of a second
    from rich.markup import escape  # noqa: PLC0415 - the same
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415 - the same

    columns = (TextColumn("waiting"), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", total=None)
        longest: dict[str, float] = {}

        def show(seconds: float, why: str) -> None:
            if why not in longest:
                longest[why] = max(seconds, 1.0)
                bars.console.print(escape(console.printable(why)), highlight=False)
            left = f"at most {duration(seconds)} left"
            total = longest[why]
            bars.update(bar, description=left, total=total, completed=total - seconds)

        yield show


def _lines() -> Tell:
    last: dict[str, float] = {}

    def write(seconds: float, why: str) -> None:
        if why not in last or last[why] - seconds >= LINE_SECONDS:
            last[why] = seconds
            console.say([f"waiting, at most {duration(seconds)} more: {why}"])

    return write

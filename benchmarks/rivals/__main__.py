"""The command line of the comparison with what a user would pick instead.

Run: ``python -m benchmarks.rivals [--full] [--json] [--only NAME …]``, with the packages of the
group ``bench``. Every contestant gets the same signed calls on the same machine in the same run;
streamer is the real ``streamer serve``.
"""

from __future__ import annotations

import argparse
import signal
import sys

from benchmarks.harness.report import Measured, run
from benchmarks.rivals.comparison import Size, compare, details
from benchmarks.rivals.contestants import CONTESTANTS, ELSEWHERE
from benchmarks.rivals.figures import HYPERCORN, figures
from benchmarks.rivals.table import markdown

QUESTION = "Is streamer ahead of what a user would pick instead, and what do faster ones give up?"
FULL = Size(rounds=5, load_seconds=4.0, kills=3, answers_before_kill=2_000)
SMALL = Size(rounds=1, load_seconds=0.7, kills=1, answers_before_kill=300)


def measure(options: argparse.Namespace) -> Measured:
    """Measure those that are asked for."""
    chosen = [one for one in CONTESTANTS if not options.only or one.name in options.only]
    found = compare(chosen, options.directory, FULL if options.full else SMALL)
    base = next((one for one in found if one.contestant.name == HYPERCORN), None)
    told = details(found, base, ELSEWHERE)
    if not options.json:
        sys.stdout.write(markdown(told) + "\n\n")
    return Measured(figures(found), told)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Let one contestant, or some, be chosen."""
    names = [one.name for one in CONTESTANTS]
    parser.add_argument("--only", action="append", choices=names, help="may be given repeatedly")


if __name__ == "__main__":
    # However it is ended, what it started ends before it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    run("rivals", QUESTION, measure, arguments=arguments)

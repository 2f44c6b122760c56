"""The command line; `streamer.cli.commands` names the commands.

This much is loaded before Ctrl-C can be answered in order, so it loads nothing:
the library of commands takes a quarter of a second, in which people do press it.
"""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended: 128 and the signal's number, as shells count."""


def main() -> None:
    """Run the command that the program was called with."""
    try:
        from streamer.cli import commands  # noqa: PLC0415 - see above

        commands.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)

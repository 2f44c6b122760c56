"""``streamer --completion SHELL``: what makes a shell complete our commands, options and names.

It is printed, for whoever keeps it where their shell looks. Installing it is
a second option, which writes that one file and leaves the shell's own start-up
files alone.
"""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import App, Parameter

from streamer.cli import streams

Shell = Annotated[Literal["bash", "zsh", "fish"], Parameter(help="For which shell.")]


def register(app: App) -> None:
    """Add both options to a program."""

    def completion(shell: Shell, /) -> None:
        """Print the completion script for a shell."""
        streams.write(sys.stdout.write, app.generate_completion(shell=shell))

    app.command(completion, name="--completion", help="Print completion for bash, zsh or fish.")
    app.register_install_completion_command(
        add_to_startup=False, help="Write it to where the shell looks for it."
    )

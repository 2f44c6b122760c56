"""``streamer init``: write a configuration to start from, and say what is left to do.

The file appears whole or not at all, readable by its owner alone, and takes
another one's place only when that is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from streamer.cli import console
from streamer.cli.calling import called_as
from streamer.cli.common import Json
from streamer.config.generated import SIGNING_KEY_FILE
from streamer.config.template import render
from streamer.core.errors import StreamerError, UsageError
from streamer.disk import create_file, replace_file

FILE_NAME = "streamer.toml"
DATA_DIRECTORY = "streamer-data"

Directory = Annotated[Path, Parameter(help="Where to write it; made if missing.")]
Force = Annotated[bool, Parameter(negative="", help="Replace a file that is there already.")]


def init(*, directory: Directory = Path(), force: Force = False, json: Json = False) -> None:
    """Write a commented configuration, streamer.toml, to start from.

    Everything that can be set stands in it. It keeps its data beside itself;
    systemd/install.sh writes one for a machine that runs streamer as a service.
    """
    directory = directory.absolute()
    path, data_dir = directory / FILE_NAME, directory / DATA_DIRECTORY
    write_file(path, render(data_dir), replace=force)
    if json:
        console.print_json({"path": str(path), "data_dir": str(data_dir)})
    else:
        console.print_lines([f"Wrote {path}", *_next_steps(path, data_dir)])


def _next_steps(path: Path, data_dir: Path) -> list[str]:
    program = called_as()
    return [
        "",
        "Next:",
        "  1. Paste the signing key from the webhook's page in Customer.io, then Enter and Ctrl-D:",
        f"       mkdir -m 700 -p {data_dir}",
        f"       install -m 600 /dev/stdin {data_dir / SIGNING_KEY_FILE}",
        f"  2. {program} check --config {path}",
        f"  3. {program} serve --config {path}",
        f"  4. {program} send-sample --config {path}",
    ]


def write_file(path: Path, text: str, *, replace: bool) -> None:
    """Write the file; one that is there is replaced only where that is said."""
    content = text.encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if replace:
            replace_file(path, content)
        else:
            create_file(path, content)
    except FileExistsError as error:
        raise UsageError(
            f"{path} is there already", hint="Say --force to replace it; nothing was changed."
        ) from error
    except OSError as error:
        raise StreamerError(
            f"{path} cannot be written: {error.strerror}",
            hint="Choose another place with --directory, or run the command as its owner.",
        ) from error

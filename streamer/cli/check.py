"""``streamer check``: all that is wrong with the configuration, before it matters.

It looks at what ``serve`` would look at and changes nothing, so it may run
beside the service, and the units run it to make a wrong reload fail.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from streamer.cli import console
from streamer.cli.common import ConfigFile, Json
from streamer.cli.wording import count
from streamer.core.errors import ConfigurationError

if TYPE_CHECKING:
    from streamer.cli.inspection import Inspection


def check(*, config: ConfigFile = None, json: Json = False) -> None:
    """Report everything that is wrong with the configuration.

    Ends with 0 when the service would start with it and with 78 when not.
    Secrets are read but not shown; those that only the service's user may
    read are said not to have been looked at.
    """
    from streamer.cli import inspection  # noqa: PLC0415 - help and completion need none of it
    from streamer.config import problems  # noqa: PLC0415 - the same

    found = inspection.inspect(config)
    if json:
        console.print_json(_for_programs(found))
        if found.problems:
            sys.exit(ConfigurationError.exit_code)
        return
    for warning in found.warnings:
        console.print_text(f"warning: {warning}".splitlines())
    if found.problems:
        subject = "the configuration" if found.loaded is None else found.subject
        raise problems.ConfigurationErrors(found.problems, subject=subject)
    console.print_text([_summary(found)])


def _for_programs(found: Inspection) -> dict[str, object]:
    return {
        "ok": not found.problems,
        "path": None if found.path is None else str(found.path),
        "problems": found.problems,
        "warnings": found.warnings,
    }


def _summary(found: Inspection) -> str:
    assert found.loaded is not None
    config = found.loaded.config
    sources, destinations = len(config.sources), len(config.destinations)
    return (
        f"{found.subject} is right: {count(sources, 'source')}, "
        f"{count(destinations, 'destination')}."
    )

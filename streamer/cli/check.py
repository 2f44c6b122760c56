"""``streamer check``: all that is wrong with the configuration, before it matters.

It looks at what ``serve`` would look at and changes nothing, so it may run
beside the service, and the units run it to make a wrong reload fail.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from streamer.cli.common import ConfigFile, Json, print_json, print_lines
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
        print_json(_for_programs(found))
        if found.problems:
            sys.exit(ConfigurationError.exit_code)
        return
    for warning in found.warnings:
        print_lines(f"warning: {warning}".splitlines())
    if found.problems:
        subject = "the configuration" if found.loaded is None else found.subject
        raise problems.ConfigurationErrors(found.problems, subject=subject)
    print_lines([_summary(found)])


def _for_programs(found: Inspection) -> dict[str, object]:
    path = found.loaded.path if found.loaded is not None else None
    return {
        "ok": not found.problems,
        "path": None if path is None else str(path),
        "problems": found.problems,
        "warnings": found.warnings,
    }


def _summary(found: Inspection) -> str:
    assert found.loaded is not None
    config = found.loaded.config
    sources, destinations = len(config.sources), len(config.destinations)
    return (
        f"{found.subject} is right: {_count(sources, 'source')}, "
        f"{_count(destinations, 'destination')}."
    )


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"

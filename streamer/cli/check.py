"""``streamer check``: all that is wrong with the configuration, before it matters.

It looks at what ``serve`` would look at and changes nothing, so it may run
beside the service, and the units run it to make a wrong reload fail.
"""

from __future__ import annotations

import sys

import msgspec

from streamer.cli.common import ConfigFile, Json, print_json, print_lines
from streamer.cli.inspection import Inspection, inspect
from streamer.config.problems import ConfigurationErrors, Problem
from streamer.core.errors import ConfigurationError


def check(*, config: ConfigFile = None, json: Json = False) -> None:
    """Report everything that is wrong with the configuration.

    Ends with 0 when the service would start with it and with 78 when not.
    Secrets are read but not shown; those that only the service's user may
    read are said not to have been looked at.
    """
    found = inspect(config)
    if json:
        print_json(_for_programs(found))
        if found.problems:
            sys.exit(ConfigurationError.exit_code)
        return
    print_lines(f"warning: {warning}" for warning in found.warnings)
    if found.problems:
        subject = "the configuration" if found.loaded is None else found.subject
        raise ConfigurationErrors(found.problems, subject=subject)
    print_lines([_summary(found)])


def _for_programs(found: Inspection) -> dict[str, object]:
    path = found.loaded.path if found.loaded is not None else None
    return {
        "ok": not found.problems,
        "path": None if path is None else str(path),
        "problems": [_fields(problem) for problem in found.problems],
        "warnings": [_fields(problem) for problem in found.warnings],
    }


def _fields(problem: Problem) -> dict[str, object]:
    return msgspec.structs.asdict(problem)


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

"""Everything that can be said of a configuration without starting or writing anything.

``check`` prints it and ``doctor`` begins with it. All that is wrong is
collected, never just the first. A secret that this user may not see is no
mistake: it is said not to have been looked at, and nothing that needs it is.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from streamer.cli.common import load_config
from streamer.clock import SystemClock
from streamer.config.generated import SIGNING_KEY_FILE
from streamer.config.load import Loaded
from streamer.config.model import Config
from streamer.config.problems import ConfigurationErrors, Problem
from streamer.config.secrets import (
    CREDENTIALS_DIRECTORY,
    Secrets,
    Unread,
    exposures,
    read_all,
    secrets_in,
)
from streamer.core.alarms import Alarm
from streamer.core.errors import ConfigurationError
from streamer.destinations import registry
from streamer.destinations.aep_options import AepOptions
from streamer.destinations.base import Destination
from streamer.destinations.common_options import Secret
from streamer.store import sqlite
from streamer.web.engine import require_installed

NOT_LOOKED_AT = "not looked at"
"""How a warning begins that only says what this user could not see."""


class Inspection(msgspec.Struct, kw_only=True):
    """What was found so far; `inspect` returns it complete."""

    loaded: Loaded | None = None
    """None when the file itself is wrong; then nothing beyond it was looked at."""
    path: Path | None = None
    """The file, absolute; None for the built-in configuration."""
    values: Secrets = msgspec.field(default_factory=lambda: Secrets({}))
    """The secrets that could be read."""
    destinations: list[Destination] = []
    """Those that could be built; they are connected to nothing."""
    unmapped: set[str] = set()
    """Those that could not be built because of their mapping."""
    problems: list[Problem] = []
    warnings: list[Problem] = []

    @property
    def subject(self) -> str:
        """What the findings are about, for a person."""
        return str(self.path) if self.path is not None else "the built-in configuration"


def inspect(file: Path | None) -> Inspection:
    """Look at the configuration as ``serve`` would find it."""
    found = Inspection()
    try:
        loaded = load_config(file)
    except ConfigurationErrors as error:
        found.problems += error.problems
        found.path = error.path
        return found
    found.loaded, found.path = loaded, loaded.path
    found.warnings += loaded.warnings
    _read_secrets(loaded, found)
    _look_at_mappings(loaded.config, found)
    _build_destinations(loaded.config, found)
    _look_at_engine(loaded.config, found)
    _look_at_sqlite(loaded.config, found)
    return found


def _read_secrets(loaded: Loaded, found: Inspection) -> None:
    found.values, unread = read_all(loaded.config, os.environ)
    for one in unread:
        if _is_out_of_sight(one):
            found.warnings.append(_not_looked_at(one))
        elif not _is_made_at_the_first_start(loaded, one.secret):
            found.problems.append(one.problem)
    found.warnings += exposures(loaded.config, found.values)


def _is_made_at_the_first_start(loaded: Loaded, secret: Secret) -> bool:
    key = loaded.config.database_path.with_name(SIGNING_KEY_FILE)
    return loaded.origin == "default" and secret.file == str(key) and not key.exists()


def _is_out_of_sight(unread: Unread) -> bool:
    """Tell whether a secret may well be right and only this user cannot tell."""
    if unread.secret.credential is not None and not os.environ.get(CREDENTIALS_DIRECTORY):
        return True
    return isinstance(unread.error.__cause__, PermissionError)


def _not_looked_at(unread: Unread) -> Problem:
    credential = unread.secret.credential
    if credential is not None:
        message = f"{NOT_LOOKED_AT}: only the service is given the credential {credential}"
        hint = f"As root, {CREDENTIALS_DIRECTORY}=/etc/streamer/credentials lets it be looked at."
    else:
        message = f"{NOT_LOOKED_AT}: {unread.error}"
        hint = "Run the command as the service's user, such as `sudo -u streamer`, to look at it."
    return Problem(path=unread.path, message=message, hint=hint)


def _look_at_mappings(config: Config, found: Inspection) -> None:
    for name, options in config.destinations.items():
        if isinstance(options, AepOptions) and options.mode == "xdm":
            from streamer.cli import mapping_check  # noqa: PLC0415 - loads the mapping

            findings = mapping_check.look_at_mapping(name, options)
            found.problems += findings.problems
            found.warnings += findings.warnings
            if findings.problems:
                found.unmapped.add(name)


def _build_destinations(config: Config, found: Inspection) -> None:
    clock = SystemClock()
    for name, options in config.destinations.items():
        readable = all(secret in found.values for _, secret in secrets_in(options))
        if not readable or name in found.unmapped:
            continue  # that has been said already
        try:
            destination = registry.build(
                name, options, clock=clock, secret=found.values.of, raise_alarm=_ignore
            )
        except ConfigurationError as error:
            problem = Problem(path=f"destinations.{name}", message=str(error), hint=error.hint)
            found.problems.append(problem)
        else:
            found.destinations.append(destination)


def _ignore(alarm: Alarm, message: str) -> None:
    """Drop an alarm: nothing is delivered here, so nothing has happened."""


def _look_at_engine(config: Config, found: Inspection) -> None:
    try:
        require_installed(config.server.engine)
    except ConfigurationError as error:
        problem = Problem(path="server.engine", message=str(error), hint=error.hint)
        found.problems.append(problem)


def _look_at_sqlite(config: Config, found: Inspection) -> None:
    try:
        sqlite.require_safe_version(allow_unsafe=False)
    except ConfigurationError as error:
        allowed = config.outbox.allow_unsafe_sqlite
        problem = Problem(
            path="outbox.allow_unsafe_sqlite",
            message=str(error),
            hint="" if allowed else error.hint,
        )
        (found.warnings if allowed else found.problems).append(problem)

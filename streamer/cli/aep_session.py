"""What the commands on Adobe share: which destination is meant, its access, and the calls.

Each command opens one session, makes its calls one after another and closes
it. The destination's secret is read where its configuration says it is; under
systemd that may be a place that only the service sees.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from streamer.cli import console
from streamer.cli.known import require_one_of
from streamer.clock import Clock
from streamer.config.model import Config
from streamer.config.secrets import resolve
from streamer.core.errors import ConfigurationError, UsageError
from streamer.core.provision_limits import ADOBE_CALL_SECONDS_MAX, ADOBE_CONNECT_SECONDS_MAX
from streamer.destinations.aep_options import AepOptions
from streamer.destinations.ims import Ims
from streamer.destinations.registry import kind_of
from streamer.destinations.transport import Transport
from streamer.provision.aep_platform import Platform

SECRET_VARIABLE = "STREAMER_AEP_CLIENT_SECRET"  # noqa: S105 - a variable's name


@dataclass(frozen=True, kw_only=True)
class Access:
    """With what Adobe is called, and where."""

    org_id: str
    client_id: str
    client_secret: str
    sandbox: str
    ims_url: str
    platform_url: str
    scopes: str
    ca_file: str | None

    def __repr__(self) -> str:
        return f"<Access of {self.client_id}>"


@dataclass(frozen=True)
class Session:
    """Everything that calls are made with."""

    platform: Platform
    ims: Ims
    transport: Transport


@asynccontextmanager
async def open_session(access: Access, clock: Clock) -> AsyncIterator[Session]:
    """Open a session; nothing is called yet."""
    transport = Transport(
        connect_seconds_max=ADOBE_CONNECT_SECONDS_MAX,
        total_seconds_max=ADOBE_CALL_SECONDS_MAX,
        connections_max=2,
        ca_file=access.ca_file,
    )
    ims = Ims(
        transport,
        url=access.ims_url,
        client_id=access.client_id,
        client_secret=access.client_secret,
        scopes=access.scopes,
        clock=clock,
    )
    platform = Platform(
        transport,
        ims,
        url=access.platform_url,
        org_id=access.org_id,
        client_id=access.client_id,
        sandbox=access.sandbox,
        clock=clock,
        notice=lambda text: console.say([text]),
    )
    try:
        yield Session(platform, ims, transport)
    finally:
        await transport.aclose()


def choose_destination(settings: Config, name: str | None) -> tuple[str, AepOptions]:
    """Return the destination that is meant: the one that is named, or the only one of its kind."""
    ours = {
        each: options
        for each, options in settings.destinations.items()
        if isinstance(options, AepOptions)
    }
    if name is None and len(ours) == 1:
        return next(iter(ours.items()))
    if not ours:
        raise UsageError(
            "no destination of kind `aep` is configured", hint="`streamer aep setup` makes one."
        )
    if name is None:
        events = [each for each, options in ours.items() if options.produces == "events"]
        if len(events) == 1:
            return events[0], ours[events[0]]
        raise UsageError(
            "it is not clear which destination is meant",
            hint=f"Say --destination: {', '.join(sorted(ours))}.",
        )
    require_one_of("destination", name, settings.destinations)
    if name not in ours:
        kind = kind_of(settings.destinations[name])
        raise UsageError(
            f"destination {name!r} is of kind `{kind}`, not `aep`",
            hint=f"Say --destination: {', '.join(sorted(ours))}.",
        )
    return name, ours[name]


def access_of(name: str, options: AepOptions) -> Access:
    """Return a configured destination's access.

    Raises:
        ConfigurationError: it has none, or its secret cannot be read by this user.
    """
    if options.client_id is None or options.client_secret is None:
        raise ConfigurationError(
            f"destination {name!r} has no `client_id`: its inlet wants none, and Adobe's APIs do",
            hint="Set `client_id` and `client_secret` for the `streamer aep` commands.",
        )
    return Access(
        org_id=options.ims_org_id,
        client_id=options.client_id,
        client_secret=_secret(name, options),
        sandbox=options.sandbox,
        ims_url=options.ims_url,
        platform_url=options.platform_url,
        scopes=options.scopes,
        ca_file=options.ca_file,
    )


def _secret(name: str, options: AepOptions) -> str:
    assert options.client_secret is not None
    try:
        return resolve(options.client_secret, os.environ)
    except ConfigurationError as error:
        given = os.environ.get(SECRET_VARIABLE, "").strip()
        if given:
            return given
        raise ConfigurationError(
            f"the client secret of destination {name!r} cannot be read: {error}",
            hint=f"{error.hint} For one command, ${SECRET_VARIABLE} may hold it.",
        ) from error

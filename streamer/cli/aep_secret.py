"""Where ``streamer aep setup`` gets the client's secret, and where the configuration finds it.

Never on the command line. A file that is named is referred to; what comes from
the environment or the keyboard is kept in the data directory, readable by its
owner alone, and goes there only once Adobe has given a token for it.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from streamer.cli.aep_session import SECRET_VARIABLE
from streamer.config.keeping import keep_secret
from streamer.config.secrets import resolve
from streamer.core.errors import ConfigurationError, UsageError
from streamer.destinations.common_options import Secret

UNIT_CREDENTIALS = Path("/etc/streamer/credentials")
"""The shipped unit hands every file in it to the service, which cannot read them itself."""


@dataclass(frozen=True, kw_only=True)
class ClientSecret:
    """The secret, and what the configuration says of it."""

    value: str = field(repr=False)
    reference: Mapping[str, str]
    store_in: Path | None = None
    """Where it has still to be written."""


def find_secret(
    *, named_file: Path | None, before: Secret | None, data_dir: Path, destination: str
) -> ClientSecret:
    """Find the secret: the file, the environment, what is known already, or the keyboard.

    What is known is what the configuration points at, or what a set-up that was stopped has kept.

    Raises:
        ConfigurationError: the file cannot be read.
        UsageError: there is none, and nobody to ask.
    """
    if named_file is not None:
        path = named_file.absolute()
        value = resolve(Secret(file=str(path)), os.environ)
        return ClientSecret(value=value, reference=reference_to(path))
    kept = data_dir / f"{destination}-client-secret"
    known = _read(before or Secret(file=str(kept)))
    given = os.environ.get(SECRET_VARIABLE, "").strip()
    if known is not None and given in {"", known.value}:
        return known
    value = given or _ask()
    if before is not None and before.file is None and known is None:
        # Only the service sees it; what is given here is for this command.
        return ClientSecret(value=value, reference=_reference(before))
    return ClientSecret(value=value, reference={"file": str(kept)}, store_in=kept)


def _read(place: Secret) -> ClientSecret | None:
    try:
        return ClientSecret(value=resolve(place, os.environ), reference=_reference(place))
    except ConfigurationError:
        return None


def reference_to(path: Path) -> dict[str, str]:
    """Say how the service gets at a file: a credential of its unit goes by its name."""
    if path.parent == UNIT_CREDENTIALS:
        return {"credential": path.name}
    return {"file": str(path)}


def _reference(secret: Secret) -> dict[str, str]:
    return {key: value for key, value in msgspec.structs.asdict(secret).items() if value}


def _ask() -> str:
    if not sys.stdin.isatty():
        raise UsageError(
            "the client secret is missing",
            hint=f"Say --client-secret-file, or set ${SECRET_VARIABLE}; it is no option, so that "
            "it does not stand in the shell's history.",
        )
    value = getpass.getpass("Client secret (not shown): ").strip()
    if not value:
        raise UsageError("the client secret is empty", hint="Nothing was done.")
    return value


def store(secret: ClientSecret) -> None:
    """Write the secret where the configuration will look for it."""
    if secret.store_in is not None:
        keep_secret(secret.store_in, secret.value)

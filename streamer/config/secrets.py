"""Reads the secrets that a configuration only points at.

`Secrets` holds every value of one configuration and shows none: neither its
repr nor an error names more than the key path and the place. A secret is text
in UTF-8; one line break at its end is an editor's and is taken off.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import overload

import msgspec

from streamer.config.model import Config
from streamer.config.problems import ConfigurationErrors, KeyPath, Problem, dotted
from streamer.core.errors import ConfigurationError
from streamer.core.limits import SECRET_BYTES_MAX
from streamer.destinations.common_options import Secret

CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
"""The variable by which systemd tells where a unit's credentials are."""

_OTHERS = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH


class Secrets:
    """The values of all secrets of one configuration."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[Secret, str]) -> None:
        self._values = dict(values)

    @overload
    def of(self, secret: Secret) -> str: ...
    @overload
    def of(self, secret: None) -> None: ...
    def of(self, secret: Secret | None) -> str | None:
        """Return the value behind a setting; None when the setting is left out."""
        return None if secret is None else self._values[secret]

    def __contains__(self, secret: Secret) -> bool:
        """Tell whether there is a value behind a setting."""
        return secret in self._values

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._values)} values, not shown>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("secrets are not written anywhere")


class Unread(msgspec.Struct, frozen=True):
    """A secret that cannot be had, and why."""

    path: str
    secret: Secret
    error: ConfigurationError

    @property
    def problem(self) -> Problem:
        """What to tell of it."""
        return Problem(path=self.path, message=str(self.error), hint=self.error.hint)


def read_all(config: Config, environ: Mapping[str, str]) -> tuple[Secrets, list[Unread]]:
    """Read every secret that a configuration points at, as far as that can be done."""
    values: dict[Secret, str] = {}
    unread: list[Unread] = []
    for path, secret in secrets_in(config):
        try:
            values[secret] = resolve(secret, environ)
        except ConfigurationError as error:
            unread.append(Unread(dotted(path), secret, error))
    return Secrets(values), unread


def resolve_all(config: Config, environ: Mapping[str, str]) -> Secrets:
    """Read every secret that a configuration points at.

    Raises:
        ConfigurationErrors: With every secret that cannot be had.
    """
    secrets, unread = read_all(config, environ)
    if unread:
        raise ConfigurationErrors([one.problem for one in unread], subject="the secrets")
    return secrets


def secrets_in(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Secret]]:
    """Find the secrets below a part of the configuration, with their key paths."""
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from secrets_in(getattr(value, name), (*path, name))
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from secrets_in(member, (*path, name))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from secrets_in(member, (*path, index))


def resolve(secret: Secret, environ: Mapping[str, str]) -> str:
    """Read one secret; raise ConfigurationError, without its value, when that cannot be done."""
    if secret.env is not None:
        value = _from_variable(secret.env, environ)
    elif secret.file is not None:
        absent = ConfigurationError(
            f"{secret.file} does not exist or is no file", hint="Write the secret to that file."
        )
        value = _from_file(Path(secret.file), absent)
    else:
        value = _from_credential(secret.credential or "", environ)
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise ConfigurationError("the secret is empty", hint="Write the secret there.")
    return value


def _from_variable(name: str, environ: Mapping[str, str]) -> str:
    try:
        return environ[name]
    except KeyError:
        raise ConfigurationError(
            f"the environment variable {name} is not set",
            hint="Set it for the service, or use a credential or a file.",
        ) from None


def _from_credential(name: str, environ: Mapping[str, str]) -> str:
    """Read a credential, by its own name or by that of a file in the shipped unit's directory.

    ``LoadCredential=streamer:DIRECTORY`` hands over every file of the directory as
    ``streamer_FILE``.
    """
    directory = environ.get(CREDENTIALS_DIRECTORY)
    if not directory:
        raise ConfigurationError(
            f"the credential {name} can be read only under systemd "
            f"(${CREDENTIALS_DIRECTORY} is not set)",
            hint="Use `{ file = … }` or `{ env = … }` where there is no systemd.",
        )
    absent = ConfigurationError(
        f"systemd was given no credential {name}",
        hint=f"Put it into /etc/streamer/credentials/{name} and restart the service.",
    )
    own, shared = Path(directory) / name, Path(directory) / f"streamer_{name}"
    return _from_file(shared if shared.exists() and not own.exists() else own, absent)


def _from_file(path: Path, absent: ConfigurationError) -> str:
    try:
        if not path.is_file():  # Opening a pipe could wait for ever.
            raise absent
        with path.open("rb") as file:
            content = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}",
            hint="Let it be readable for the user that streamer runs as.",
        ) from error
    if len(content) > SECRET_BYTES_MAX:
        raise ConfigurationError(f"{path} is too large for a secret", hint="Is it another file?")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text", hint="Is it another file?") from None


def exposures(config: Config, secrets: Secrets) -> Iterator[Problem]:
    """Warn of those that were read from a file that others than its owner can read or replace."""
    for path, secret in secrets_in(config):
        if secret.file is None or secret not in secrets:
            continue
        mode = stat.S_IMODE(Path(secret.file).stat().st_mode)
        if mode & _OTHERS:
            yield Problem(
                path=dotted(path),
                message=f"{secret.file} is open to other users (mode {mode:04o})",
                hint=f"chmod 600 {secret.file}",
            )

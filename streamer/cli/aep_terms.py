"""What a set-up is to do: the options, and where they are left out, the configuration.

A destination that stands in the configuration already says everything about
itself, so a second ``streamer aep setup`` needs no options.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamer.cli.aep_secret import ClientSecret, find_secret
from streamer.cli.aep_session import Access
from streamer.config import formats
from streamer.config.load import SEARCH, Loaded
from streamer.config.model import NAME_PATTERN, Config
from streamer.core.errors import UsageError
from streamer.core.xdm.mapping_file import Layer
from streamer.destinations.aep_mapping import layers_of, read_mapping_file
from streamer.destinations.aep_options import AepOptions
from streamer.provision.aep_plan import CONSENT
from streamer.provision.aep_settings import DEFAULTS

DEFAULT_DESTINATION = "lake"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The options as they were given."""

    destination: str | None = None
    name: str | None = None
    org: str | None = None
    client_id: str | None = None
    client_secret_file: Path | None = None
    sandbox: str | None = None
    profile: bool = False
    consent: bool = False
    journey_optimizer: bool = False
    raw: bool = False
    adobe_source: bool = False
    mapping: Path | None = None
    ims_url: str | None = None
    platform_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Everything that is decided before the first call."""

    file: Path
    """The configuration."""
    data_dir: Path
    destination: str
    name: str | None
    schema_id: str | None
    """That the destination has already."""
    access: Access
    secret: ClientSecret
    profile: bool
    consent: bool
    journey_optimizer: bool
    raw: bool
    adobe_source: bool
    mapping: str | None
    """The mapping file to write into the configuration; None: what it says there may stay."""
    layers: tuple[Layer, ...]
    """What that file says, or the one that is configured."""

    def parts(self) -> Iterator[tuple[str, str]]:
        """Yield what the keys of each destination's steps begin with, and its name."""
        yield "", self.destination
        if self.consent:
            yield CONSENT, _consent_destination(self.destination)


def _consent_destination(name: str) -> str:
    """Return the name of the destination for consent beside one for events."""
    return f"{name}-consent"


def agree(wanted: Wanted, loaded: Loaded, *, offline: bool) -> Terms:
    """Put the options and the configuration together.

    Raises:
        UsageError: something is missing, or does not fit what is configured.
    """
    if loaded.path is None and not offline:
        raise UsageError(
            "there is no configuration file that the destination could be written to",
            hint="`streamer customerio setup` writes one, and so does `streamer init`; --config "
            "names another.",
        )
    config = loaded.config
    if wanted.raw and wanted.mapping:
        raise UsageError(
            "--mapping goes with a mapping that is done here",
            hint="With --raw it is done in Adobe: leave out one of them.",
        )
    name = wanted.destination or _usual_destination(config)
    before = _destination_before(config, name, consent=wanted.consent)
    org_id, client_id = _credential(wanted, before, offline=offline)
    secret = (
        ClientSecret(value="", reference={"file": "…"})
        if offline
        else find_secret(
            named_file=wanted.client_secret_file,
            before=before.client_secret if before else None,
            data_dir=Path(config.data_dir),
            destination=name,
        )
    )
    return Terms(
        file=loaded.path or SEARCH[0],
        data_dir=Path(config.data_dir),
        destination=name,
        name=wanted.name,
        schema_id=before.schema_id if before else None,
        access=_access(wanted, before, secret, org_id=org_id, client_id=client_id),
        secret=secret,
        profile=wanted.profile,
        consent=wanted.consent,
        journey_optimizer=wanted.journey_optimizer or bool(before and before.journey_optimizer),
        raw=wanted.raw or bool(before and before.mode == "raw"),
        adobe_source=wanted.adobe_source,
        mapping=str(wanted.mapping.resolve()) if wanted.mapping else None,
        layers=_layers(wanted.mapping, before),
    )


def _layers(mapping: Path | None, before: AepOptions | None) -> tuple[Layer, ...]:
    if mapping is not None:
        return (read_mapping_file(mapping),)
    return layers_of(before) if before else ()


def _access(
    wanted: Wanted,
    before: AepOptions | None,
    secret: ClientSecret,
    *,
    org_id: str,
    client_id: str,
) -> Access:
    return Access(
        org_id=org_id,
        client_id=client_id,
        client_secret=secret.value,
        sandbox=wanted.sandbox or (before.sandbox if before else str(DEFAULTS["sandbox"])),
        ims_url=_url("--ims-url", wanted.ims_url, before, "ims_url"),
        platform_url=_url("--platform-url", wanted.platform_url, before, "platform_url"),
        scopes=before.scopes if before else str(DEFAULTS["scopes"]),
        ca_file=before.ca_file if before else None,
    )


def _usual_destination(config: Config) -> str:
    ours = [
        name
        for name, options in config.destinations.items()
        if isinstance(options, AepOptions) and options.produces == "events"
    ]
    if len(ours) > 1:
        raise UsageError(
            "it is not clear which destination is meant",
            hint=f"Say --destination: {', '.join(sorted(ours))}, or a new name.",
        )
    return ours[0] if ours else DEFAULT_DESTINATION


def _require_name(name: str) -> None:
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise UsageError(
            f"{name!r} is no name for a destination",
            hint="It has lower-case letters, digits, `-` and `_`, and 63 of them at most.",
        )


def _destination_before(config: Config, name: str, *, consent: bool) -> AepOptions | None:
    """Return what is configured already, if it can be what is set up."""
    _require_name(_consent_destination(name) if consent else name)
    before = _before(config, name)
    if before and before.produces == "consent":
        raise UsageError(
            f"destination {name!r} keeps consent, and is set up with the one for events",
            hint="Say --consent, and --destination with the name of that one.",
        )
    if consent:
        _before(config, _consent_destination(name))
    return before


def _before(config: Config, name: str) -> AepOptions | None:
    there = config.destinations.get(name)
    if there is None or isinstance(there, AepOptions):
        return there
    raise UsageError(
        f"destination {name!r} is configured already, of another kind",
        hint="Say --destination with another name.",
    )


def _credential(wanted: Wanted, before: AepOptions | None, *, offline: bool) -> tuple[str, str]:
    """Return the organisation and the client."""
    org_id = wanted.org or (before.ims_org_id if before else None)
    client_id = wanted.client_id or (before.client_id if before else None)
    if offline:
        org_id, client_id = org_id or "ORG@AdobeOrg", client_id or "CLIENT_ID"
    missing = [
        option for option, value in (("--org", org_id), ("--client-id", client_id)) if not value
    ]
    if not org_id or not client_id:
        raise UsageError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            hint="Both stand on the page of the OAuth server-to-server credential in Adobe's "
            "Developer Console; docs/aep.md shows how to get there.",
        )
    if "@" not in org_id:
        raise UsageError(f"--org {org_id!r} is no organisation ID", hint="It ends in `@AdobeOrg`.")
    return org_id, client_id


def _url(option: str, given: str | None, before: AepOptions | None, key: str) -> str:
    url = given or str(getattr(before, key) if before else DEFAULTS[key])
    try:
        formats.check("url", url)
    except ValueError as error:
        raise UsageError(f"{option} {error}") from None
    return url.rstrip("/")

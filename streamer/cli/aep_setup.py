"""``streamer aep setup``: from the options to what is there in Adobe, and to the configuration.

First everything is looked at that could make a half-done set-up useless: the
configuration, the secret, the tenant, the field groups. Then the steps are
taken, the new dataflow is waited for, and at last the configuration is
written, so that the service never begins with a dataflow that is not ready.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from streamer.cli import common, console
from streamer.cli.aep_progress import waiting
from streamer.cli.aep_secret import store
from streamer.cli.aep_session import Session, open_session
from streamer.cli.aep_telling import Outcome, Teller
from streamer.cli.aep_terms import Terms, Wanted, agree
from streamer.clock import Clock, SystemClock
from streamer.config.edit import set_table
from streamer.core.errors import StreamerError, UsageError
from streamer.core.xdm.mapper import Mapper
from streamer.core.xdm.settings import MappingSettings
from streamer.destinations.aep_mapping import own_fields_of
from streamer.provision.aep_content import OFFLINE_TENANT, Discovered, discover
from streamer.provision.aep_plan import ADOBE_SOURCE, CONSENT, DEFAULT_NAME, Wishes, resources_for
from streamer.provision.aep_platform import FLOWS, Platform
from streamer.provision.aep_readiness import Inlet, Waiting, knock
from streamer.provision.aep_registry import tenant_of, title_of
from streamer.provision.aep_settings import Made
from streamer.provision.aep_step import Act, Walk


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a set-up goes about it."""

    dry_run: bool = False
    offline: bool = False
    """With a dry run: without looking either."""
    wait: bool = True


def run(
    wanted: Wanted,
    manner: Manner,
    *,
    json: bool,
    config: Path | None,
    clock: Clock | None = None,
) -> None:
    """Set up, or show how."""
    if manner.offline and not manner.dry_run:
        raise UsageError("--offline goes with --dry-run", hint="Without it, calls are made.")
    terms = agree(wanted, common.load_config(config), offline=manner.offline)
    if not manner.dry_run:
        _require_writable(terms.file)
    url = terms.access.platform_url
    teller = Teller(json=json, dry_run=manner.dry_run, platform_url=url)
    try:
        outcome = anyio.run(_SettingUp(terms, manner, clock or SystemClock(), teller.act).run)
    except (KeyboardInterrupt, StreamerError):
        teller.stopped()
        raise
    written = [] if manner.dry_run else _write(terms, outcome)
    teller.end(
        outcome,
        written=written,
        file=terms.file,
        service_runs=common.service_runs(terms.data_dir),
    )


def _require_writable(file: Path) -> None:
    """Find out now, and not after everything is made."""
    if not os.access(file.parent, os.W_OK):
        raise StreamerError(
            f"{file} cannot be written by this user",
            hint="Run the command as root, such as with `sudo`; what it keeps for the service it "
            "gives to the service's user.",
        )


class _SettingUp:
    """One set-up, from the first call to the last."""

    def __init__(
        self, terms: Terms, manner: Manner, clock: Clock, tell: Callable[[Act], None]
    ) -> None:
        self._terms = terms
        self._manner = manner
        self._clock = clock
        self._tell = tell

    async def run(self) -> Outcome:
        """Take all steps and wait; the configuration is left to the caller."""
        terms, manner = self._terms, self._manner
        async with open_session(terms.access, self._clock) as session:
            platform = None if manner.offline else session.platform
            tenant = await tenant_of(platform) if platform else OFFLINE_TENANT
            discovered = await self._discover(platform, tenant)
            self._require_mapping(tenant, discovered)
            resources = resources_for(await self._wishes(platform), discovered.content)
            if not manner.dry_run:
                store(terms.secret)
            walk = Walk(platform, write=not manner.dry_run, tell=self._tell)
            ids, acts = await walk.take(resources, {})
            there = {act.key: act.id for act in acts if platform and act.state != "to make"}
            tables = {
                name: self._made(
                    discovered,
                    ids,
                    prefix=prefix,
                    tenant=tenant,
                    inlet_url=await _inlet_url(platform, there.get(f"{prefix}connection")),
                )
                for prefix, name in terms.parts()
            }
            if manner.wait and not manner.dry_run:
                await self._wait(session, tables.values())
            return Outcome(
                tenant=tenant,
                left_out=discovered.left_out,
                tables=tables,
                webhook_url=await self._webhook_url(platform, there.get(f"{ADOBE_SOURCE}flow")),
            )

    async def _discover(self, platform: Platform | None, tenant: str) -> Discovered:
        terms = self._terms
        return await discover(
            platform,
            tenant=tenant,
            journey_optimizer=terms.journey_optimizer,
            consent=terms.consent,
            extra_fields=own_fields_of(terms.layers),
        )

    def _require_mapping(self, tenant: str, discovered: Discovered) -> None:
        """Find out before anything is made whether the mapping file fits the schema."""
        settings = MappingSettings(
            tenant=tenant,
            email_details=discovered.email_details,
            journey_optimizer=self._terms.journey_optimizer,
        )
        Mapper(settings, self._terms.layers)

    async def _wishes(self, platform: Platform | None) -> Wishes:
        """Take the name from what the destination has already, unless another is wanted."""
        terms = self._terms
        name = terms.name
        if name is None and terms.schema_id and platform is not None:
            name = await title_of(platform, terms.schema_id)
            if name is None:
                raise UsageError(
                    f"the schema of destination {terms.destination!r} is gone, and with it the "
                    "name that the rest is found by",
                    hint=f"Say --name; unless you chose another, it is {DEFAULT_NAME!r}.",
                )
        return Wishes(
            name=name or DEFAULT_NAME,
            profile=terms.profile,
            raw=terms.raw,
            consent=terms.consent,
            adobe_source=terms.adobe_source,
        )

    def _made(
        self,
        discovered: Discovered,
        ids: Mapping[str, str],
        *,
        prefix: str,
        tenant: str,
        inlet_url: str,
    ) -> Made:
        terms, access = self._terms, self._terms.access
        return Made(
            mode="raw" if terms.raw and not prefix else "xdm",
            produces="consent" if prefix == CONSENT else "events",
            inlet_url=inlet_url,
            flow_id=ids[f"{prefix}flow"],
            org_id=access.org_id,
            sandbox=access.sandbox,
            tenant=tenant,
            dataset_id=ids[f"{prefix}dataset"],
            schema_id=ids[f"{prefix}schema"],
            client_id=access.client_id,
            client_secret=terms.secret.reference,
            scopes=access.scopes,
            ims_url=access.ims_url,
            platform_url=access.platform_url,
            ca_file=access.ca_file,
            email_details=discovered.email_details or bool(prefix),
            journey_optimizer=terms.journey_optimizer and not prefix,
            mapping=None if prefix else terms.mapping,
        )

    async def _wait(self, session: Session, tables: Iterable[Made]) -> None:
        for made in tables:
            inlet = Inlet(url=made.inlet_url, sandbox=made.sandbox)
            with waiting() as tell:
                ask = partial(knock, session.transport, session.ims, inlet)
                until = Waiting(session.platform, ask=ask, clock=self._clock, tell=tell)
                await until.until_ready(made.flow_id)

    async def _webhook_url(self, platform: Platform | None, flow_id: str | None) -> str:
        if not self._terms.adobe_source:
            return ""
        if platform is None or flow_id is None:
            return "{inlet}?x-adobe-flow-id={flow}"
        flow = await platform.flow_item(f"{FLOWS}/flows", flow_id)
        inlet_url = ((flow or {}).get("options") or {}).get("inletUrl")
        return f"{_required(inlet_url, 'dataflow', flow_id)}?x-adobe-flow-id={flow_id}"


async def _inlet_url(platform: Platform | None, connection_id: str | None) -> str:
    if platform is None or connection_id is None:
        return "{inlet}"
    connection = await platform.flow_item(f"{FLOWS}/connections", connection_id)
    parameters = ((connection or {}).get("auth") or {}).get("params") or {}
    return _required(parameters.get("inletUrl"), "connection", connection_id)


def _required(inlet_url: object, what: str, item_id: str) -> str:
    if not inlet_url:
        raise StreamerError(
            f"Adobe names no inlet for the {what} {item_id}",
            hint="Run the command again in a minute; it goes on where it is.",
        )
    return str(inlet_url)


def _write(terms: Terms, outcome: Outcome) -> list[str]:
    """Write the destinations' tables; return the names of those that changed."""
    written = [
        name
        for name, made in outcome.tables.items()
        if set_table(terms.file, ("destinations", name), made.values(), remove=made.removed())
    ]
    try:
        common.load_config(terms.file)
    except StreamerError:
        console.say([f"{terms.file} was written and is not right; `streamer check` tells why"])
        raise
    return written

"""A set-up against the stand-in for Adobe, without the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from streamer.destinations.ims import Ims
from streamer.destinations.transport import Transport
from streamer.provision.aep_content import discover
from streamer.provision.aep_plan import Wishes, resources_for
from streamer.provision.aep_platform import Platform
from streamer.provision.aep_registry import tenant_of
from streamer.provision.aep_step import Act, Walk
from tests.stand_ins.aep import Adobe, aep_stand_in
from tests.support.adobe import ADOBE
from tests.support.manual_clock import ManualClock

KINDS = (
    "field_groups", "schemas", "datasets", "connections", "source_connections",
    "target_connections", "flows", "mapping_sets",
)  # fmt: skip


@dataclass
class Site:
    """One organisation in Adobe, and someone who sets it up."""

    adobe: Adobe
    platform: Platform
    ims: Ims
    transport: Transport
    clock: ManualClock
    acts: list[Act] = field(default_factory=list)

    async def set_up(
        self,
        *,
        write: bool = True,
        tell: Callable[[Act], None] = lambda act: None,
        **wishes: object,
    ) -> dict[str, str]:
        """Take the steps; what became of each is in `acts`."""
        wanted = Wishes(**wishes)  # type: ignore[arg-type]  # the settings of one test
        found = await discover(
            self.platform,
            tenant=await tenant_of(self.platform),
            journey_optimizer=False,
            consent=wanted.consent,
            extra_fields={},
        )
        walk = Walk(self.platform, write=write, tell=tell)
        ids, self.acts = await walk.take(resources_for(wanted, found.content), {})
        return ids

    @property
    def states(self) -> dict[str, str]:
        """What became of each step, by its key."""
        return {act.key: act.state for act in self.acts}

    def counts(self) -> dict[str, int]:
        """Count what there is in Adobe."""
        organisation = self.adobe.organisation
        return {kind: len(getattr(organisation, kind)) for kind in KINDS}

    def writes(self) -> list[tuple[str, str]]:
        """List the calls that were to change something, but for those that ask for a token."""
        return [
            (request.method, request.path)
            for request in self.adobe.requests
            if request.method != "GET" and "/ims/" not in request.path
        ]


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """Run a stand-in with nothing in it, for the length of the block."""
    clock = ManualClock()
    directory = ADOBE if ADOBE.is_dir() else None
    transport = Transport(connect_seconds_max=5, total_seconds_max=5, connections_max=2)
    async with aep_stand_in(clock=clock, directory=directory) as adobe:
        ims = Ims(
            transport,
            url=adobe.ims_url,
            client_id=adobe.client_id,
            client_secret=adobe.client_secret,
            scopes="openid",
            clock=clock,
        )
        platform = Platform(
            transport,
            ims,
            url=adobe.platform_url,
            org_id=adobe.org_id,
            client_id=adobe.client_id,
            sandbox=adobe.sandbox,
            clock=clock,
        )
        try:
            yield Site(adobe, platform, ims, transport, clock)
        finally:
            await transport.aclose()

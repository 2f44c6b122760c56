"""The looks of ``streamer aep doctor``, each a few findings about one thing in Adobe."""

from __future__ import annotations

from streamer.cli.aep_session import Session
from streamer.cli.looks.finding import Finding, failed, ok, warning
from streamer.cli.wording import count
from streamer.core.xdm.settings import DEFAULT_IDENTITIES, ENTITY_BYTES_MAX, MappingSettings
from streamer.destinations.aep_mapping import layers_of, own_fields_of
from streamer.destinations.aep_options import AepOptions
from streamer.provision.aep_catalog import is_read_by_profile
from streamer.provision.aep_content import paths_in, written_paths
from streamer.provision.aep_platform import REGISTRY, path_of
from streamer.provision.aep_readiness import Inlet, knock
from streamer.provision.aep_registry import RESOLVED, UNION, tenant_of
from streamer.provision.aep_watch import active_namespaces, dataset_of, read_state

PATHS_NAMED = 10
"""Of those that are missing; all of them stand in what --dry-run shows."""

_SETUP = "`streamer aep setup` adds what is missing."


class Looks:
    """What can be seen of one destination's side in Adobe."""

    def __init__(self, session: Session, options: AepOptions) -> None:
        self._platform = session.platform
        self._session = session
        self._options = options

    async def tenant(self) -> list[Finding]:
        """Look whether the credential reaches this sandbox, and whether the tenant is ours."""
        tenant = await tenant_of(self._platform)
        ours = self._options.tenant
        if ours is not None and ours != tenant:
            detail = f"it is {tenant}, and `tenant` says {ours}"
            hint = "Is `ims_org_id` the right organisation? Entities for another are refused."
            return [failed("aep.tenant", "the organisation's tenant is ours", detail, hint)]
        reached = f"{tenant}, sandbox {self._options.sandbox}"
        return [ok("aep.tenant", "the organisation can be reached", reached)]

    async def schema(self) -> list[Finding]:
        """Compare the schema with every path that the mapping, and its file, may write."""
        code, what = "aep.schema", "the schema has every field that is written"
        options = self._options
        if options.mode == "raw" or options.schema_id is None or options.tenant is None:
            return [ok(code, "the schema is Adobe's mapping's affair", "mode `raw`")]
        path = path_of(f"{REGISTRY}/tenant/schemas", options.schema_id)
        schema = await self._platform.look_up(path, accept=RESOLVED)
        if schema is None:
            detail = f"{options.schema_id} is gone"
            return [failed(code, what, detail, "`streamer aep setup` makes another one.")]
        own = own_fields_of(layers_of(options))
        written = written_paths(self._mapping(options.tenant), own)
        there = paths_in(schema)
        missing = [each for each in [*written, "identityMap"] if each not in there]
        if missing:
            named = ", ".join(missing[:PATHS_NAMED]) + (" …" if missing[PATHS_NAMED:] else "")
            detail = f"{count(len(missing), 'field')} missing: {named}"
            return [failed(code, what, detail, f"Adobe refuses such entities later. {_SETUP}")]
        return [ok(code, what, count(len(written), "field"))]

    def _mapping(self, tenant: str) -> MappingSettings:
        return MappingSettings(
            tenant=tenant,
            produces=self._options.produces,
            email_details=self._options.email_details,
            journey_optimizer=self._options.journey_optimizer,
        )

    async def dataset(self) -> list[Finding]:
        """Look at the dataset, and at what the profile would drop."""
        code, what = "aep.dataset", "the dataset takes this schema"
        options = self._options
        if options.dataset_id is None:
            return [ok(code, "the dataset is the dataflow's affair", "mode `raw`")]
        dataset = await dataset_of(self._platform, options.dataset_id)
        if dataset is None:
            hint = "`streamer aep setup` makes another one; what was in it is lost."
            return [failed(code, what, f"{options.dataset_id} is gone", hint)]
        schema = (dataset.get("schemaRef") or {}).get("id")
        if options.schema_id not in {None, schema}:
            hint = "Mend `schema_id` or `dataset_id`."
            return [failed(code, what, f"its schema is {schema}", hint)]
        found = ok(code, what, str(dataset.get("name", "")))
        return [found, *await self._profile(dataset)]

    async def _profile(self, dataset: dict[str, object]) -> list[Finding]:
        code, what = "aep.profile", "the profile can use what is sent"
        options = self._options
        if not is_read_by_profile(dataset):
            return [ok(code, "the profile does not read the dataset", "events are in the lake")]
        findings = []
        if options.entity_bytes_max > ENTITY_BYTES_MAX:
            detail = f"it drops events of more than {ENTITY_BYTES_MAX:,} bytes without a word"
            hint = f"Set `entity_bytes_max` to {ENTITY_BYTES_MAX}."
            findings.append(warning(code, what, detail, hint))
        if options.schema_id is not None:
            path = path_of(f"{REGISTRY}/tenant/schemas", options.schema_id)
            schema = await self._platform.get_object(path, accept=RESOLVED)
            if UNION not in (schema.get("meta:immutableTags") or []):
                hint = "`streamer aep setup --profile` puts the tag on."
                findings.append(failed(code, what, "its schema has no union tag", hint))
        return findings or [ok(code, what)]

    async def flow(self) -> list[Finding]:
        """Look whether the dataflow and its connection are on, and who may write to it."""
        code, what = "aep.flow", "the dataflow takes data"
        options = self._options
        state = await read_state(
            self._platform, flow_id=options.flow_id, dataset_id=options.dataset_id
        )
        if state.flow == "gone":
            return [failed(code, what, f"{options.flow_id} is gone", _SETUP)]
        if state.flow != "enabled":
            return [
                failed(code, what, f"it is {state.flow}", "`streamer aep enable` switches it on.")
            ]
        findings = [ok(code, what, state.name)]
        if state.authenticated is False:
            hint = "Whoever knows the inlet's URL can write to the dataset. `streamer aep setup` "
            hint += "with another --name makes a connection that wants a token."
            code, what = "aep.connection", "the inlet wants a token"
            findings.append(warning(code, what, "it takes data from anybody", hint))
        return findings

    async def inlet(self) -> list[Finding]:
        """Ask the inlet with a batch of no messages, of which nothing can be stored."""
        code, what = "aep.inlet", "the inlet takes calls with our token"
        inlet = Inlet(url=self._options.inlet_url, sandbox=self._options.sandbox)
        answer = await knock(self._session.transport, self._session.ims, inlet)
        if answer.state == "ready":
            return [ok(code, what, answer.detail)]
        hint = "A 403 without a reason is an address that is not on the organisation's list, one "
        hint += "with a reason another sandbox or organisation; a 404 is an inlet that was "
        hint += "deleted, or `inlet_url` of another one."
        return [failed(code, what, answer.detail, hint)]

    async def namespaces(self) -> list[Finding]:
        """Look whether every namespace that identities are written in is registered."""
        code, what = "aep.namespaces", "the identity namespaces are registered"
        if self._options.mode == "raw":
            return [ok(code, "identities are Adobe's mapping's affair", "mode `raw`")]
        used = {each.namespace for each in self._options.identities or DEFAULT_IDENTITIES}
        active = await active_namespaces(self._platform)
        missing = sorted(used - active)
        if missing:
            hint = "Profile refuses events with an unknown one. Register it in Adobe (Identities), "
            hint += "or mend `identities`; upper and lower case matter."
            return [failed(code, what, f"not there: {', '.join(missing)}", hint)]
        return [ok(code, what, ", ".join(sorted(used)))]

"""Reading how a dataflow does: its state, its runs, and what it leads to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from streamer.core.errors import StreamerError
from streamer.core.times import rfc3339
from streamer.provision.aep_catalog import is_read_by_profile
from streamer.provision.aep_platform import CATALOG, FLOWS, NAMESPACES, Call, Platform, path_of
from streamer.provision.aep_problem import not_understood


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a dataflow did in a while of an hour or less."""

    id: str
    status: str
    started_at: str | None
    """RFC 3339."""
    ended_at: str | None
    taken: int
    """Records that came in."""
    kept: int
    failed: int
    errors: list[str]


class FlowState(msgspec.Struct, frozen=True, kw_only=True):
    """A dataflow, and what it leads from and to."""

    flow: str
    """``enabled``, ``disabled``, ``gone``."""
    name: str
    connection: str
    authenticated: bool | None
    dataset: str
    """Its name; empty when it is gone."""
    dataset_in_profile: bool | None


async def read_state(platform: Platform, *, flow_id: str, dataset_id: str | None) -> FlowState:
    """Read how a dataflow stands; what is gone is said to be."""
    flow = await platform.flow_item(f"{FLOWS}/flows", flow_id)
    connection = await _connection_of(platform, flow or {})
    parameters = ((connection or {}).get("auth") or {}).get("params") or {}
    dataset = await dataset_of(platform, dataset_id) if dataset_id else None
    return FlowState(
        flow="gone" if flow is None else str(flow.get("state", "unknown")),
        name=str((flow or {}).get("name", "")),
        connection="gone" if connection is None else str(connection.get("state", "unknown")),
        authenticated=parameters.get("authenticationRequired"),
        dataset="" if dataset is None else str(dataset.get("name", "")),
        dataset_in_profile=None if dataset is None else is_read_by_profile(dataset),
    )


async def dataset_of(platform: Platform, dataset_id: str) -> dict[str, Any] | None:
    """Read a dataset; None when it is gone."""
    document = await platform.look_up(path_of(f"{CATALOG}/dataSets", dataset_id))
    return None if not document else document.get(dataset_id, document)


async def _connection_of(platform: Platform, flow: Mapping[str, Any]) -> dict[str, Any] | None:
    for source_id in flow.get("sourceConnectionIds") or []:
        source = await platform.flow_item(f"{FLOWS}/sourceConnections", source_id)
        base = (source or {}).get("baseConnectionId")
        if base:
            return await platform.flow_item(f"{FLOWS}/connections", base)
    return None


async def read_runs(platform: Platform, flow_id: str, limit: int) -> list[Run]:
    """Read the newest runs of a dataflow."""
    runs = []
    path, query = f"{FLOWS}/runs", {"property": f"flowId=={flow_id}", "orderby": "-createdAt"}
    async for item in platform.flow_items(path, **query):
        runs.append(as_run(item))
        if len(runs) == limit:
            break
    return runs


def as_run(item: Mapping[str, Any]) -> Run:
    """Read one run; what it does not say is zero, empty or unknown."""
    metrics = item.get("metrics") or {}
    lasted = metrics.get("durationSummary") or {}
    records = metrics.get("recordSummary") or {}
    said = metrics.get("statusSummary") or {}
    return Run(
        id=str(item.get("id", "")),
        status=str(said.get("status") or item.get("state") or "unknown"),
        started_at=_moment(lasted.get("startedAtUTC")),
        ended_at=_moment(lasted.get("completedAtUTC")),
        taken=_number(records.get("inputRecordCount")),
        kept=_number(records.get("outputRecordCount")),
        failed=_number(records.get("failedRecordCount")),
        errors=[
            str(error.get("message") or error.get("code"))
            for error in said.get("errors") or []
            if isinstance(error, Mapping)
        ],
    )


def _moment(at_ms: object) -> str | None:
    return rfc3339(int(at_ms)) if isinstance(at_ms, int | float) and at_ms > 0 else None


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0


async def active_namespaces(platform: Platform) -> set[str]:
    """Return the codes of the identity namespaces that the organisation can use."""
    listed = await platform.get(NAMESPACES)
    if not isinstance(listed, list):
        raise not_understood(NAMESPACES)
    return {
        str(each.get("code"))
        for each in listed
        if isinstance(each, dict) and each.get("status", "ACTIVE") == "ACTIVE"
    }


async def switch(platform: Platform, flow_id: str, *, on: bool) -> bool:
    """Switch a dataflow on or off; return whether it was otherwise before.

    Raises:
        StreamerError: it is gone.
    """
    flow = await platform.flow_item(f"{FLOWS}/flows", flow_id)
    if flow is None:
        raise StreamerError(
            f"the dataflow {flow_id} is gone", hint="`streamer aep setup` makes another one."
        )
    if flow.get("state") == ("enabled" if on else "disabled"):
        return False
    path = path_of(f"{FLOWS}/flows/{flow_id}", "action", op="ENABLE" if on else "DISABLE")
    headers = {"If-Match": str(flow["etag"])} if flow.get("etag") else {}
    await platform.make(Call(method="POST", path=path, headers=headers))
    return True

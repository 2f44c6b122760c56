"""Is the service there, does it answer on its own address, and is it this one?"""

from __future__ import annotations

from pathlib import Path

from streamer.cli.calls import Caller, CallFailed, Place, Reply, place_of_bind
from streamer.cli.common import service_runs
from streamer.cli.looks.finding import Finding, failed, ok, warning
from streamer.config.model import Config
from streamer.ingest.answers import INSTANCE_HEADER
from streamer.store import lockfile

TIMEOUT_SECONDS = 5.0
SLOW_SECONDS = 1.0
"""A write that takes this long leaves little of the three seconds for a busy moment."""


def running(data_dir: Path) -> list[Finding]:
    """Say whether a process holds the data directory."""
    code, what = "service.running", "the service is running"
    if lockfile.is_held(data_dir):
        return [ok(code, what, f"it holds {data_dir}")]
    return [
        failed(
            code,
            "the service is not running",
            f"nobody holds {data_dir}",
            "Start it with `systemctl start streamer`, or `streamer serve`. Does it end at once? "
            "`journalctl -u streamer` says why.",
        )
    ]


def answering(config: Config, instance: str) -> list[Finding]:
    """Ask the listener itself, past any proxy, whether a call would be stored now.

    Without a process nothing is asked: a socket unit would start one.
    """
    if service_runs(config.database_path.parent) is False:
        return []
    place = place_of_bind(config.server.bind).at("/readyz")
    try:
        with Caller(place, timeout_seconds=TIMEOUT_SECONDS) as caller:
            return judge_readiness(place, caller.call("GET"), instance)
    except CallFailed as error:
        hint = "With a socket unit, server.bind has to say what the unit listens on."
        if isinstance(error.__cause__, PermissionError):
            hint = "The proxy's user needs this right too: see the socket's mode and group."
        return [failed("service.ready", "the service does not answer", str(error), hint)]


def judge_readiness(place: Place, reply: Reply, instance: str) -> list[Finding]:
    """Judge what the listener said."""
    code, what = "service.ready", "a call would be stored now"
    told = reply.headers.get(INSTANCE_HEADER)
    if told is None:
        hint = "Another program may listen there: `ss -ltnp` shows which."
        detail = f"{place.url} is answered by something else"
        return [failed(code, "the service's address leads elsewhere", detail, hint)]
    if instance and told != instance:
        detail = f"{place.url} is answered by a streamer with another database"
        hint = "Look for a second service, or another --config."
        return [failed(code, "the service's address leads elsewhere", detail, hint)]
    milliseconds = f"{reply.seconds * 1000:.0f} ms"
    if reply.status != 200:
        reason = reply.body.decode("utf-8", "replace").strip()
        hint = "Calls are answered 503 meanwhile."
        return [failed(code, "a call would not be stored now", f"{place.url}: {reason}", hint)]
    if reply.seconds > SLOW_SECONDS:
        hint = "The disk is slow or busy: look at `iostat -x 1`."
        return [warning(code, "storing a call is slow", f"a write took {milliseconds}", hint)]
    return [ok(code, what, f"{place.url}, with a write, in {milliseconds}")]

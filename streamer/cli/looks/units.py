"""The systemd units, as the service manager has them."""

from __future__ import annotations

from collections.abc import Mapping

from streamer.cli.looks.finding import Finding, failed, ok, warning
from streamer.cli.looks.machine import ask_tool, properties

SERVICE = "streamer.service"
SOCKET = "streamer.socket"
_SHOWN = (
    "LoadState,UnitFileState,ActiveState,SubState,Result,NRestarts,DropInPaths,LimitNOFILE,"
    "NeedDaemonReload"
)
OPEN_FILES_FEW = 4_096
"""Connections take one each, and a proxy that holds many must not use them up."""


def units() -> list[Finding]:
    """Ask the service manager for both units; nothing is said where there is none."""
    shown = {}
    for name in (SERVICE, SOCKET):
        text = ask_tool("systemctl", "show", name, f"--property={_SHOWN}")
        if text is None:
            return [ok("unit", "there is no systemd to ask")]
        shown[name] = properties(text)
    return judge_units(shown[SERVICE], shown[SOCKET])


def judge_units(service: Mapping[str, str], socket: Mapping[str, str]) -> list[Finding]:
    """Judge both units by the properties that ``systemctl show`` prints."""
    if service.get("LoadState") != "loaded":
        detail = f"{SERVICE} is {service.get('LoadState', 'unknown')}"
        hint = "systemd/install.sh installs it; see docs/install.md."
        return [warning("unit", "no service manager looks after streamer", detail, hint)]
    return [
        _judge_activity(service),
        _judge_socket(socket),
        *_judge_boot(service, socket),
        *_judge_settings(service),
    ]


def _judge_activity(service: Mapping[str, str]) -> Finding:
    active = service.get("ActiveState", "")
    detail = f"{active} ({service.get('SubState', '')}), restarts: {service.get('NRestarts', '?')}"
    if active in {"active", "reloading"}:
        return ok("unit.service", f"{SERVICE} is active", detail)
    hint = "`journalctl -u streamer` says why; then `systemctl start streamer`."
    if active == "failed":
        detail += f", {service.get('Result', '')}"
        hint = (
            "`journalctl -u streamer` says why; then `systemctl reset-failed streamer`, and start."
        )
    return failed("unit.service", f"{SERVICE} is not active", detail, hint)


def _judge_socket(socket: Mapping[str, str]) -> Finding:
    active = socket.get("ActiveState", "unknown")
    if active == "active":
        return ok("unit.socket", "connections wait during a restart", f"{SOCKET} is active")
    return failed(
        "unit.socket",
        "connections are refused during a restart",
        f"{SOCKET} is {active}: each restart refuses senders, which costs an hour",
        f"systemctl stop {SERVICE}; systemctl enable --now {SOCKET}; systemctl start {SERVICE}",
    )


def _judge_boot(service: Mapping[str, str], socket: Mapping[str, str]) -> list[Finding]:
    off = [
        name
        for name, shown in ((SERVICE, service), (SOCKET, socket))
        if not shown.get("UnitFileState", "").startswith("enabled")
    ]
    if not off:
        return [ok("unit.boot", "the service starts after a boot")]
    names = " ".join(off)
    return [
        warning(
            "unit.boot",
            "the service does not start after a boot",
            f"not enabled: {names}",
            f"systemctl enable {names}",
        )
    ]


def _judge_settings(service: Mapping[str, str]) -> list[Finding]:
    findings = []
    if service.get("NeedDaemonReload") == "yes":
        hint = "systemctl daemon-reload && systemctl restart streamer"
        findings.append(warning("unit.reload", "systemd has not read the unit's files", "", hint))
    if service.get("DropInPaths"):
        findings.append(ok("unit.drop_ins", "there are drop-ins", service["DropInPaths"]))
    limit = service.get("LimitNOFILE", "infinity")
    if limit.isdecimal() and int(limit) < OPEN_FILES_FEW:
        hint = "Take the LimitNOFILE= out of the drop-in."
        findings.append(warning("unit.files", "few files can be open", limit, hint))
    return findings

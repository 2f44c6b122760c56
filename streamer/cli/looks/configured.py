"""The configuration, its secrets, and each destination's own test of itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from streamer.cli import probing
from streamer.cli.inspection import Inspection
from streamer.cli.looks.finding import Finding, failed, guarded, ok, warning
from streamer.config.problems import Problem
from streamer.destinations.base import Destination
from streamer.destinations.base import Finding as Probed


def configuration(found: Inspection) -> list[Finding]:
    """Tell every mistake and every warning of the configuration."""
    code, what = "configuration", "the configuration is right"
    findings = [failed(code, *_told(problem)) for problem in found.problems]
    findings += [warning(code, *_told(problem)) for problem in found.warnings]
    return findings if found.problems else [ok(code, what, found.subject), *findings]


def _told(problem: Problem) -> tuple[str, str, str]:
    subject = " ".join(filter(None, [problem.path, f"({problem.where})" if problem.where else ""]))
    return subject or "the configuration", problem.message, problem.hint


def destinations(built: Sequence[Destination], *, as_service: bool) -> list[Finding]:
    """Let every destination test itself; without the service's rights a failure proves nothing."""
    findings: list[Finding] = []
    for destination in built:
        look = partial(_probed, destination, as_service=as_service)
        what = f"destination {destination.name}"
        findings += guarded(f"destination.{destination.name}", what, look)
    return findings


def _probed(destination: Destination, *, as_service: bool) -> list[Finding]:
    probed = probing.probe(destination)
    return judge_probe(destination.name, probed, as_service=as_service)


def judge_probe(name: str, probed: Sequence[Probed], *, as_service: bool) -> list[Finding]:
    """Turn what a destination says of itself into findings."""
    code, bad = f"destination.{name}", failed if as_service else warning
    return [
        ok(code, f"{name}: {one.what}", one.detail)
        if one.ok
        else bad(code, f"{name}: {one.what}", one.detail, one.hint)
        for one in probed
    ]

"""How findings are printed: for people, with what to do about each, or as JSON for programs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from streamer.cli import console
from streamer.cli.looks.finding import Finding
from streamer.cli.wording import count

_STRIKING = re.compile("(FAILED|WARNING) ")
_MARKS = {"ok": "ok     ", "warning": "WARNING", "failed": "FAILED "}


def failures(findings: Sequence[Finding]) -> int:
    """Count what somebody has to act on."""
    return sum(finding.state == "failed" for finding in findings)


def print_findings(findings: Sequence[Finding], *, json: bool) -> None:
    """Print them, and how many there are of each state."""
    if json:
        console.print_json({"ok": not failures(findings), "findings": findings})
    else:
        console.print_text(_written(findings), striking=_STRIKING)


def _written(findings: Sequence[Finding]) -> list[str]:
    lines = []
    for finding in findings:
        detail = f": {finding.detail}" if finding.detail else ""
        lines.append(f"{_MARKS[finding.state]} {finding.what}{detail}")
        if finding.hint:
            lines.append(f"        {finding.hint}")
    fine, warnings, failed = (
        sum(finding.state == state for finding in findings) for state in _MARKS
    )
    return [*lines, "", f"{failed} failed, {count(warnings, 'warning')}, {fine} ok"]

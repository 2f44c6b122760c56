"""``streamer aep doctor``: one look at everything in Adobe that could lose events.

Nothing is written. A look that fails does not end the rest, but without a
token there is nothing further to be seen, and an Adobe that does not answer
is waited for once.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from streamer.cli import common
from streamer.cli.aep_looks import Looks
from streamer.cli.aep_session import Access, access_of, choose_destination, open_session
from streamer.cli.looks import machine, report
from streamer.cli.looks.finding import Finding, failed, guarded, ok, warning
from streamer.clock import SystemClock
from streamer.core.errors import StreamerError
from streamer.destinations.aep_options import AepOptions
from streamer.provision.aep_problem import PlatformError

Look = Callable[[], Awaitable[list[Finding]]]


def run(destination: str | None, *, json: bool, config: Path | None) -> None:
    """Look at everything, tell it, and exit with 1 if anything failed."""
    settings = common.load_config(config).config
    name, options = choose_destination(settings, destination)
    findings = anyio.run(_examine, access_of(name, options), options)
    findings += guarded("clock", "the clock", machine.clock)
    report.print_findings(findings, json=json)
    if report.failures(findings):
        sys.exit(1)


async def _examine(access: Access, options: AepOptions) -> list[Finding]:
    """Take every look."""
    async with open_session(access, SystemClock()) as session:
        try:
            await session.ims.token()
        except StreamerError as error:
            return [failed("aep.token", "Adobe gives a token", str(error), error.hint)]
        looks = Looks(session, options)
        every: list[tuple[str, str, Look]] = [
            ("aep.tenant", "the organisation's tenant", looks.tenant),
            ("aep.schema", "the schema", looks.schema),
            ("aep.dataset", "the dataset", looks.dataset),
            ("aep.flow", "the dataflow", looks.flow),
            ("aep.inlet", "the inlet", looks.inlet),
            ("aep.namespaces", "the identity namespaces", looks.namespaces),
        ]
        findings = [ok("aep.token", "Adobe gives a token", f"for {access.client_id}")]
        away = False
        for code, what, look in every:
            if away and code != "aep.inlet":  # which is another server
                findings.append(warning(code, what, "not looked at, for the same reason"))
                continue
            try:
                findings += await look()
            except StreamerError as error:
                findings.append(failed(code, what, str(error), error.hint))
                away = away or (isinstance(error, PlatformError) and error.status is None)
        return findings

"""What it means that a server cannot be reached: for events, and for the self-test."""

from __future__ import annotations

from streamer.core.limits import DAY_SECONDS
from streamer.core.outcome import Outcome, deferred, held
from streamer.destinations.base import Finding
from streamer.destinations.transport import Fault, Transport, TransportError

_CERTIFICATE_DAYS_LOW = 14
"""A certificate that is valid for less is a finding: most are renewed a month before."""

_HINTS = {
    Fault.DNS: "See whether `{setting}` is spelt right, and whether this machine resolves other "
    "names.",
    Fault.TLS: "See whether the port is one that speaks TLS.",
    Fault.CERTIFICATE: "Have it renewed, or set `ca_file` if its authority is your own.",
}


def outcome_without_answer(error: TransportError) -> Outcome:
    """Hold on a bad certificate, since somebody has to act; all else may pass by itself."""
    if error.fault is Fault.CERTIFICATE:
        return held(error.fault.value, str(error))
    return deferred(error.fault.value, str(error))


async def try_to_reach(
    transport: Transport, url: str, *, setting: str, now_ms: int
) -> list[Finding]:
    """Connect to the server that a setting names, and look at its certificate; ask for nothing."""
    try:
        reached = await transport.reach(url)
    except TransportError as error:
        hint = _HINTS.get(error.fault, "See whether it can be reached from this machine.")
        what = "the server cannot be reached"
        return [Finding(False, what, str(error), hint.format(setting=setting))]
    found = Finding(True, "the server can be reached", reached.address)
    if reached.certificate_expires_at is None:
        return [found]
    return [found, _certificate_finding(reached.certificate_expires_at, now_ms)]


def _certificate_finding(expires_at: int, now_ms: int) -> Finding:
    days = (expires_at - now_ms) // (DAY_SECONDS * 1000)
    left = f"for {days} more days"
    if days >= _CERTIFICATE_DAYS_LOW:
        return Finding(True, "the certificate is valid", left)
    hint = "Have whoever runs the server renew it now."
    return Finding(False, "the certificate runs out soon", left, hint)

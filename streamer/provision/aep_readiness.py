"""Waiting until a new dataflow takes data.

Adobe says that a dataflow needs about five minutes after it was made, and
gives no way to ask whether they are over that would not write data. So what is
waited for is this: the dataflow is enabled, five minutes have passed since it
was made, and its inlet takes our token. The last is asked with a batch of no
messages: nothing can come of it in a dataset, whatever the answer is, and any
answer that is not about the token or the address will do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from streamer.clock import Clock
from streamer.core.errors import StreamerError
from streamer.core.limits import KIB
from streamer.core.provision_limits import ADOBE_INLET_SECONDS_MAX
from streamer.destinations.aep_url import batch_url
from streamer.destinations.transport import Fault, Transport, TransportError
from streamer.provision.aep_platform import FLOWS, Platform, Tokens
from streamer.provision.aep_problem import quoted

FLOW_READY_SECONDS = 300.0
"""What Adobe's tutorial says."""

LOOK_SECONDS = 15.0
"""How often an inlet that is not there yet is asked again."""

_ANSWER_BYTES_MAX = 64 * KIB
_PASSING = frozenset({404, 408, 425, 429})
"""404: an inlet that does not know its address yet."""


class Inlet(msgspec.Struct, frozen=True, kw_only=True):
    """Where messages go."""

    url: str
    """As Adobe gave it, for single messages."""
    sandbox: str


class Knock(msgspec.Struct, frozen=True):
    """What an inlet said to a batch of no messages."""

    state: str
    """``ready``; ``refused``, for the token's sake or ours; ``unreachable``; or ``not yet``."""
    detail: str


async def knock(transport: Transport, tokens: Tokens, inlet: Inlet) -> Knock:
    """Ask an inlet whether it takes calls with our token; nothing is written."""
    token = await tokens.token()
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "x-sandbox-name": inlet.sandbox,
    }
    try:
        answer = await transport.request(
            "POST",
            batch_url(inlet.url),
            headers=headers,
            body=b'{"messages":[]}',
            answer_bytes_max=_ANSWER_BYTES_MAX,
        )
    except ValueError as error:
        return Knock("refused", f"its URL {error}")
    except TransportError as error:
        passing = error.fault not in {Fault.DNS, Fault.TLS, Fault.CERTIFICATE}
        return Knock("not yet" if passing else "unreachable", str(error))
    if answer.status == 401:
        tokens.reject(token)
    said = " ".join(filter(None, [f"it answered {answer.status}", quoted(answer.body)]))
    if answer.status in {401, 403}:
        return Knock("refused", said)
    if answer.status in _PASSING or answer.status >= 500:
        return Knock("not yet", said)
    return Knock("ready", "asked with a batch of no events")


class Waiting:
    """The wait for the inlet and the dataflow of one set-up."""

    def __init__(
        self,
        platform: Platform,
        *,
        ask: Callable[[], Any],
        clock: Clock,
        tell: Callable[[float, str], None],
    ) -> None:
        """Set what is asked and told.

        ``ask`` returns the coroutine of a `knock`; ``tell`` hears how many seconds are left, and
        what is waited for.
        """
        self._platform = platform
        self._ask = ask
        self._clock = clock
        self._tell = tell

    async def until_ready(self, flow_id: str) -> None:
        """Wait until data may be sent.

        Raises:
            StreamerError: the dataflow is switched off or gone, or the inlet refuses our token or
                never took a call. Running the command again goes on waiting.
        """
        await self._let_pass(_seconds_left(await self._flow(flow_id), self._clock.now()))
        await self._flow(flow_id)
        await self._until_inlet_answers()

    async def _flow(self, flow_id: str) -> dict[str, Any]:
        flow = await self._platform.flow_item(f"{FLOWS}/flows", flow_id)
        if flow is None:
            raise StreamerError(
                f"the dataflow {flow_id} is gone", hint="Run `streamer aep setup` again."
            )
        if flow.get("state", "enabled") == "disabled":
            raise StreamerError(
                f"the dataflow {flow_id} is switched off and takes no data",
                hint="`streamer aep enable` switches it on.",
            )
        return flow

    async def _let_pass(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0:
            self._tell(left, "a new dataflow takes data about five minutes after it was made")
            await self._clock.sleep(min(left, 1.0))

    async def _until_inlet_answers(self) -> None:
        until = self._clock.monotonic() + ADOBE_INLET_SECONDS_MAX
        refused = 0
        while (answer := await self._ask()).state != "ready":
            refused += answer.state == "refused"
            left = until - self._clock.monotonic()
            # The first token may have been an old one; a second refusal is about the credentials.
            if refused > 1 or answer.state == "unreachable" or left <= 0:
                raise _not_taken(answer)
            self._tell(left, f"the inlet does not take calls yet: {answer.detail}")
            await self._clock.sleep(LOOK_SECONDS)


def _not_taken(answer: Knock) -> StreamerError:
    if answer.state == "refused":
        hint = (
            "Is the credential's project allowed to use Experience Platform in this sandbox, and "
            "is this machine's address allowed, if the organisation has a list of them?"
        )
        return StreamerError(f"the inlet does not take our token: {answer.detail}", hint=hint)
    return StreamerError(
        f"the inlet takes no calls: {answer.detail}",
        hint="Everything is made; run the command again to go on waiting.",
    )


def _seconds_left(flow: dict[str, Any], now_ms: int) -> float:
    """Return how long to wait, by our own clock, which may differ from Adobe's."""
    made_ms = flow.get("createdAt")
    if not isinstance(made_ms, int | float) or isinstance(made_ms, bool):
        return FLOW_READY_SECONDS
    age_seconds = max(0.0, (now_ms - made_ms) / 1000)
    return max(0.0, FLOW_READY_SECONDS - age_seconds)

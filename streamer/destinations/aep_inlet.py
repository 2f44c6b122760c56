"""One request to an inlet: with a token, and once more with another if that one is refused.

Returns what became of each message, whatever happened; what an answer means is
decided in `aep_answer`. Tokens, addresses and answers' bodies stay out of
outcomes, but for what Adobe says is wrong with a message.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer.clock import Clock
from streamer.core.limits import ANSWER_BYTES_MAX, ANSWER_BYTES_PER_EVENT
from streamer.core.outcome import Outcome, deferred, held
from streamer.destinations.aep_answer import CREDENTIALS, judge
from streamer.destinations.aep_messages import Author, Message
from streamer.destinations.aep_options import AepOptions
from streamer.destinations.aep_url import batch_url
from streamer.destinations.http_answer import unpack
from streamer.destinations.ims import Ims, ImsError
from streamer.destinations.reaching import outcome_without_answer
from streamer.destinations.transport import Transport, TransportError


class Inlet:
    """Where a destination's requests go."""

    def __init__(
        self,
        options: AepOptions,
        *,
        author: Author,
        transport: Transport,
        ims: Ims | None,
        clock: Clock,
    ) -> None:
        """Make the address and the headers ready; ``ims`` is None without authentication."""
        self._url = batch_url(options.inlet_url)
        self._headers = _fixed_headers(options)
        self._author = author
        self._transport = transport
        self._ims = ims
        self._clock = clock

    async def offer(self, messages: Sequence[Message]) -> list[Outcome]:
        """Send messages in one request; return one outcome for each, in order."""
        if self._ims is None:
            return await self._post(messages, self._headers)
        try:
            token = await self._ims.token()
        except ImsError as error:
            return [_without_token(error)] * len(messages)
        said = await self._post(messages, self._with(token))
        refused = [at for at, outcome in enumerate(said) if outcome.reason == CREDENTIALS]
        if refused:
            self._ims.reject(token)
            again = await self._offer_again(self._ims, [messages[at] for at in refused])
            for at, outcome in zip(refused, again, strict=True):
                said[at] = outcome
        return said

    async def _offer_again(self, ims: Ims, messages: Sequence[Message]) -> list[Outcome]:
        """Send what was refused because of the token once more, with another."""
        try:
            token = await ims.token()
        except ImsError as error:
            return [_without_token(error)] * len(messages)
        return await self._post(messages, self._with(token))

    def _with(self, token: str) -> dict[str, str]:
        return {**self._headers, "Authorization": f"Bearer {token}"}

    async def _post(self, messages: Sequence[Message], headers: dict[str, str]) -> list[Outcome]:
        count = len(messages)
        bytes_max = ANSWER_BYTES_MAX + ANSWER_BYTES_PER_EVENT * count
        try:
            answer = await self._transport.request(
                "POST",
                self._url,
                headers=headers,
                body=self._author.frame(self._clock.now()).body(messages),
                answer_bytes_max=bytes_max,
            )
        except TransportError as error:
            return [outcome_without_answer(error)] * count
        packing = answer.headers.get("content-encoding", "")
        return judge(
            answer.status,
            unpack(answer.body, packing, bytes_max).body,
            count=count,
            retry_after=answer.headers.get("retry-after"),
            now_ms=self._clock.now(),
        )


def _without_token(error: ImsError) -> Outcome:
    told = f"{error}. {error.hint}" if error.hint else str(error)
    if error.holds:
        return held(error.reason, told)
    return deferred(error.reason, told, retry_after_seconds=error.retry_after_seconds)


def _fixed_headers(options: AepOptions) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if options.client_id is not None:
        # One is in Adobe's specification, the other in what Adobe's pages generate.
        headers |= {"x-sandbox-name": options.sandbox, "sandbox-name": options.sandbox}
    if options.mode == "raw":
        headers["x-adobe-flow-id"] = options.flow_id
    return headers

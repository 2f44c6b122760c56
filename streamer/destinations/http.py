"""The destination of kind ``http``: CloudEvents by POST to one URL.

A request carries a batch, or one event in mode ``single``. Its ``webhook-id``
is the digest of exactly the events in it: the receiver that remembers ids
drops what a lost answer made us repeat. What an answer means is decided in
`http_answer`; how it is fetched, in `transport`.

Keys, addresses and answers' bodies stay out of outcomes, alarms and errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamer.clock import Clock
from streamer.core.alarms import ODD_ANSWER, Alarm
from streamer.core.cloudevents import (
    BATCH_CONTENT_TYPE,
    EVENT_CONTENT_TYPE,
    CloudEvent,
    encode_batch,
    encode_one,
    envelope_each,
    source_of,
)
from streamer.core.errors import ConfigurationError
from streamer.core.event import StoredEvent
from streamer.core.limits import ANSWER_BYTES_MAX, ANSWER_BYTES_PER_EVENT, SINGLE_SECONDS_MAX
from streamer.core.outcome import NOT_ATTEMPTED, Outcome, Verdict
from streamer.core.privacy import Redactor
from streamer.core.standard_webhooks import message_id, signed_headers, signing_key
from streamer.destinations.base import Destination, Finding
from streamer.destinations.common_options import Secret
from streamer.destinations.http_answer import judge_accepting_body, judge_status, unpack
from streamer.destinations.http_headers import is_token
from streamer.destinations.options import HttpOptions
from streamer.destinations.reaching import outcome_without_answer, try_to_reach
from streamer.destinations.transport import Answer, Transport, TransportError

_Sendable = tuple[StoredEvent, CloudEvent]


class HttpDestination(Destination):
    """An HTTP endpoint that takes CloudEvents. It keeps nothing but open connections."""

    kind = "http"

    def __init__(
        self,
        name: str,
        options: HttpOptions,
        *,
        clock: Clock,
        key: str | None,
        bearer_token: str | None,
        raise_alarm: Callable[[Alarm, str], None],
    ) -> None:
        """Check what can be checked without connecting.

        ``key`` is the Standard Webhooks key and ``bearer_token`` the token, as people keep them.

        Raises:
            ConfigurationError: the key, the token or ``ca_file`` cannot be used.
        """
        self.name = name
        single = options.mode == "single"
        self.send_seconds_max = options.timeout_seconds + (SINGLE_SECONDS_MAX if single else 0)
        self._options = options
        self._clock = clock
        self._raise_alarm = raise_alarm
        self._redactor = Redactor(drop=options.privacy.drop, hash=options.privacy.hash)
        self._key = None if key is None else signing_key(key)
        self._headers = _fixed_headers(options, bearer_token)
        self._hurried = False
        self._transport = Transport(
            connect_seconds_max=options.connect_timeout_seconds,
            total_seconds_max=options.timeout_seconds,
            connections_max=options.sends_max,
            ca_file=options.ca_file,
        )

    async def send(self, events: Sequence[StoredEvent]) -> list[Outcome]:
        """Offer the events in one request, or in one each in mode ``single``."""
        made = envelope_each(events, self._redactor)
        sendable = [
            (event, each)
            for event, each in zip(events, made, strict=True)
            if isinstance(each, CloudEvent)
        ]
        send = self._send_batch if self._options.mode == "batch" else self._send_singly
        outcomes = iter(await send(sendable) if sendable else [])
        return [next(outcomes) if isinstance(each, CloudEvent) else each for each in made]

    def hurry(self) -> None:
        """Begin no further request in a `send`, once it has made one."""
        self._hurried = True

    async def probe(self) -> list[Finding]:
        """Connect, look at the certificate and at our key; send no request."""
        reached = await try_to_reach(
            self._transport, self._options.url, setting="url", now_ms=self._clock.now()
        )
        return [self._signing_finding(), *reached]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _send_batch(self, sendable: Sequence[_Sendable]) -> list[Outcome]:
        events = [event for event, _ in sendable]
        body = encode_batch([envelope for _, envelope in sendable])
        return await self._post(events, body, BATCH_CONTENT_TYPE, whole=True)

    async def _send_singly(self, sendable: Sequence[_Sendable]) -> list[Outcome]:
        """Send one after the other, up to the first that is not accepted: order is kept."""
        until = self._clock.monotonic() + SINGLE_SECONDS_MAX
        outcomes: list[Outcome] = []
        for event, envelope in sendable:
            body = encode_one(envelope)
            outcomes += await self._post([event], body, EVENT_CONTENT_TYPE, whole=False)
            stopped = self._hurried or self._clock.monotonic() >= until
            if stopped or outcomes[-1].verdict is not Verdict.ACCEPTED:
                break
        return outcomes + [NOT_ATTEMPTED] * (len(sendable) - len(outcomes))

    async def _post(
        self, events: Sequence[StoredEvent], body: bytes, content_type: str, *, whole: bool
    ) -> list[Outcome]:
        headers = {**self._headers, **self._message_headers(events, body)}
        headers["Content-Type"] = content_type
        bytes_max = ANSWER_BYTES_MAX + ANSWER_BYTES_PER_EVENT * len(events)
        try:
            answer = await self._transport.request(
                "POST",
                self._options.url,
                headers=headers,
                body=body,
                answer_bytes_max=bytes_max,
            )
        except TransportError as error:
            return [outcome_without_answer(error)] * len(events)
        outcome = judge_status(
            answer.status,
            retry_after=answer.headers.get("retry-after"),
            now_ms=self._clock.now(),
            whole=whole,
        )
        if outcome.verdict is not Verdict.ACCEPTED:
            return [outcome] * len(events)
        return self._judge_accepted(answer, events, bytes_max)

    def _judge_accepted(
        self, answer: Answer, events: Sequence[StoredEvent], bytes_max: int
    ) -> list[Outcome]:
        """Return what a 2xx says of each event, and tell of what makes no sense in it."""
        content = unpack(answer.body, answer.headers.get("content-encoding", ""), bytes_max)
        is_cut = answer.is_cut or content.is_cut
        judgement = judge_accepting_body(content.body, events, is_cut=is_cut)
        if oddity := content.oddity or judgement.oddity:
            self._raise_alarm(ODD_ANSWER, f"{self.name}: answered {answer.status}, but {oddity}")
        return judgement.outcomes

    def _message_headers(self, events: Sequence[StoredEvent], body: bytes) -> dict[str, str]:
        message = message_id((source_of(event), event.event_id) for event in events)
        if self._key is None:
            return {"webhook-id": message}
        seconds = self._clock.now() // 1000
        return signed_headers(self._key, message=message, sent_at_seconds=seconds, body=body)

    def _signing_finding(self) -> Finding:
        if self._key is None:
            return Finding(True, "requests are not signed", "no signing_key is set")
        return Finding(True, "requests are signed", "the signing key can be read")


def _fixed_headers(options: HttpOptions, bearer_token: str | None) -> dict[str, str]:
    if bearer_token is None:
        return dict(options.headers)
    token = bearer_token.strip()
    if not is_token(token):
        # The token itself is not shown, nor what is wrong with it.
        raise ConfigurationError(
            "the bearer token cannot be sent: it is empty or holds blanks or unusual characters",
            hint="Look at the file or credential that it is read from.",
        )
    return {**options.headers, "Authorization": f"Bearer {token}"}


def build(
    name: str,
    options: HttpOptions,
    *,
    clock: Clock,
    secret: Callable[[Secret], str],
    raise_alarm: Callable[[Alarm, str], None],
) -> HttpDestination:
    """Make one from its settings; see `streamer.destinations.registry`."""
    return HttpDestination(
        name,
        options,
        clock=clock,
        key=None if options.signing_key is None else secret(options.signing_key),
        bearer_token=None if options.bearer_token is None else secret(options.bearer_token),
        raise_alarm=raise_alarm,
    )

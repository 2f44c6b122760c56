"""The destination of kind ``aep``: Adobe Experience Platform, by its Streaming Ingestion API.

Events are made into messages, messages packed into requests by their exact
bytes, and requests sent one after the other; what an answer means for each
message is decided in `aep_answer`, what is sent next in `aep_delivery`. An
event is accepted when Adobe has received it: it checks the schema later, on its
own, so whatever can be checked is checked here before (`aep_messages`).

A repeat of an event carries the same ``_id``: Adobe's profiles drop it, and the
data lake keeps both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio.lowlevel

from streamer.clock import Clock
from streamer.core.alarms import AEP_SHED, AEP_UNANSWERED, Alarm
from streamer.core.event import StoredEvent
from streamer.core.limits import SINGLE_SECONDS_MAX, TOKEN_SECONDS_MAX
from streamer.core.outcome import NOT_ATTEMPTED, Outcome, Verdict
from streamer.destinations.aep_answer import UNRESOLVED
from streamer.destinations.aep_delivery import Delivery
from streamer.destinations.aep_inlet import Inlet
from streamer.destinations.aep_mapping import mapper_of
from streamer.destinations.aep_messages import Author, Message, RawAuthor, XdmAuthor, pack
from streamer.destinations.aep_options import AepOptions
from streamer.destinations.aep_patience import Patience
from streamer.destinations.aep_trial import try_author
from streamer.destinations.base import Destination, Finding
from streamer.destinations.common_options import Secret
from streamer.destinations.ims import Ims, ImsError
from streamer.destinations.reaching import try_to_reach
from streamer.destinations.transport import Transport

_EVENTS_BETWEEN_BREATHS = 25
"""Mapping these takes one to two milliseconds; then whatever else the loop has to do comes first:
the answers to Customer.io above all."""


class AepDestination(Destination):
    """An inlet of Adobe Experience Platform. It keeps open connections, a token, and its doubts."""

    kind = "aep"

    def __init__(
        self,
        name: str,
        options: AepOptions,
        *,
        clock: Clock,
        client_secret: str | None,
        raise_alarm: Callable[[Alarm, str], None],
    ) -> None:
        """Check what can be checked without connecting.

        Raises:
            ConfigurationError: the mapping or ``ca_file`` cannot be used.
        """
        self.name = name
        # The last request may begin when the time is just over, meet a refused token and be sent
        # again; and a caller may wait for a token that another one has asked for in vain.
        self.send_seconds_max = SINGLE_SECONDS_MAX + 2 * (
            options.timeout_seconds + 2 * TOKEN_SECONDS_MAX
        )
        self._options = options
        self._clock = clock
        self._raise_alarm = raise_alarm
        self._hurried = False
        self._patience = Patience()
        self._author: Author = (
            RawAuthor(options) if options.mode == "raw" else XdmAuthor(options, mapper_of(options))
        )
        self._transport = _transport(options, options.timeout_seconds, options.sends_max)
        self._token_transport = _transport(options, TOKEN_SECONDS_MAX, 1)
        self._ims = self._new_ims(client_secret)
        self._inlet = Inlet(
            options,
            author=self._author,
            transport=self._transport,
            ims=self._ims,
            clock=clock,
        )

    async def send(self, events: Sequence[StoredEvent]) -> list[Outcome]:
        """Offer the events in as many requests as their bytes take."""
        until = self._clock.monotonic() + SINGLE_SECONDS_MAX
        written = await self._write(events)
        messages = [each for each in written if isinstance(each, Message)]
        frame = self._author.frame(self._clock.now())
        delivery = Delivery(
            pack(messages, frame, self._options.request_bytes_max),
            offer=self._inlet.offer,
            may_go_on=lambda: not self._hurried and self._clock.monotonic() < until,
            patience=self._patience,
        )
        await delivery.run()
        self._tell(messages, delivery)
        return [
            delivery.outcomes.get(each.position, NOT_ATTEMPTED)
            if isinstance(each, Message)
            else each
            for each in written
        ]

    def hurry(self) -> None:
        """Begin no further request in a `send`, once it has made one."""
        self._hurried = True

    async def probe(self) -> list[Finding]:
        """Map samples, get a token, connect to the inlet; send no event."""
        now_ms = self._clock.now()
        findings = [await try_author(self._author, now_ms=now_ms), await self._token_finding()]
        return findings + await try_to_reach(
            self._transport, self._options.inlet_url, setting="inlet_url", now_ms=now_ms
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()
        await self._token_transport.aclose()

    async def _write(self, events: Sequence[StoredEvent]) -> list[Message | Outcome]:
        written: list[Message | Outcome] = []
        for event in events:
            written.append(self._author.write(event))
            if len(written) % _EVENTS_BETWEEN_BREATHS == 0:
                await anyio.lowlevel.checkpoint()
        return written

    def _tell(self, messages: Sequence[Message], delivery: Delivery) -> None:
        """Raise the alarms of what was sent; a message that is sent again is told of once."""
        for message in messages:
            said = delivery.outcomes.get(message.position) if message.shed else None
            if said is not None and said.verdict is Verdict.ACCEPTED:
                parts = ", ".join(message.shed)
                self._raise_alarm(AEP_SHED, f"{self.name}: {parts} (position {message.position})")
        left = sum(said.reason == UNRESOLVED for said in delivery.outcomes.values())
        if count := delivery.resent + left:
            self._raise_alarm(AEP_UNANSWERED, f"{self.name}: {count} of {len(messages)} events")

    def _new_ims(self, client_secret: str | None) -> Ims | None:
        options = self._options
        if options.client_id is None or client_secret is None:
            return None
        return Ims(
            self._token_transport,
            url=options.ims_url,
            client_id=options.client_id,
            client_secret=client_secret,
            scopes=options.scopes,
            clock=self._clock,
        )

    async def _token_finding(self) -> Finding:
        if self._ims is None:
            return Finding(True, "requests carry no token", "no client_id is set")
        try:
            await self._ims.token()
        except ImsError as error:
            return Finding(False, "there is no token to be had", str(error), error.hint)
        return Finding(True, "Adobe gives us a token", "the client's credentials are right")


def _transport(options: AepOptions, seconds_max: float, connections_max: int) -> Transport:
    return Transport(
        connect_seconds_max=options.connect_timeout_seconds,
        total_seconds_max=seconds_max,
        connections_max=connections_max,
        ca_file=options.ca_file,
    )


def build(
    name: str,
    options: AepOptions,
    *,
    clock: Clock,
    secret: Callable[[Secret], str],
    raise_alarm: Callable[[Alarm, str], None],
) -> AepDestination:
    """Make one from its settings; see `streamer.destinations.registry`."""
    return AepDestination(
        name,
        options,
        clock=clock,
        client_secret=None if options.client_secret is None else secret(options.client_secret),
        raise_alarm=raise_alarm,
    )

"""Customer.io's App API, as far as it deals with reporting webhooks.

The client keeps to the published rate by itself, waits when it is asked to, and
repeats what failed on the way or on the other side. Only the making of a
webhook is not repeated when its outcome is unknown: whoever asked has to look
first (`MaybeDone`), or there would be two. No error carries the key.

It knows nothing of sources, of the configuration or of the database.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from streamer.clock import Clock
from streamer.core.errors import StreamerError
from streamer.core.limits import DETAIL_CHARACTERS_MAX
from streamer.core.pace import Pace
from streamer.core.provision_limits import (
    APP_API_ANSWER_BYTES_MAX,
    APP_API_CALL_SECONDS_MAX,
    APP_API_CONNECT_SECONDS_MAX,
    APP_API_TRIES_MAX,
    APP_API_WAIT_SECONDS_MAX,
)
from streamer.core.retry import RetryPolicy, next_attempt_at
from streamer.core.retry_after import parse_retry_after
from streamer.destinations.transport import Answer, Fault, Transport, TransportError

REGIONS: Mapping[str, str] = {
    "us": "https://api.customer.io",
    "eu": "https://api-eu.customer.io",
}
"""Where the App API is; a key belongs to one of them."""

CALLS_PER_SECOND = 10
"""As published; beyond it Customer.io answers 429."""

_POLICY = RetryPolicy(base_seconds=1.0, max_seconds=15.0)
_LASTING = frozenset({Fault.CERTIFICATE, Fault.TLS})
"""What does not pass by itself."""
_UNSENT = frozenset({Fault.DNS, Fault.CONNECT, *_LASTING})
"""What happens before anything was asked for."""

OnWait = Callable[[float, str], None]
"""Told of each wait: seconds, and why."""


class Refusal(enum.Enum):
    """Why the API did not do it."""

    KEY = "key"
    SCOPE = "scope"
    MISSING = "missing"
    CONTENT = "content"
    OTHER = "other"


class AppApiError(StreamerError):
    """The API did not do what was asked of it."""

    def __init__(
        self, message: str, *, hint: str = "", refusal: Refusal = Refusal.OTHER, said: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.refusal = refusal
        self.said = said
        """The whole answer, as text: for finding what it complains of, not for showing."""


class MaybeDone(AppApiError):
    """The webhook may have been made all the same: the answer was lost."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True, rename={"url": "endpoint"}):
    """A reporting webhook as the API shows it."""

    id: int
    name: str = ""
    url: str = ""
    type: str = "webhook"
    """``js`` is one that runs a script there and calls nobody."""
    disabled: bool = False
    full_resolution: bool = False
    with_content: bool = False
    events: tuple[str, ...] = ()


def make_transport() -> Transport:
    """Make connections with limits that suit this API."""
    return Transport(
        connect_seconds_max=APP_API_CONNECT_SECONDS_MAX,
        total_seconds_max=APP_API_CALL_SECONDS_MAX,
        connections_max=1,
    )


def _ignore(seconds: float, why: str) -> None:
    """Tell nobody of a wait."""


class AppApi:
    """The webhooks of the workspace that a key belongs to."""

    def __init__(
        self,
        transport: Transport,
        *,
        url: str,
        key: str,
        clock: Clock,
        regions: Mapping[str, str] = REGIONS,
        on_wait: OnWait = _ignore,
    ) -> None:
        """Ask at ``url``, without a path, with an App API key."""
        self.url = url.rstrip("/")
        self._transport = transport
        self._key = key
        self._clock = clock
        self._regions = regions
        self._on_wait = on_wait
        self._pace = Pace(CALLS_PER_SECOND)

    async def webhooks(self) -> list[Webhook]:
        """Return every reporting webhook; raises `AppApiError`, as all of these do."""
        document = await self._call("GET", "/v1/reporting_webhooks")
        found = document.get("reporting_webhooks") if isinstance(document, dict) else document
        return [_webhook(one) for one in (found if isinstance(found, list) else [])]

    async def webhook(self, webhook_id: int) -> Webhook:
        """Return one webhook."""
        return _webhook(await self._call("GET", f"/v1/reporting_webhooks/{webhook_id}"))

    async def create(self, document: Mapping[str, object]) -> Webhook:
        """Make a webhook.

        Raises:
            MaybeDone: it is not known whether there is one now.
            AppApiError: there is none.
        """
        return _webhook(await self._call("POST", "/v1/reporting_webhooks", document))

    async def replace(self, webhook_id: int, document: Mapping[str, object]) -> Webhook:
        """Write a webhook anew, with all its fields."""
        return _webhook(await self._call("PUT", f"/v1/reporting_webhooks/{webhook_id}", document))

    async def delete(self, webhook_id: int) -> None:
        """Delete a webhook; one that is gone already is deleted."""
        try:
            await self._call("DELETE", f"/v1/reporting_webhooks/{webhook_id}")
        except AppApiError as error:
            if error.refusal is not Refusal.MISSING:
                raise

    async def addresses(self) -> list[str]:
        """Return the addresses that webhooks are sent from."""
        document = await self._call("GET", "/v1/info/ip_addresses")
        found = document.get("ip_addresses") if isinstance(document, dict) else None
        return [one for one in found or [] if isinstance(one, str)]

    async def _call(
        self, method: str, path: str, document: Mapping[str, object] | None = None
    ) -> Any:  # noqa: ANN401 - the callers know what it is
        """Call until there is an answer that says more than to try again; return what is in it."""
        body = None if document is None else msgspec.json.encode(document)
        tries = 0
        while True:
            tries += 1
            await self._wait(self._pace.wait_seconds(1, self._clock.monotonic()))
            try:
                answer = await self._ask(self.url, method, path, body)
            except TransportError as error:
                self._consider(error, method, tries)
                await self._back_off(tries, None, str(error))
                continue
            if answer.status == 429 or answer.status >= 500:
                self._consider_answer(answer, method, tries)
                await self._back_off(tries, answer, f"Customer.io answers {answer.status}")
                continue
            if 200 <= answer.status < 300:
                return self._content(answer, method)
            raise await self._refusal(answer)

    async def _ask(self, url: str, method: str, path: str, body: bytes | None) -> Answer:
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return await self._transport.request(
            method,
            url + path,
            headers=headers,
            answer_bytes_max=APP_API_ANSWER_BYTES_MAX,
            body=body,
        )

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)

    async def _back_off(self, tries: int, answer: Answer | None, why: str) -> None:
        now = self._clock.now()
        header = "" if answer is None else answer.headers.get("retry-after", "")
        asked = parse_retry_after(header, now) if header else None
        at = next_attempt_at(_POLICY, tries, now, self._clock.jitter(), asked)
        seconds = (at - now) / 1000
        if seconds > APP_API_WAIT_SECONDS_MAX:
            raise AppApiError(
                f"Customer.io asks to come back in {seconds:.0f} s",
                hint="Run the command again then; it goes on where it was.",
            )
        self._on_wait(seconds, why)
        await self._wait(seconds)

    def _consider(self, error: TransportError, method: str, tries: int) -> None:
        """Raise unless a call without an answer is worth another try."""
        if method == "POST" and error.fault not in _UNSENT:
            raise MaybeDone(f"{error}: whether it was done is not known", hint=_LOOK) from error
        if error.fault in _LASTING or tries >= APP_API_TRIES_MAX:
            hint = f"The App API is asked at {self.url}: look at the network, and at app_api_url."
            raise AppApiError(str(error), hint=hint) from error

    def _consider_answer(self, answer: Answer, method: str, tries: int) -> None:
        """Raise unless a call that was put off is worth another try."""
        if method == "POST" and answer.status != 429:
            message = f"Customer.io answers {answer.status}: whether it was done is not known"
            raise MaybeDone(message, hint=_LOOK)
        if tries >= APP_API_TRIES_MAX:
            raise AppApiError(
                f"Customer.io answers {answer.status}, {tries} times in a row",
                hint="Run the command again later; it goes on where it was.",
            )

    def _content(self, answer: Answer, method: str) -> Any:  # noqa: ANN401 - as it came
        if not answer.body.strip() or method == "DELETE":
            return {}
        try:
            return msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise AppApiError(
                f"what {self.url} answers is not JSON",
                hint="Is app_api_url right, and does a proxy answer in its place?",
            ) from error

    async def _refusal(self, answer: Answer) -> AppApiError:
        said = answer.body.decode("utf-8", "replace").replace(self._key, "(key)")
        if answer.status == 401:
            return await self._key_refused(said)
        message, hint, refusal = _REFUSALS.get(answer.status, _OTHER)
        detail = _detail(said)
        text = message.format(status=answer.status) + (f": {detail}" if detail else "")
        return AppApiError(text, hint=hint, refusal=refusal, said=said)

    async def _key_refused(self, said: str) -> AppApiError:
        """Say why a key is refused: it may be good in another region."""
        here = next((name for name, url in self._regions.items() if url == self.url), None)
        if here is None:
            message = f"{self.url} refuses the App API key"
            hint = "Is it an App API key, of this workspace, and app_api_url that of its region?"
            return AppApiError(message, hint=hint, refusal=Refusal.KEY, said=said)
        for name, url in self._regions.items():
            if name != here and await self._takes_key(url):
                message = f"the App API key is of the region {name}, not {here}"
                hint = f'Say --region {name}, or set app_api_url = "{url}".'
                return AppApiError(message, hint=hint, refusal=Refusal.KEY, said=said)
        message = "Customer.io refuses the App API key, in every region"
        hint = (
            "Make one in Customer.io under Account Settings, API Credentials, App API Keys. "
            "A Track API key and a service account's token will not do."
        )
        return AppApiError(message, hint=hint, refusal=Refusal.KEY, said=said)

    async def _takes_key(self, url: str) -> bool:
        try:
            answer = await self._ask(url.rstrip("/"), "GET", "/v1/reporting_webhooks", None)
        except TransportError:
            return False
        return answer.status in {200, 403, 429}


_LOOK = "Run the command again: it looks first what is there."
_REFUSALS = {
    400: ("Customer.io does not take this", "", Refusal.CONTENT),
    403: (
        "the App API key may not do this",
        "Give the key the scope for reporting webhooks, or make another.",
        Refusal.SCOPE,
    ),
    404: ("there is no such webhook", "See `streamer customerio list`.", Refusal.MISSING),
    422: ("Customer.io does not take this", "", Refusal.CONTENT),
}
_OTHER = (
    "Customer.io answers {status}",
    "Is app_api_url right? It has no path: https://api.customer.io, or https://api-eu.customer.io.",
    Refusal.OTHER,
)


def _detail(said: str) -> str:
    """Return what an error's body says, in one line that is not long."""
    try:
        errors = msgspec.json.decode(said)["errors"]
        details = [str(one["detail"]) for one in errors]
    except (msgspec.DecodeError, TypeError, KeyError, RecursionError):
        return ""
    return " ".join("; ".join(details).split())[:DETAIL_CHARACTERS_MAX]


def _webhook(document: object) -> Webhook:
    """Read a webhook, whether it comes by itself or inside its name."""
    if isinstance(document, dict):
        document = document.get("reporting_webhook", document)
    if isinstance(document, dict):
        document = {key: value for key, value in document.items() if value is not None}
    try:
        return msgspec.convert(document, Webhook, strict=False)
    except msgspec.ValidationError as error:
        raise AppApiError(
            f"Customer.io shows a webhook in a way that is not understood: {error}",
            hint="Look for a newer version of streamer.",
        ) from error

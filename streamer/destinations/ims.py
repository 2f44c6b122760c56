"""Access tokens of Adobe's identity service (IMS), for OAuth client credentials.

A token is kept until shortly before it ends, and asked for by one caller at a
time: the others wait for what that one gets. A caller that is cancelled in the
middle leaves the asking to the next. While the present token is still good,
nobody waits for a new one but who asks for it, and a renewal that fails costs
nothing. After a failure the same is said again for a short, growing while,
without a request, whoever asks.

The client's secret and the tokens stay out of errors, and of what IMS answers
only the error codes of the standard are repeated.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from urllib.parse import urlencode

import msgspec

from streamer.clock import Clock
from streamer.core.errors import StreamerError
from streamer.core.limits import DAY_SECONDS, KIB, RETRY_AFTER_SECONDS_MAX
from streamer.core.retry_after import parse_retry_after
from streamer.destinations.http_headers import is_token
from streamer.destinations.transport import Answer, Fault, Transport, TransportError

TOKEN_PATH = "/ims/token/v3"  # noqa: S105 - a path

_LIFE_SECONDS_MAX = DAY_SECONDS
"""What Adobe gives; a token is not believed to last longer."""

_LIFE_SECONDS_UNSAID = 300
"""Of a token that does not say how long it lasts."""

_MILLISECONDS_FROM = 7 * DAY_SECONDS
"""An older form of the answer had milliseconds. As seconds, this would be seven times what Adobe
gives; as milliseconds it is ten minutes."""

_EARLY_SHARE = 0.1
_EARLY_SECONDS_MIN = 300
_EARLY_SHARE_MAX = 0.5
"""A token is renewed when a tenth of its life is left, or five minutes, but not before half of it
is over."""

_SILENCE_SECONDS_MIN = 1.0
_SILENCE_SECONDS_MAX = 30.0
"""How long a failure is repeated without asking, doubled with each one in a row; below the least
wait between two probes of a held destination, so that each of these asks anew."""

_ANSWER_BYTES_MAX = 64 * KIB
"""A token has some 2 KiB."""

_PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}

_CODES = {
    "invalid_client": "See whether `client_id` and `client_secret` are those of the same "
    "credential, and whether the secret was revoked.",
    "invalid_grant": "See whether the credential is one of kind OAuth server-to-server.",
    "invalid_request": "See whether `client_id` is spelt as the credential has it.",
    "invalid_scope": "Set `scopes` to those that the credential's page lists.",
    "unauthorized_client": "See whether the credential is one of kind OAuth server-to-server, and "
    "whether its project has the API Experience Platform.",
    "unsupported_grant_type": "See whether `ims_url` is that of the organisation's region.",
}


class ImsError(StreamerError):
    """There is no token to be had.

    ``reason`` is a short stable code. ``holds``: the credentials or the address are refused, which
    somebody has to mend; else it may pass by itself, after ``retry_after_seconds`` if IMS asked for
    a wait.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        holds: bool,
        hint: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.holds = holds
        self.retry_after_seconds = retry_after_seconds


class _Token(msgspec.Struct, frozen=True):
    text: str
    renew_at: float
    """On the clock that goes on while the machine sleeps, as `ends_at`."""
    ends_at: float


class _Failure(msgspec.Struct, frozen=True):
    """What to say of a request that brought no token."""

    message: str
    reason: str
    holds: bool = False
    hint: str = ""
    asked_seconds: float | None = None


class _Answered(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: object = None


class _Refused(msgspec.Struct, frozen=True):
    error: str


class Ims:
    """The tokens of one client."""

    def __init__(
        self,
        transport: Transport,
        *,
        url: str,
        client_id: str,
        client_secret: str,
        scopes: str,
        clock: Clock,
    ) -> None:
        """Take the client's credentials; nothing is asked for yet.

        ``url`` is that of the service, without a path; the transport stays the caller's to close.
        """
        self._transport = transport
        self._url = url.rstrip("/") + TOKEN_PATH
        self._form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": client_id.strip(),
                "client_secret": client_secret.strip(),
                "scope": scopes,
            }
        ).encode()
        self._clock = clock
        self._token: _Token | None = None
        self._failure: _Failure | None = None
        self._failures = 0
        self._silent_until = float("-inf")
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """Return a token that will last a while.

        Takes as long as two of the transport's requests at most: one of another caller that was
        given up, and its own.

        Raises:
            ImsError: there is none.
        """
        good = self._good()
        if good is not None and self._asking.locked():
            return good  # somebody is renewing it
        async with self._asking:
            if self._is_to_be_asked_for():
                await self._renew()
            good = self._good()
        if good is None:
            raise self._error()
        return good

    def reject(self, token: str) -> None:
        """Forget a token to which 401 was answered, unless there is another one by now."""
        if self._token is not None and self._token.text == token:
            self._token = None

    def _good(self) -> str | None:
        token = self._token
        return None if token is None or self._clock.boottime() >= token.ends_at else token.text

    def _is_to_be_asked_for(self) -> bool:
        now = self._clock.boottime()
        if self._token is not None and now < self._token.renew_at:
            return False
        return now >= self._silent_until

    async def _renew(self) -> None:
        began = self._clock.boottime()
        got: _Token | _Failure
        try:
            answer = await self._transport.request(
                "POST",
                self._url,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=self._form,
                answer_bytes_max=_ANSWER_BYTES_MAX,
            )
        except TransportError as error:
            got = _without_answer(error)
        else:
            got = _judge(answer, began=began, now_ms=self._clock.now())
        if isinstance(got, _Token):
            self._token, self._failures, self._silent_until = got, 0, float("-inf")
        else:
            self._fail(got)

    def _fail(self, failure: _Failure) -> None:
        """Remember what to say until it is time to ask again."""
        silence = min(_SILENCE_SECONDS_MAX, _SILENCE_SECONDS_MIN * 2.0 ** min(self._failures, 60))
        if failure.asked_seconds is not None:
            silence = max(silence, min(failure.asked_seconds, RETRY_AFTER_SECONDS_MAX))
        self._failure, self._failures = failure, self._failures + 1
        self._silent_until = self._clock.boottime() + silence

    def _error(self) -> ImsError:
        failure = self._failure or _NO_TOKEN
        asked = failure.asked_seconds
        left = max(0.0, self._silent_until - self._clock.boottime())
        return ImsError(
            failure.message,
            reason=failure.reason,
            holds=failure.holds,
            hint=failure.hint,
            retry_after_seconds=None if asked is None else left,
        )


_NO_TOKEN = _Failure("IMS answered without a token that can be used", "token_unreadable")


def _judge(answer: Answer, *, began: float, now_ms: int) -> _Token | _Failure:
    """Return what came of a request that was begun at ``began``."""
    if answer.status == HTTPStatus.OK:
        return _read_token(answer.body, began) or _NO_TOKEN
    message = f"IMS answered {answer.status}"
    if answer.status >= 500 or answer.status in _PASSING:
        asked = answer.headers.get("retry-after")
        seconds = None if asked is None else parse_retry_after(asked, now_ms)
        return _Failure(message, f"token_http_{answer.status}", asked_seconds=seconds)
    code = _code_in(answer.body)
    if not code:
        hint = "See whether `ims_url` is the address of Adobe's identity service."
        return _Failure(message, "credentials", holds=True, hint=hint)
    return _Failure(f"{message} ({code})", "credentials", holds=True, hint=_CODES[code])


def _read_token(body: bytes, began: float) -> _Token | None:
    try:
        answered = msgspec.json.decode(body, type=_Answered)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not is_token(answered.access_token):
        return None
    life = _life_seconds(answered.expires_in)
    early = min(max(life * _EARLY_SHARE, _EARLY_SECONDS_MIN), life * _EARLY_SHARE_MAX)
    return _Token(answered.access_token, renew_at=began + life - early, ends_at=began + life)


def _life_seconds(said: object) -> float:
    """Make sense of ``expires_in``."""
    if isinstance(said, bool) or not isinstance(said, int | float) or said < 1:
        return _LIFE_SECONDS_UNSAID
    seconds = min(said, _LIFE_SECONDS_MAX * 1000)  # no float holds an integer of any length
    return min(seconds / 1000 if seconds > _MILLISECONDS_FROM else seconds, _LIFE_SECONDS_MAX)


def _code_in(body: bytes) -> str:
    """Return the error code, if it is one of the standard's; the rest may quote what we sent."""
    try:
        code = msgspec.json.decode(body, type=_Refused).error
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    return code if code in _CODES else ""


def _without_answer(error: TransportError) -> _Failure:
    holds = error.fault is Fault.CERTIFICATE
    return _Failure(
        f"IMS gave no answer: {error}",
        f"token_{error.fault.value}",
        holds=holds,
        hint="Look at this machine's way to Adobe (name service, firewall, proxy), and at "
        "`ims_url`.",
    )

"""Access tokens: who asked for them, and until when they count.

Tokens expire on the clock that the server was given, and all at once when a test says so.
"""

from __future__ import annotations

import hmac
from urllib.parse import parse_qs

from tests.stand_ins.aep.problems import authorization_problem, oauth_problem
from tests.stand_ins.aep.rules import Clock, Rules

FORM = "application/x-www-form-urlencoded"
KNOWN_SCOPES = {
    "openid",
    "AdobeID",
    "session",
    "read_organizations",
    "additional_info.projectedProductContext",
    "additional_info.roles",
}


class Tokens:
    """The clients of one organisation and the tokens that they hold."""

    def __init__(self, clock: Clock, rules: Rules, *, client_id: str, client_secret: str) -> None:
        self._clock = clock
        self._rules = rules
        self._expires: dict[str, int] = {}
        self._issued = 0
        self.client_id = client_id
        self.secrets = {client_secret}
        """Several while one is being replaced by another."""

    def answer(self, content_type: str, body: bytes) -> dict[str, object]:
        """Answer a request for a token.

        Raises:
            Refusal: as IMS answers a wrong request or wrong credentials.
        """
        if content_type != FORM:
            raise oauth_problem(400, "invalid_request", f"the body must be {FORM}")
        form = {name: values[-1] for name, values in parse_qs(body.decode("latin-1")).items()}
        if form.get("grant_type") != "client_credentials":
            raise oauth_problem(
                400, "unsupported_grant_type", "grant_type must be client_credentials"
            )
        self._check_client(form)
        unit = 1000 if self._rules.token_unit == "milliseconds" else 1
        return {
            "access_token": self.issue(),
            "token_type": "bearer",
            "expires_in": self._rules.token_seconds * unit,
        }

    def _check_client(self, form: dict[str, str]) -> None:
        if form.get("client_id") != self.client_id:
            raise oauth_problem(400, "invalid_client", "invalid client_id parameter")
        secret = form.get("client_secret", "").encode()
        if not any(hmac.compare_digest(secret, known.encode()) for known in self.secrets):
            raise oauth_problem(400, "invalid_client", "invalid client_secret parameter")
        scopes = {scope for scope in form.get("scope", "").replace(" ", ",").split(",") if scope}
        if not scopes or not scopes <= KNOWN_SCOPES:
            unknown = ", ".join(sorted(scopes - KNOWN_SCOPES)) or "none is given"
            raise oauth_problem(400, "invalid_scope", f"invalid scope: {unknown}")

    def issue(self) -> str:
        """Make a token that counts from now on."""
        self._issued += 1
        token = f"stand-in-token-{self._issued}"
        self._expires[token] = self._clock.now() + self._rules.token_seconds * 1000
        return token

    def expire(self) -> None:
        """Let every token that is out there be worthless from now on."""
        self._expires = dict.fromkeys(self._expires, 0)

    def judge(self, authorization: str | None) -> str | None:
        """Say what is wrong with an ``Authorization`` header; None if it is good."""
        if not authorization:
            return "empty"
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or token not in self._expires:
            return "invalid"
        return "expired" if self._expires[token] <= self._clock.now() else None


def check_inlet_token(tokens: Tokens, rules: Rules, authorization: str | None) -> None:
    """Let a request with a good token pass.

    Raises:
        Refusal: 401 without a token; 401 or 403, as the rules say, with a bad one.
    """
    fault = tokens.judge(authorization)
    if fault is not None:
        status = 401 if fault == "empty" else rules.bad_token_status
        raise authorization_problem(status, f"[id] Ims service token is {fault}")

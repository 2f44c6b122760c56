"""How Adobe says no: three families of bodies, as the documents show them.

The collection service answers a problem with a ``report``, the gateway in front of the platform
an ``error_code``, and IMS an OAuth ``error``. Every message says what was wrong, because people
debug with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

INLET_PROBLEM = "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet"
AUTHORIZATION_PROBLEM = (
    "https://ns.adobe.com/adobecloud/problem/data-collection-service-authorization"
)


class Refusal(Exception):
    """An answer that ends a request."""

    def __init__(
        self, status: int, document: object = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer ``document`` as JSON, or nothing if it is None."""
        super().__init__(f"{status}: {document}")
        self.status = status
        self.document = document
        self.headers = dict(headers or {})


class MessageRefusal(Exception):
    """A message that cannot be taken: the status of the request, or of its place in a batch."""

    def __init__(
        self, status: int, reason: str, *, title: str = "Invalid XDM Message Format"
    ) -> None:
        """Refuse for a reason that the sender will read."""
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.title = title


def inlet_problem(
    status: int,
    title: str,
    message: str,
    *,
    violations: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> Refusal:
    """Build what the collection service answers to a whole request."""
    report: dict[str, Any] = {"message": message}
    if violations:
        count = f"{len(violations)} schema violations found"
        whole = {"schemaLocation": "#", "pointerToViolation": "#", "message": count}
        report["cause"] = {"_streamingValidation": [{**whole, "causingExceptions": violations}]}
    document = {"type": INLET_PROBLEM, "status": status, "title": title, "report": report}
    return Refusal(status, document, headers)


def authorization_problem(status: int, message: str) -> Refusal:
    """Build what an inlet answers to a bad token; the status is text there, as documented."""
    document = {
        "type": AUTHORIZATION_PROBLEM,
        "status": str(status),
        "title": "Authorization",
        "report": {"message": message},
    }
    return Refusal(status, document)


def gateway_problem(status: int, error_code: int, message: str) -> Refusal:
    """Build what the gateway answers before a request reaches a service."""
    return Refusal(status, {"error_code": str(error_code), "message": message})


def service_problem(
    status: int, service: str, title: str, detail: str, headers: Mapping[str, str] | None = None
) -> Refusal:
    """Build what one of the platform's services answers."""
    document = {
        "type": f"http://ns.adobe.com/aep/errors/{service}-{status}",
        "status": status,
        "title": title,
        "detail": detail,
    }
    return Refusal(status, document, headers)


def oauth_problem(status: int, error: str, description: str) -> Refusal:
    """Build what IMS answers."""
    return Refusal(status, {"error": error, "error_description": description})

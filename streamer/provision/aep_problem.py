"""What went wrong with a call to Adobe, in words: what happened, whose fault, what to do.

Adobe's services word their errors in several shapes. Of each only the parts
that are meant for people are taken, shortened, without control characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from streamer.core.errors import StreamerError
from streamer.core.limits import DETAIL_CHARACTERS_MAX
from streamer.destinations.transport import Answer, Fault, TransportError

_SERVICES = {
    "/data/foundation/schemaregistry": ("Schema Registry", "Manage Schemas and View Schemas"),
    "/data/foundation/catalog": ("Catalog", "Manage Datasets and View Datasets"),
    "/data/foundation/export": ("Data Access", "View Datasets"),
    "/data/foundation/flowservice": ("Flow Service", "Manage Sources and View Sources"),
    "/data/foundation/conversion": ("Data Prep", "Manage Sources and View Schemas"),
    "/data/core/idnamespace": ("Identity Service", "View Identity Namespaces"),
    "/data/infrastructure/observability": ("Observability", "View Monitoring Dashboard"),
}
"""The name of the service behind a path, and the permissions that it wants."""

_WORDS = ("title", "detail", "message", "errorMessage", "error_description", "detailed-message")
_NESTED = ("report", "error", "errorDetails")


class PlatformError(StreamerError):
    """A call to Adobe that did not do what it was made for."""

    def __init__(
        self, message: str, *, hint: str, status: int | None = None, uncertain: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        """The answer's status; None when there was no answer."""
        self.uncertain = uncertain
        """Whether what was asked for may have been done all the same."""


def refused(method: str, path: str, answer: Answer, said: str = "") -> PlatformError:
    """Make the error of an answer that is none of the good ones."""
    service, permissions = _service(path)
    said = said or quoted(answer.body)
    message = f"{service} answered {answer.status} to {method} {_shown(path)}"
    request_id = answer.headers.get("x-request-id", "")
    return PlatformError(
        message
        + (f": {said}" if said else "")
        + (f" (request {request_id})" if request_id else ""),
        hint=_hint(answer.status, method, permissions),
        status=answer.status,
        uncertain=method != "GET" and answer.status >= 500 and answer.status != 503,
    )


def no_answer(method: str, path: str, error: TransportError) -> PlatformError:
    """Make the error of a call that was not answered."""
    service, _ = _service(path)
    never_sent = error.fault in {Fault.DNS, Fault.TLS, Fault.CERTIFICATE}
    return PlatformError(
        f"{service} gave no answer to {method} {_shown(path)}: {error}",
        hint="Look at this machine's way to Adobe (name service, firewall, proxy), and at "
        "`platform_url`. Running the command again goes on where it stopped.",
        uncertain=method != "GET" and not never_sent,
    )


def not_understood(path: str) -> PlatformError:
    """Make the error of an answer that is JSON, and not what it has to be."""
    service, _ = _service(path)
    return PlatformError(
        f"{service} answered {_shown(path)} with something else than was asked for",
        hint="Is `platform_url` Adobe's, and no proxy's? It may also be a change at Adobe that "
        "this version does not know.",
    )


def quoted(body: bytes) -> str:
    """Take from an answer what is meant for people; nothing where there is no such thing."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    said = "; ".join(dict.fromkeys(_words(document)))
    said = "".join(each if each.isprintable() else " " for each in said)
    return said if len(said) <= DETAIL_CHARACTERS_MAX else said[:DETAIL_CHARACTERS_MAX] + "…"


def _words(document: object) -> Iterator[str]:
    if not isinstance(document, Mapping):
        return
    for key in _WORDS:
        if isinstance(said := document.get(key), str) and said.strip():
            yield said.strip()
    for key in _NESTED:
        inside = document.get(key)
        if isinstance(inside, str) and inside.strip():
            yield inside.strip()
        yield from _words(inside)


def _service(path: str) -> tuple[str, str]:
    for front, named in _SERVICES.items():
        if path.startswith(front):
            return f"Adobe's {named[0]}", named[1]
    return "Adobe", "those of the service"


def _shown(path: str) -> str:
    return path.partition("?")[0].removeprefix("/data/foundation")


def _hint(status: int, method: str, permissions: str) -> str:
    if status in _HINTS:
        return _HINTS[status].format(permissions=permissions)
    if status >= 500:
        return "The fault is Adobe's; try again later. What was made so far is found again."
    return _REFUSED_READING if method == "GET" else _REFUSED_WRITING


_HINTS = {
    401: "The token was refused twice. Look whether `client_id` belongs to this organisation, and "
    "whether its project in the Developer Console has the Experience Platform API.",
    403: "Look whether organisation and sandbox are the right ones. If they are, the credential "
    "lacks a permission there: add it to a role that has {permissions}.",
    404: "It may have been deleted in Adobe. `streamer aep setup` makes what is missing.",
    409: "Somebody else changed it meanwhile, or something of this name exists; run the command "
    "again.",
    412: "Somebody else changed it meanwhile; run the command again.",
    429: "Adobe limits the rate of calls; try again in a few minutes.",
}
_REFUSED_READING = "Look at `platform_url`, `ims_org_id` and `sandbox`."
_REFUSED_WRITING = (
    "Adobe did not accept what was sent; `streamer aep setup --dry-run` shows what a set-up sends. "
    "With the request's number Adobe's support can find the call."
)

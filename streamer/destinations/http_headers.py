"""Which headers of the configuration can be sent along, and which are ours to set.

A pure decision, so that ``streamer check`` says it before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from streamer.core.rules import Complaint

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e]*", re.ASCII)
_TOKEN = re.compile(r"[\x21-\x7e]+", re.ASCII)

_OURS = frozenset(
    {
        "authorization", "connection", "content-encoding", "content-length", "content-type",
        "expect", "host", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_OUR_PREFIX = "webhook-"


def check_headers(headers: Mapping[str, str]) -> Complaint | None:
    """Say what is wrong with the first header that cannot be sent."""
    for name, value in headers.items():
        lowered = name.lower()
        if not _NAME.fullmatch(name):
            return Complaint("headers", f"{name!r} cannot be a header's name")
        if lowered in _OURS or lowered.startswith(_OUR_PREFIX):
            hint = "Use `bearer_token`." if lowered == "authorization" else ""
            return Complaint("headers", f"`{name}` is set by streamer itself", hint)
        if not _VALUE.fullmatch(value):
            # The value is not shown: somebody may have put a secret there.
            return Complaint("headers", f"the value of `{name}` has characters beyond ASCII text")
    return None


def is_token(text: str) -> bool:
    """Tell whether a text can stand behind ``Bearer`` in a header."""
    return _TOKEN.fullmatch(text) is not None

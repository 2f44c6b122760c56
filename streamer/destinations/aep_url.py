"""The address of an inlet, for single messages or for batches: Adobe gives the former alone."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

_PATH = re.compile(r"(?P<root>(?:/[^/]+)*/collection)/(?:batch/)?(?P<inlet>[^/]+)/?")

_VALIDATING = ("syncValidation", "synchronousValidation")


def batch_url(inlet_url: str) -> str:
    """Return where batches go, for either form of an inlet's URL; the rest of it stays.

    Raises:
        ValueError: it is not an inlet's URL; says why, without repeating it.
    """
    parts = urlsplit(inlet_url)
    path = _PATH.fullmatch(parts.path)
    if path is None or path["inlet"] == "batch":
        raise ValueError("must have a path like `/collection/` and the inlet's number")
    if any(name in parse_qs(parts.query, keep_blank_values=True) for name in _VALIDATING):
        raise ValueError("must not ask for validation: Adobe drops events to which that fails")
    return parts._replace(path=f"{path['root']}/batch/{path['inlet']}").geturl()

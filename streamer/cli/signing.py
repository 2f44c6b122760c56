"""Calls signed as Customer.io signs them: with the first key of a source."""

from __future__ import annotations

import os
import time

from streamer.config.model import Config
from streamer.config.secrets import CREDENTIALS_DIRECTORY, resolve
from streamer.core.errors import ConfigurationError
from streamer.core.signature import sign


def signing_key(config: Config, source: str) -> bytes:
    """Read a source's first key; raises `ConfigurationError` when this user cannot have it."""
    secret = config.sources[source].signing_keys[0]
    try:
        return resolve(secret, os.environ).encode()
    except ConfigurationError as error:
        if secret.credential is not None and not os.environ.get(CREDENTIALS_DIRECTORY):
            error.hint = f"As root: {CREDENTIALS_DIRECTORY}=/etc/streamer/credentials streamer …"
        raise


def signed_headers(key: bytes, body: bytes) -> dict[str, str]:
    """Make the headers of a call that is made now."""
    timestamp = str(int(time.time()))
    return {
        "Content-Type": "application/json",
        "X-CIO-Timestamp": timestamp,
        "X-CIO-Signature": sign(key, timestamp, body),
    }

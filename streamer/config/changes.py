"""What changed between two configurations that a running service cannot take over.

The model marks such settings with `RESTART`. Besides, a secret from a
credential or an environment variable that the service did not have before
waits too: both are fixed for the life of a process. A file can be read again.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streamer.config.model import Config
from streamer.config.problems import KeyPath, dotted
from streamer.config.secrets import secrets_in
from streamer.config.settings import settings_of


def needs_restart(old: Config, new: Config) -> list[str]:
    """List the key paths whose change waits for a restart."""
    known = {secret for _, secret in secrets_in(old)}
    paths = list(_marked(old, new, ()))
    paths += [
        path for path, secret in secrets_in(new) if secret.file is None and secret not in known
    ]
    return list(dict.fromkeys(map(dotted, paths)))


def _marked(old: msgspec.Struct, new: msgspec.Struct, path: KeyPath) -> Iterator[KeyPath]:
    """Find the changed settings that are marked; sources and destinations have none."""
    for item in settings_of(type(new)):
        before, value = getattr(old, item.name), getattr(new, item.name)
        here = (*path, item.name)
        if item.restart and value != before:
            yield here
        elif isinstance(value, msgspec.Struct) and not item.restart:
            yield from _marked(before, value, here)

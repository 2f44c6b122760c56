"""The configuration that is used when there is no file: enough to try streamer out.

It listens on loopback, keeps everything in one directory, makes up its own
signing key and writes what it receives to files.
"""

from __future__ import annotations

from pathlib import Path

from streamer.config.generated import SIGNING_KEY_FILE


def default_document(data_dir: Path) -> dict[str, object]:
    """Return the default as a configuration file would say it."""
    return {
        "data_dir": str(data_dir),
        "sources": {
            "customerio": {
                "kind": "customerio",
                "signing_keys": [{"file": str(data_dir / SIGNING_KEY_FILE)}],
            }
        },
        "destinations": {"archive": {"kind": "file", "directory": str(data_dir / "archive")}},
    }

"""``streamer serve``: the command's name and options; `streamer.cli.serving` does the work.

They are apart so that ``streamer serve --help`` and completion load neither
the web framework nor the event loop.
"""

from __future__ import annotations

import signal

from streamer.cli.common import ConfigFile


def serve(*, config: ConfigFile = None) -> None:
    """Run the service until a signal stops it.

    Without a configuration it listens on loopback, makes up a signing key, and
    writes what it receives to files below ./streamer-data.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nothing is read yet that could be reloaded

    from streamer.cli import serving  # noqa: PLC0415 - loads the whole service

    serving.run(config)

"""``streamer aep reconcile``: its options; the work is done in `streamer.cli.reconciling`.

They are apart so that ``--help`` and completion do not load the HTTP client.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from streamer.cli.aep import Destination
from streamer.cli.common import ConfigFile, Json

Since = Annotated[
    str | None,
    Parameter(
        name="--since",
        help="Batches begun at or after: a time (UTC) like 2026-11-23T08:00:00Z, or how long ago, "
        "like 12h or 7d. Default: where it stopped the last time, and a day before that.",
    ),
]
DeadLetters = Annotated[
    bool,
    Parameter(
        name="--dead-letters",
        negative="",
        help="Make dead letters of them, so that they are kept and can be sent again.",
    ),
]
DryRun = Annotated[
    bool, Parameter(name="--dry-run", negative="", help="Only look; write nothing down.")
]


def reconcile(
    *,
    destination: Destination = None,
    since: Since = None,
    dead_letters: DeadLetters = False,
    dry_run: DryRun = False,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Read Adobe's failed batches, and note which accepted events it dropped later.

    Adobe answers before it validates: what fails then is told nowhere else. Run it every hour.
    What was noted stands in `streamer events show`, and is not noted twice.
    """
    from streamer.cli import reconciling  # noqa: PLC0415 - loads the HTTP client

    wanted = reconciling.Wanted(
        destination=destination, since=since, dead_letters=dead_letters, dry_run=dry_run
    )
    reconciling.run(wanted, json=json, config=config)

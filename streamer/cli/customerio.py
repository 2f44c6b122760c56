"""``streamer customerio``: its options; `customerio_setup` and `customerio_webhooks` do the work.

They are apart so that ``--help`` and completion load no HTTP client.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from streamer.cli.common import ConfigFile, Json, Yes

WAIT_SECONDS = 600.0
"""Long enough to find the button in the product."""

Region = Literal["us", "eu"]

Url = Annotated[
    str, Parameter(help="What the world calls: https://hooks.example.com; the path is added.")
]
NewUrl = Annotated[str | None, Parameter(name="--url", help="Another URL, path included.")]
SourceName = Annotated[
    str | None, Parameter(name="--source", help="Whose webhook; needed if there are several.")
]
KeyFile = Annotated[
    Path | None,
    Parameter(help="File with the App API key; else $STREAMER_CUSTOMERIO_APP_API_KEY."),
]
SigningKeyFile = Annotated[
    Path | None,
    Parameter(help="File with the signing key; else $STREAMER_CUSTOMERIO_SIGNING_KEY."),
]
Where = Annotated[Region | None, Parameter(name="--region", help="us or eu, if not configured.")]
ApiUrl = Annotated[
    str | None, Parameter(name="--app-api-url", help="The App API's address, instead of a region.")
]
Name = Annotated[str | None, Parameter(help="What the webhook is called in Customer.io.")]
Events = Annotated[
    list[str] | None,
    Parameter(
        negative="", help="Events such as email_sent or 'email_*'; may be said again. Else all."
    ),
]
FullResolution = Annotated[
    bool | None, Parameter(help="Every open and click, or only the first of each message.")
]
WithContent = Annotated[
    bool | None, Parameter(help="The whole message in `sent` events, or no content.")
]
Enable = Annotated[bool, Parameter(negative="--no-enable", help="Switch it on at the end.")]
Twice = Annotated[bool, Parameter(negative="", help="Wait for a second test event, a repeat.")]
Timeout = Annotated[
    float, Parameter(validator=Number(gt=0, lte=86_400), help="Wait so long for a test event.")
]
Which = Annotated[
    str | None, Parameter(help="Its id, name or URL; left out: the one of the source.")
]
Chosen = Annotated[str, Parameter(help="Its id, name or URL.")]
DryRun = Annotated[bool, Parameter(negative="", help="Only show what would change.")]
Now = Annotated[bool, Parameter(negative="", help="At once, although no service runs here.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Whose webhooks are meant, and how they are asked for, as options."""

    source: SourceName = None
    app_api_key_file: KeyFile = None
    region: Where = None
    config: ConfigFile = None


def setup(
    *,
    url: Url,
    source: SourceName = None,
    app_api_key_file: KeyFile = None,
    signing_key_file: SigningKeyFile = None,
    region: Where = None,
    app_api_url: ApiUrl = None,
    name: Name = None,
    event: Events = None,
    full_resolution: FullResolution = None,
    with_content: WithContent = None,
    twice: Twice = False,
    timeout_seconds: Timeout = WAIT_SECONDS,
    enable: Enable = True,
    config: ConfigFile = None,
) -> None:
    """Make the reporting webhook, prove that its calls arrive, and switch it on.

    Starts from nothing, or goes on where it was ended. It asks for both keys if
    they are not given, and waits until you press Send Test in Customer.io.
    """
    from streamer.cli import customerio_setup  # noqa: PLC0415 - loads the HTTP client
    from streamer.cli.customerio_setup import Asked  # noqa: PLC0415 - the same

    asked = Asked(
        url=url,
        source=source,
        app_api_key_file=app_api_key_file,
        signing_key_file=signing_key_file,
        region=region,
        app_api_url=app_api_url,
        name=name,
        events=tuple(event or ()),
        full_resolution=full_resolution,
        with_content=with_content,
        twice=twice,
        timeout_seconds=timeout_seconds,
        enable=enable,
    )
    customerio_setup.run(asked, config)


def list_webhooks(
    *,
    workspace: Workspace = Workspace(),
    json: Json = False,
) -> None:
    """List the workspace's reporting webhooks."""
    from streamer.cli import customerio_webhooks as work  # noqa: PLC0415 - loads the HTTP client

    work.list_webhooks(work.Desk.open(workspace), json=json)


def show(
    webhook: Which = None,
    /,
    *,
    workspace: Workspace = Workspace(),
    json: Json = False,
) -> None:
    """Show one reporting webhook with its events."""
    from streamer.cli import customerio_webhooks as work  # noqa: PLC0415 - loads the HTTP client

    work.show(work.Desk.open(workspace), webhook, json=json)


def enable_webhook(
    webhook: Which = None,
    /,
    *,
    now: Now = False,
    workspace: Workspace = Workspace(),
    json: Json = False,
) -> None:
    """Switch a webhook on; where no service runs, the service does it when it starts."""
    from streamer.cli import customerio_webhooks as work  # noqa: PLC0415 - loads the HTTP client

    desk = work.Desk.open(workspace)
    work.enable(desk, webhook, at_once=now, json=json)


def disable_webhook(
    webhook: Which = None,
    /,
    *,
    workspace: Workspace = Workspace(),
    json: Json = False,
) -> None:
    """Switch a webhook off; what happens in Customer.io meanwhile is not sent later."""
    from streamer.cli import customerio_webhooks as work  # noqa: PLC0415 - loads the HTTP client

    work.disable(work.Desk.open(workspace), webhook, json=json)


def update(
    webhook: Which = None,
    /,
    *,
    url: NewUrl = None,
    name: Name = None,
    event: Events = None,
    full_resolution: FullResolution = None,
    with_content: WithContent = None,
    dry_run: DryRun = False,
    workspace: Workspace = Workspace(),
    json: Json = False,
) -> None:
    """Change what is asked for, and nothing else; shows what differs."""
    from streamer.cli import customerio_webhooks as work  # noqa: PLC0415 - loads the HTTP client
    from streamer.provision import webhooks  # noqa: PLC0415 - the same

    wanted = webhooks.Wanted(
        url=url,
        name=name,
        events=webhooks.select_events(event) if event else None,
        full_resolution=full_resolution,
        with_content=with_content,
    )
    desk = work.Desk.open(workspace)
    work.update(desk, webhook, wanted, dry_run=dry_run, json=json)


def delete(
    webhook: Chosen,
    /,
    *,
    yes: Yes = False,
    workspace: Workspace = Workspace(),
    json: Json = False,
) -> None:
    """Delete a webhook in Customer.io; what waits there for it is lost."""
    from streamer.cli import customerio_webhooks as work  # noqa: PLC0415 - loads the HTTP client

    desk = work.Desk.open(workspace)
    work.delete(desk, webhook, yes=yes, json=json)


def addresses(
    *,
    workspace: Workspace = Workspace(),
    json: Json = False,
) -> None:
    """List the addresses that Customer.io calls from, which change: never let a firewall rely."""
    from streamer.cli import customerio_webhooks as work  # noqa: PLC0415 - loads the HTTP client

    work.addresses(work.Desk.open(workspace), json=json)

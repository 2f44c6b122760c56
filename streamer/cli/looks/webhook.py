"""The other end: is the webhook at Customer.io what it is taken for here?

Looked at only where the configuration has an App API key that this user can
read. What Customer.io does not tell is a warning: no event is lost by it.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer.cli import common
from streamer.cli.customerio_api import ask
from streamer.cli.customerio_webhooks import is_of
from streamer.cli.looks.finding import Finding, ok, warning
from streamer.config.model import Config
from streamer.core.errors import StreamerError
from streamer.provision.app_api import Webhook
from streamer.provision.webhooks import EVENTS
from streamer.store import switch_on


def webhook(config: Config, source: str, key: str) -> list[Finding]:
    """Ask the App API for the webhook of a source."""
    try:
        found = ask(config.sources[source].app_api_url, key, lambda api: api.webhooks())
    except StreamerError as error:
        detail = f"{source}: {error}"
        return [warning("webhook", "the webhook could not be looked at", detail, error.hint)]
    return judge([one for one in found if is_of(one, source)], source, waits=_waits(config, source))


def _waits(config: Config, source: str) -> bool:
    try:
        return source in common.read_database(config, switch_on.pending)
    except StreamerError:
        return False


def judge(ours: Sequence[Webhook], source: str, *, waits: bool) -> list[Finding]:
    """Judge the webhooks that call a source; ``waits``: the service is to switch it on."""
    if not ours:
        hint = "`streamer customerio setup --url https://YOUR-HOST` makes it."
        return [warning("webhook.there", "no webhook calls this source", source, hint)]
    if len(ours) > 1:
        ids = ", ".join(str(one.id) for one in ours)
        hint = "Each event comes as often: `streamer customerio delete ID`, unless it is meant so."
        return [warning("webhook.there", "several webhooks call this source", ids, hint)]
    [one] = ours
    detail = f"webhook {one.id} calls {one.url}"
    return [
        ok("webhook.there", "a webhook calls this source", detail),
        _state(one, waits),
        _events(one),
    ]


def _state(one: Webhook, waits: bool) -> Finding:
    code, what = "webhook.enabled", "the webhook is enabled"
    if not one.disabled:
        return ok(code, what)
    hint = "`streamer customerio enable` switches it on."
    detail = "nothing is sent"
    if waits:
        hint, detail = "Start the service: it switches the webhook on.", "it waits for the service"
    return warning(code, "the webhook is disabled", detail, hint)


def _events(one: Webhook) -> Finding:
    code, what = "webhook.events", "the webhook sends what it was asked for"
    missing = [event for event in EVENTS if event not in one.events]
    detail = f"{len(one.events)} events are sent"
    if missing:
        detail += f"; not sent: {', '.join(missing)}"
    return ok(code, what, detail)

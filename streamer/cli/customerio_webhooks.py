"""Looking at the workspace's webhooks, and changing one of them."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from streamer.cli import common, console, customerio_keys
from streamer.cli.calls import WEBHOOKS
from streamer.cli.customerio import Workspace
from streamer.cli.customerio_api import ask, url_of
from streamer.cli.known import choose_source
from streamer.config.model import Config
from streamer.core.errors import StoreError, UsageError
from streamer.provision import webhooks
from streamer.provision.app_api import AppApi, Webhook
from streamer.provision.webhooks import Difference, Wanted, Written
from streamer.store import switch_on
from streamer.store.sqlite import Connection

T = TypeVar("T")


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What a command works with."""

    config: Config
    source: str
    key: str
    url: str
    """Of the App API."""

    @staticmethod
    def open(workspace: Workspace) -> Desk:
        """Load the configuration and find the key; raises `StreamerError` when there is none."""
        settings = common.load_config(workspace.config).config
        chosen = choose_source(settings, workspace.source)
        options = settings.sources[chosen]
        key = customerio_keys.given(
            workspace.app_api_key_file, customerio_keys.APP_API_KEY_VARIABLE, os.environ
        ) or customerio_keys.configured(options.app_api_key, os.environ)
        if key is None:
            raise UsageError(
                "there is no App API key",
                hint=f"Set sources.{chosen}.app_api_key, as `streamer customerio setup` does, or "
                f"say --app-api-key-file FILE, or set ${customerio_keys.APP_API_KEY_VARIABLE}.",
            )
        url = url_of(workspace.region, None, options.app_api_url)
        return Desk(config=settings, source=chosen, key=key, url=url)

    def ask(self, work: Callable[[AppApi], Awaitable[T]]) -> T:
        """Do ``work`` with the App API."""
        return ask(self.url, self.key, work)

    def find(self, word: str | None) -> Webhook:
        """Return the webhook that is meant: the one named, or the only one of the source."""
        found = self.ask(lambda api: api.webhooks())
        if word is not None:
            return webhooks.choose(found, word)
        ours = [one for one in found if is_of(one, self.source)]
        if len(ours) == 1:
            return ours[0]
        calling = "no webhook calls" if not ours else f"{len(ours)} webhooks call"
        raise UsageError(
            f"{calling} {WEBHOOKS}{self.source}", hint=webhooks.say_which(ours or found)
        )

    def change(self, webhook: Webhook, wanted: Wanted) -> Written:
        """Bring a webhook to what is asked for."""
        return self.ask(lambda api: webhooks.change(api, webhook, wanted))

    def note(self, work: Callable[[Connection], object]) -> None:
        """Write down what was done, where there is a database to write it in."""
        if not self.config.database_path.exists():
            return
        try:
            common.change_database(self.config, work)
        except StoreError as error:
            console.say([f"it is done, but not in the book of what operators did: {error}"])


def is_of(webhook: Webhook, source: str) -> bool:
    """Tell whether a webhook calls a source of streamer, on whichever machine."""
    try:
        path = urllib.parse.urlsplit(webhook.url).path
    except ValueError:
        return False
    return webhook.type == "webhook" and path.rstrip("/").endswith(WEBHOOKS + source)


def _state_of(webhook: Webhook) -> str:
    """Say in a word whether a webhook calls."""
    return "disabled" if webhook.disabled else "enabled"


def list_webhooks(desk: Desk, *, json: bool) -> None:
    """Print every webhook."""
    console.print_found(
        desk.ask(lambda api: api.webhooks()),
        json=json,
        as_json=lambda one: one,
        headings=("ID", "NAME", "STATE", "EVENTS", "URL"),
        row=lambda one: (one.id, one.name, _state_of(one), len(one.events), one.url or one.type),
        empty="There is no reporting webhook. `streamer customerio setup` makes one.",
    )


def show(desk: Desk, word: str | None, *, json: bool) -> None:
    """Print one webhook."""
    webhook = desk.find(word)
    if json:
        console.print_json(webhook)
        return
    missing = [event for event in webhooks.EVENTS if event not in webhook.events]
    console.print_text(
        [
            f"Webhook        {webhook.id} {webhook.name}",
            f"URL            {webhook.url}",
            f"State          {_state_of(webhook)}{_wished(desk, webhook)}",
            f"Opens, clicks  {'every one' if webhook.full_resolution else 'the first only'}",
            f"Content        {'whole messages' if webhook.with_content else 'left out'}",
            f"Events         {' '.join(webhook.events) or 'none'}",
            f"Not sent       {' '.join(missing) or 'none'}",
        ]
    )


def enable(desk: Desk, word: str | None, *, at_once: bool, json: bool) -> None:
    """Switch a webhook on, or wish for it where nobody would listen."""
    webhook = desk.find(word)
    may_wait = webhook.disabled and not at_once
    if may_wait and left_to_service(desk.config, desk.source, webhook.id):
        _tell(webhook, json, "No service runs here: `streamer serve` switches it on when it is up.")
        return
    written = desk.change(webhook, Wanted(disabled=False))
    _note_switched(desk, webhook, on=True)
    done = "was enabled already" if not webhook.disabled else "is enabled"
    _tell(written.webhook, json, f"Webhook {webhook.id} {done}: it calls {webhook.url}.")


def disable(desk: Desk, word: str | None, *, json: bool) -> None:
    """Switch a webhook off, and forget the wish that it were on."""
    webhook = desk.find(word)
    written = desk.change(webhook, Wanted(disabled=True))
    _note_switched(desk, webhook, on=False)
    done = "was disabled already" if webhook.disabled else "is disabled"
    _tell(written.webhook, json, f"Webhook {webhook.id} {done}.")


def update(desk: Desk, word: str | None, wanted: Wanted, *, dry_run: bool, json: bool) -> None:
    """Change what differs, and show it."""
    webhook = desk.find(word)
    found = webhooks.differences(webhook, wanted)
    if found and not dry_run:
        written = desk.change(webhook, wanted)
        say_left_out(written.left_out)
    if json:
        console.print_json({"webhook": webhook.id, "changed": not dry_run, "differences": found})
        return
    heading = "would change" if dry_run else "has changed"
    lines = [f"Webhook {webhook.id} is so already."]
    if found:
        lines = [f"Webhook {webhook.id} {heading}:", *described(found)]
    console.print_text(lines)


def delete(desk: Desk, word: str, *, yes: bool, json: bool) -> None:
    """Delete a webhook, if it is meant so."""
    webhook = desk.find(word)
    console.confirm(
        f"Delete webhook {webhook.id} ({webhook.name}, {webhook.url}) in Customer.io?", yes=yes
    )
    desk.ask(lambda api: api.delete(webhook.id))
    now = common.now()

    def forget(db: Connection) -> None:
        if switch_on.pending(db).get(desk.source) == webhook.id:
            switch_on.withdraw(db, desk.source, now=now)

    desk.note(forget)
    _tell(webhook, json, f"Webhook {webhook.id} is deleted.")


def addresses(desk: Desk, *, json: bool) -> None:
    """Print where calls come from."""
    found = desk.ask(lambda api: api.addresses())
    if json:
        console.print_json(found)
    else:
        console.print_lines(found)


def left_to_service(config: Config, source: str, webhook_id: int) -> bool:
    """Let the service switch a webhook on when it starts; False where one runs already.

    Raises:
        StoreError: there is no database to leave the wish in.
    """
    if service_listens(config):
        return False
    now = common.now()
    common.change_database(config, lambda db: switch_on.ask(db, source, webhook_id, now=now))
    # One that came up meanwhile may not have seen the wish.
    return not service_listens(config)


def service_listens(config: Config) -> bool:
    """Tell whether a service runs on the data directory, as far as this user can see."""
    return common.service_runs(config.database_path.parent) is True


def waits_for_service(config: Config, source: str, webhook: Webhook) -> bool:
    """Tell whether the service is to switch a webhook on, as far as this user can see."""
    if not config.database_path.exists():
        return False
    try:
        return common.read_database(config, switch_on.pending).get(source) == webhook.id
    except StoreError:
        return False


def described(found: Sequence[Difference]) -> list[str]:
    """Write differences for people; of events, those that come and go."""
    lines = []
    for one in found:
        if isinstance(one.present, tuple) and isinstance(one.wanted, tuple):
            added = [f"+{event}" for event in one.wanted if event not in one.present]
            gone = [f"-{event}" for event in one.present if event not in one.wanted]
            lines.append(f"  events: {' '.join([*added, *gone])}")
        else:
            lines.append(f"  {one.field}: {_worded(one.present)} -> {_worded(one.wanted)}")
    return lines


def say_left_out(events: Sequence[str]) -> None:
    """Tell which events Customer.io does not know here."""
    if events:
        console.say([f"this region of Customer.io does not know, so left out: {', '.join(events)}"])


def _wished(desk: Desk, webhook: Webhook) -> str:
    waits = webhook.disabled and waits_for_service(desk.config, desk.source, webhook)
    return "; `streamer serve` switches it on when it is up" if waits else ""


def _worded(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _note_switched(desk: Desk, webhook: Webhook, *, on: bool) -> None:
    now = common.now()
    desk.note(lambda db: switch_on.note(db, desk.source, webhook.id, on=on, now=now))


def _tell(webhook: Webhook, json: bool, text: str) -> None:
    if json:
        console.print_json(webhook)
    else:
        console.print_text([text])

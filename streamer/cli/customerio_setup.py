"""``streamer customerio setup``: from nothing to a webhook whose calls are proved to arrive.

Each step looks first whether it is done, so an end at any moment loses nothing:
the next run goes on from there. Nothing is enabled before a test event has come
and its signature was right, and not while nobody listens.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import anyio
import msgspec

from streamer.cli import common, console, customerio_keys
from streamer.cli.calling import called_as
from streamer.cli.calls import Place, place_of_url
from streamer.cli.customerio_api import ask, url_of
from streamer.cli.customerio_files import configuration, keep_app_api_key, signing_key
from streamer.cli.customerio_wait import Seen, look, wait_for_test
from streamer.cli.customerio_webhooks import (
    described,
    left_to_service,
    say_left_out,
    service_listens,
    waits_for_service,
)
from streamer.cli.looks import public
from streamer.clock import SystemClock
from streamer.config.load import Loaded
from streamer.core.errors import StreamerError, UsageError
from streamer.provision import webhooks
from streamer.provision.app_api import AppApi, Webhook
from streamer.provision.webhooks import Wanted
from streamer.store import facts, switch_on
from streamer.store.sqlite import Connection

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the options ask for."""

    url: str
    source: str | None
    app_api_key_file: Path | None
    signing_key_file: Path | None
    region: str | None
    app_api_url: str | None
    name: str | None
    events: tuple[str, ...]
    full_resolution: bool | None
    with_content: bool | None
    twice: bool
    timeout_seconds: float
    enable: bool

    def wanted(self, url: str) -> Wanted:
        """Say it in terms of a webhook; raises `UsageError` for events that there are not."""
        return Wanted(
            url=url,
            name=self.name,
            events=webhooks.select_events(self.events) if self.events else None,
            full_resolution=self.full_resolution,
            with_content=self.with_content,
        )


class Scene(msgspec.Struct, frozen=True):
    """What the first steps have found out."""

    loaded: Loaded
    source: str
    place: Place
    api_url: str
    key: str


def run(asked: Asked, config: Path | None) -> None:
    """Set a webhook up, one step after the other."""
    place = _place(asked)
    asked.wanted(place.url)
    loaded, source = configuration(config, asked.source)
    _require_sight(loaded)
    place = place_of_url(asked.url, source=source)
    options = loaded.config.sources[source]
    api_url = url_of(asked.region, asked.app_api_url, options.app_api_url)
    key = _app_api_key(asked, loaded, source)
    webhook = ask(api_url, key, partial(_ensure, asked.wanted(place.url)))
    loaded = keep_app_api_key(loaded, source, key, key_file=asked.app_api_key_file, api_url=api_url)
    scene = Scene(loaded, source, place, api_url, key)
    if not webhook.disabled:
        _tell_enabled(scene, webhook)
        return
    _take_signing_key(asked, scene, webhook)
    if _waits_already(scene, webhook):
        console.print_text(_at_start(scene, webhook))
        return
    listened = service_listens(loaded.config)
    _verify(asked, scene, webhook, listened)
    _finish(asked, scene, webhook)


def _place(asked: Asked) -> Place:
    """Refuse a URL that Customer.io must not call: what is sent over http can be read by others."""
    place = place_of_url(asked.url, source=asked.source or "customerio")
    if place.scheme != "https" and place.host not in _LOOPBACK:
        raise UsageError(
            f"{place.url} is not https",
            hint="Put Caddy or nginx in front, see docs/install.md, and give the public URL.",
        )
    return place


def _require_sight(loaded: Loaded) -> None:
    """Refuse to begin what this user cannot end: the data directory has to be seen for it."""
    directory = loaded.config.database_path.parent
    if common.service_runs(directory) is None:
        raise UsageError(
            f"this user may not look into {directory}",
            hint="Run the command as the service's user, such as `sudo -u streamer`, or as root.",
        )


def _app_api_key(asked: Asked, loaded: Loaded, source: str) -> str:
    variable = customerio_keys.APP_API_KEY_VARIABLE
    options = loaded.config.sources[source]
    key = (
        customerio_keys.given(asked.app_api_key_file, variable, os.environ)
        or customerio_keys.configured(options.app_api_key, os.environ)
        or customerio_keys.prompt(
            "App API key (Customer.io: Account Settings, API Credentials, App API Keys)"
        )
    )
    if key is None:
        raise UsageError(
            "there is no App API key, and nobody to ask for it",
            hint=f"Say --app-api-key-file FILE, or set ${variable}.",
        )
    return key


async def _ensure(wanted: Wanted, api: AppApi) -> Webhook:
    """Return the webhook with the URL, made or changed as far as that was asked for."""
    assert wanted.url is not None
    there = webhooks.with_url(await api.webhooks(), wanted.url)
    if len(there) > 1:
        ids = ", ".join(str(one.id) for one in there)
        raise UsageError(
            f"{len(there)} webhooks call {wanted.url}: {ids}",
            hint="Each event would come as often. Delete all but one of them with "
            "`streamer customerio delete ID`.",
        )
    if not there:
        written = await webhooks.create(api, wanted)
        webhook = written.webhook
        said = f"Made webhook {webhook.id}, disabled, with {len(webhook.events)} events."
    else:
        found = webhooks.differences(there[0], wanted)
        written = await webhooks.change(api, there[0], wanted)
        webhook = written.webhook
        said = f"Webhook {webhook.id} is there already."
        if webhook != there[0]:
            said = "\n".join([f"Webhook {webhook.id} has changed:", *described(found)])
    say_left_out(written.left_out)
    console.print_text(said.splitlines())
    return webhook


def _tell_enabled(scene: Scene, webhook: Webhook) -> None:
    lines = [f"Webhook {webhook.id} is enabled already: it calls {webhook.url}."]
    if not service_listens(scene.loaded.config):
        lines.append(
            f"No service runs on {scene.loaded.config.data_dir}: if this machine is to take its "
            f"calls, run `{called_as()} serve`, for each call that is refused costs an hour."
        )
    console.print_text(lines)


def _take_signing_key(asked: Asked, scene: Scene, webhook: Webhook) -> None:
    """Have the key in place, and tell what a running service has to be told of it."""
    console.print_text(
        [
            f"The signing key is shown on the page of webhook {webhook.id} ({webhook.name}) in "
            "Customer.io: Integrations, Reporting Webhooks. No API gives it out.",
        ]
    )
    changed = signing_key(scene.loaded, scene.source, key_file=asked.signing_key_file)
    if changed is not None and service_listens(scene.loaded.config):
        how = "systemctl reload streamer"
        if scene.loaded.config.sources[scene.source].signing_keys[0].credential is not None:
            how = "systemctl restart streamer"
        console.print_text([f"The signing key is new: let the service read it: `{how}`."])


def _waits_already(scene: Scene, webhook: Webhook) -> bool:
    """Tell whether an earlier run has proved everything and left it to the service."""
    config = scene.loaded.config
    return not service_listens(config) and waits_for_service(config, scene.source, webhook)


def _verify(asked: Asked, scene: Scene, webhook: Webhook, listened: bool) -> None:
    """Wait for the test event, received by the service that runs or by ourselves."""
    work = partial(_wait, asked, scene, webhook)
    if listened:
        anyio.run(work)
        return
    from streamer.cli.customerio_receive import receive  # noqa: PLC0415 - loads the whole service

    directory = scene.loaded.config.database_path.parent
    if directory.exists() and directory.stat().st_uid != os.geteuid():
        raise UsageError(
            f"no service runs, and {directory} belongs to another user",
            hint="Start the service (`systemctl start streamer`) and run the command again: it "
            "goes on from here.",
        )
    _forget_wish(scene)
    receive(scene.loaded.config, scene.loaded.path, work)


def _forget_wish(scene: Scene) -> None:
    """Take back what an earlier run wished for about another webhook."""
    config, now = scene.loaded.config, common.now()
    if config.database_path.exists():
        common.change_database(config, lambda db: switch_on.withdraw(db, scene.source, now=now))


async def _wait(asked: Asked, scene: Scene, webhook: Webhook) -> None:
    seen = await _look(scene)
    for line in await anyio.to_thread.run_sync(_on_the_way, scene):
        console.print_text([line])
    for time in range(2 if asked.twice else 1):
        again = " once more" if time else ""
        console.print_text(
            [
                f"Now press *Send Test*{again} on the page of webhook {webhook.id} in Customer.io. "
                f"Waiting for the call at {scene.place.url} (Ctrl-C ends it, and nothing is lost)."
            ]
        )
        console.flush()
        with console.waiting("waiting for the test event"):
            after = await wait_for_test(
                seen,
                partial(_look, scene),
                clock=SystemClock(),
                timeout_seconds=asked.timeout_seconds,
                tell=console.say,
            )
        repeat = after.duplicates > seen.duplicates
        how = "a repeat, as every test after the first" if repeat else "new, and stored"
        console.print_text([f"The test event has arrived and its signature is right ({how})."])
        seen = after


async def _look(scene: Scene) -> Seen:
    read = partial(common.read_database, scene.loaded.config, partial(_seen, scene.source))
    return await anyio.to_thread.run_sync(read)


def _seen(source: str, db: Connection) -> Seen:
    return look(db, source)


def _on_the_way(scene: Scene) -> list[str]:
    """Go the way that the call will go, and tell what stands in it."""
    instance = common.read_database(scene.loaded.config, facts.instance)
    known = public.Known(instance=instance, running=True)
    try:
        findings = public.public_url(scene.place, known)
    except (StreamerError, OSError) as error:
        return [f"The way to {scene.place.url} could not be looked at: {error}"]
    found = [one for one in findings if one.state == "failed"]
    return [f"ATTENTION: {one.what}: {one.detail}. {one.hint}".strip() for one in found]


def _finish(asked: Asked, scene: Scene, webhook: Webhook) -> None:
    """Switch it on, or leave that to the service where none runs yet."""
    config, source = scene.loaded.config, scene.source
    if not asked.enable:
        console.print_text([f"Webhook {webhook.id} stays disabled, as asked."])
        return
    if left_to_service(config, source, webhook.id):
        console.print_text(_at_start(scene, webhook))
        return
    enable = partial(webhooks.change, webhook=webhook, wanted=Wanted(disabled=False))
    ask(scene.api_url, scene.key, enable)
    now = common.now()
    common.change_database(
        config, lambda db: switch_on.note(db, source, webhook.id, on=True, now=now)
    )
    console.print_text(
        [f"Webhook {webhook.id} is enabled. `{called_as()} status` shows what comes."]
    )


def _at_start(scene: Scene, webhook: Webhook) -> list[str]:
    return [
        f"All is proved. Webhook {webhook.id} stays disabled until somebody listens: start the "
        "service, and it switches the webhook on by itself when it is ready:",
        f"  {called_as()} serve --config {scene.loaded.path}",
    ]

"""What ``streamer aep setup`` says: each step as it is taken, then what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from streamer.cli import console
from streamer.provision.aep_settings import Made
from streamer.provision.aep_step import Act, State

_WORDS: Mapping[State, str] = {
    "kept": "is there",
    "changed": "changed",
    "made": "made",
    "to change": "would change",
    "to make": "would make",
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of the steps."""

    tenant: str
    left_out: Sequence[str]
    """Optional field groups that there are none of."""
    tables: Mapping[str, Made]
    """By the name of the destination."""
    webhook_url: str
    """Of Adobe's own source; empty without it."""


class Teller:
    """Tells people line by line, and programs all at once at the end."""

    def __init__(self, *, json: bool, dry_run: bool, platform_url: str) -> None:
        self._json = json
        self._dry_run = dry_run
        self._platform_url = platform_url
        self._acts: list[Act] = []

    def act(self, act: Act) -> None:
        """Tell of one step."""
        self._acts.append(act)
        if self._json:
            return
        notes = "".join(f"; {note}" for note in act.notes)
        console.print_text([f"{_WORDS[act.state]:<13}{act.what} {act.name!r} ({act.id}){notes}"])
        if self._dry_run:
            console.print_lines(self._calls(act))
        console.flush()

    def _calls(self, act: Act) -> list[str]:
        lines = []
        for call in act.calls:
            lines.append(f"    {call.method} {self._platform_url}{call.path}")
            lines += [f"    {name}: {value}" for name, value in call.headers.items()]
            body = msgspec.json.format(msgspec.json.encode(call.body), indent=2).decode()
            lines += [f"    {line}" for line in body.splitlines()]
        return lines

    def stopped(self) -> None:
        """Say what an error or Ctrl-C in the middle means."""
        if self._acts and not self._dry_run:
            console.say(["what was made stays; the same command goes on from here"])

    def end(
        self,
        outcome: Outcome,
        *,
        written: Sequence[str],
        file: Path,
        service_runs: bool | None,
    ) -> None:
        """Tell what came of it all, and what to do next."""
        settings = {name: made.values() for name, made in outcome.tables.items()}
        if self._json:
            result = {
                "dry_run": self._dry_run,
                "tenant": outcome.tenant,
                "left_out": outcome.left_out,
                "acts": self._acts,
                "destinations": settings,
                "configuration": str(file),
                "written": written,
                "webhook_url": outcome.webhook_url or None,
            }
            console.print_json(result)
            return
        lines = _about_groups(outcome.left_out)
        if self._dry_run:
            lines += _would_write(settings, file)
        else:
            lines += _wrote(written, outcome.tables, file, service_runs=service_runs)
        console.print_text([*lines, *_about_adobes_source(outcome.webhook_url)])


def _about_groups(left_out: Sequence[str]) -> list[str]:
    if not left_out:
        return []
    return [
        "",
        f"Adobe does not offer this organisation: {', '.join(left_out)}. Done without: "
        "`email_details` is false, and links and bounce reasons stand in the tenant's own fields.",
    ]


def _would_write(settings: Mapping[str, Mapping[str, object]], file: Path) -> list[str]:
    lines = ["", f"Nothing was made. {file} would say:"]
    for name, values in settings.items():
        lines += ["", f"[destinations.{name}]", *(_setting(*item) for item in values.items())]
    return lines


def _setting(key: str, value: object) -> str:
    if isinstance(value, dict):
        inside = ", ".join(_setting(*item) for item in value.items())
        return f"{key} = {{ {inside} }}"
    return f"{key} = {msgspec.json.encode(value).decode()}"


def _wrote(
    written: Sequence[str], tables: Mapping[str, Made], file: Path, *, service_runs: bool | None
) -> list[str]:
    if not written:
        names = ", ".join(f"[destinations.{name}]" for name in tables)
        return ["", f"{file} says all of it already, in {names}."]
    return [
        "",
        f"Wrote {', '.join(f'[destinations.{name}]' for name in written)} to {file}.",
        "A new destination begins with the earliest event in the outbox; "
        '`start = "now"` in its table changes that, before the service has seen it.',
        _next(tables, service_runs=service_runs),
        "Then `streamer aep doctor` and `streamer aep status` look at both sides.",
    ]


def _next(tables: Mapping[str, Made], *, service_runs: bool | None) -> str:
    if service_runs is False:
        return "The service is not running: it takes this up when it starts."
    if any("credential" in made.client_secret for made in tables.values()):
        return (
            "Next: `streamer check`, then `systemctl restart streamer`: a credential is handed to "
            "the service only when it starts."
        )
    return "Next: `streamer check`, then `systemctl reload streamer` (or SIGHUP)."


def _about_adobes_source(webhook_url: str) -> list[str]:
    if not webhook_url:
        return []
    return [
        "",
        "Adobe's own Customer.io source takes webhooks at",
        f"  {webhook_url}",
        "It checks no signature: whoever knows this URL can write to the dataset. A webhook that "
        "goes there as well as to streamer brings every event into Adobe twice.",
    ]

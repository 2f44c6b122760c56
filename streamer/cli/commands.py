"""The commands: names and help here, everything else where a command lives.

Commands are registered by import path, so that ``--help`` and completion load
neither web framework nor HTTP client, and a command loads only what it needs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App

from streamer.cli import INTERRUPTED, completion, layout, streams
from streamer.core.errors import StreamerError, UsageError

app = App(
    name="streamer",
    help="Receives Customer.io reporting webhooks, keeps them safe, delivers them in order.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,  # `main` ends every command in the same way
)


def _add(parent: App, name: str, target: str, text: str) -> None:
    parent.command(f"streamer.cli.{target}", name=name, help=text)


def _group(name: str, text: str) -> App:
    group = App(name=name, help=text)
    app.command(group)
    return group


_add(app, "serve", "serve:serve", "Run the service until a signal stops it.")
_add(app, "init", "init:init", "Write a commented configuration to start from.")
_add(app, "check", "check:check", "Report everything that is wrong with the configuration.")
_add(app, "doctor", "doctor:doctor", "Look at everything that could cost an hour of events.")
_add(app, "status", "status:status", "Show how far each destination is, and what is wrong.")
_add(app, "send-sample", "send_sample:send_sample", "Send signed sample events to the service.")

_events = _group("events", "Look at received events.")
_add(_events, "list", "events:list_events", "List events, newest last.")
_add(_events, "show", "events:show", "Show one event and what each destination made of it.")

_letters = _group("dead-letters", "Events that a destination will never take.")
_add(_letters, "list", "dead_letters:list_letters", "List dead letters.")
_add(_letters, "show", "dead_letters:show", "Show one dead letter with its event.")
_add(_letters, "retry", "dead_letters:retry", "Send dead letters again.")
_add(_letters, "discard", "dead_letters:discard", "Give dead letters up for good.")
_add(_letters, "export", "dead_letters:export", "Write dead letters as JSON lines.")

_quarantine = _group("quarantine", "Signed calls that could not be read as events.")
_add(_quarantine, "list", "quarantine:list_entries", "List what is in quarantine.")
_add(_quarantine, "show", "quarantine:show", "Show one entry with its raw bytes.")
_add(_quarantine, "retry", "quarantine:retry", "Read entries again, with the present program.")
_add(_quarantine, "discard", "quarantine:discard", "Delete entries for good.")

_replay = _group("replay", "Send parts of the outbox again.")
_add(_replay, "start", "replay:start", "Start a replay, or rewind the live cursor.")
_add(_replay, "list", "replay:list_replays", "List replays and their progress.")
_add(_replay, "cancel", "replay:cancel", "Call a replay off.")

_destination = _group("destination", "Pause, resume, test and forget destinations.")
_add(_destination, "list", "destination:list_destinations", "List destinations.")
_add(_destination, "pause", "destination:pause", "Stop draining until it is resumed.")
_add(_destination, "resume", "destination:resume", "Drain again, and at once.")
_add(_destination, "test", "destination:test", "Test a destination without sending an event.")
_add(_destination, "forget", "destination:forget", "Drop one that is no longer configured.")

_db = _group("db", "Look after the database.")
_add(_db, "migrate", "db:migrate", "Bring the schema up to date.")
_add(_db, "status", "db:status", "Show schema, sizes and versions.")
_add(_db, "backup", "db:backup", "Write a copy while the service runs.")
_add(_db, "restore", "db:restore", "Put a copy in place of the database.")
_add(_db, "check", "db:check", "Check the database for damage.")
_add(_db, "salvage", "db:salvage", "Rescue what can be read of a damaged database.")
_add(_db, "shell", "db:shell", "Open sqlite3 on the database, for reading.")
_add(_db, "confirm-clock", "db:confirm_clock", "Confirm the wall clock after a jump.")


_catalog = _group("catalog", "What Customer.io is known to send, and what is new.")
_add(_catalog, "list", "catalog:list_types", "List the known types and their fields.")
_add(_catalog, "schema", "catalog:schema", "Print JSON Schema or AsyncAPI of the known types.")
_add(_catalog, "drift", "catalog:show_drift", "Show what came that is not known.")
_add(_catalog, "forget-drift", "catalog:forget_drift", "Empty that report.")

_mapping = _group("mapping", "See and try what events become for Adobe Experience Platform.")
_add(_mapping, "show", "mapping:show", "Show the rules that apply.")
_add(_mapping, "render", "mapping:render", "Print the XDM entity of an event; send nothing.")
_add(_mapping, "test", "mapping:test", "Compare entities with those that are kept in files.")

_aep = _group("aep", "Set up and look after Adobe Experience Platform.")
_add(_aep, "setup", "aep:setup", "Make what events need in Adobe, and configure it here.")
_add(_aep, "status", "aep:status", "Show both sides of a destination in Adobe.")
_add(_aep, "doctor", "aep:doctor", "Look at everything in Adobe that could lose events.")
_add(_aep, "runs", "aep:runs", "List what the dataflow took in, and what failed.")
_add(_aep, "enable", "aep:enable", "Switch the dataflow on.")
_add(_aep, "disable", "aep:disable", "Switch the dataflow off.")
_add(_aep, "reconcile", "aep_reconcile:reconcile", "Note what Adobe dropped after accepting it.")
_add(_aep, "teardown", "aep:teardown", "Delete what the setup made.")

_customerio = _group("customerio", "Set up and look after the reporting webhook.")
_add(_customerio, "setup", "customerio:setup", "Make the webhook, prove that it works, enable it.")
_add(_customerio, "list", "customerio:list_webhooks", "List the workspace's reporting webhooks.")
_add(_customerio, "show", "customerio:show", "Show one reporting webhook with its events.")
_add(_customerio, "enable", "customerio:enable_webhook", "Switch a webhook on.")
_add(_customerio, "disable", "customerio:disable_webhook", "Switch a webhook off.")
_add(_customerio, "update", "customerio:update", "Change a webhook; shows what differs.")
_add(_customerio, "delete", "customerio:delete", "Delete a webhook.")
_add(_customerio, "addresses", "customerio:addresses", "List where calls come from.")


completion.register(app)


def main() -> None:
    """Run a command; say what went wrong and what to do, and exit with the error's own code."""
    streams.make_whole()
    try:
        sys.exit(_run())
    except BrokenPipeError:
        streams.drop()
        sys.exit(streams.READER_GONE)
    except SystemExit as stop:
        # The library that prints help has met the broken pipe itself.
        if isinstance(stop.__context__, BrokenPipeError):
            sys.exit(streams.READER_GONE)
        raise


def _run() -> int:
    try:
        try:
            require_text(sys.argv[1:])
            app()
        finally:
            streams.write(sys.stdout.flush)
    except StreamerError as error:
        return report(error)
    except OSError as error:  # from the library that prints help; commands write in `console`
        if not streams.is_of_output(error):
            raise
        return report(streams.not_written(error))
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            sys.stderr.write("\n")  # the terminal has written ^C, perhaps behind a question
        return INTERRUPTED
    return 0


def require_text(arguments: Sequence[str]) -> None:
    """Refuse arguments that are no text: neither the database nor JSON could take them."""
    for number, argument in enumerate(arguments, start=1):
        if not argument.isascii() and any("\ud800" <= each <= "\udfff" for each in argument):
            shown = argument.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            raise UsageError(
                f"argument {number}, '{shown}', is not UTF-8 text",
                hint="Look at what wrote it, and at the terminal's encoding (`locale`).",
            )


def report(error: StreamerError) -> int:
    """Write an error for a person to standard error; return the exit code."""
    width = layout.paper(sys.stderr).width
    for text in (f"streamer: {error}", error.hint and f"  {error.hint}"):
        for line in text.splitlines():
            sys.stderr.write("".join(f"{part}\n" for part in layout.fold(line, width)))
    return error.exit_code

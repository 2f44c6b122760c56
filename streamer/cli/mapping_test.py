"""``streamer mapping test``: events, and what must come of them, kept as files side by side.

Of ``NAME.event.json`` must come what ``NAME.xdm.json`` holds: the same values in the same
places, numbers of the same kind, and nothing more. How the file is laid out does not matter.
``null`` stands for an event that nothing is sent for.
"""

from __future__ import annotations

import difflib
import json as standard_json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from streamer.cli import console
from streamer.cli.mapping_choice import Chosen
from streamer.cli.mapping_render import event_of, unmappable
from streamer.cli.wording import count
from streamer.core.errors import StreamerError, UsageError
from streamer.core.xdm.mapper import Unmappable

EVENT = ".event.json"
GOLDEN = ".xdm.json"

Verdict = Literal["same", "different", "wrong", "written"]
"""``wrong``: there is nothing that could be compared."""

_CONTEXT_LINES = 2


class Case(msgspec.Struct, frozen=True):
    """What was found of one name."""

    name: str
    verdict: Verdict
    detail: tuple[str, ...] = ()
    """A difference line by line, or what is wrong and what to do."""


def run(chosen: Chosen, directory: Path, *, update: bool, json: bool) -> None:
    """Look at every pair of files, and end with 1 if any is not as it must be."""
    console.say(chosen.notes())
    names = _names(directory)
    cases = [_case(chosen, directory, name, update=update) for name in names]
    failed = [case for case in cases if case.verdict in {"different", "wrong"}]
    if json:
        console.print_json(cases)
    else:
        console.print_lines(_told(cases, len(failed)))
    if failed:
        console.flush()
        sys.exit(StreamerError.exit_code)


def _names(directory: Path) -> list[str]:
    try:
        files = [path.name for path in directory.iterdir()]
    except OSError as error:
        raise UsageError(f"{directory} cannot be read: {error.strerror}") from error
    names = {
        file.removesuffix(ending)
        for file in files
        for ending in (EVENT, GOLDEN)
        if file.endswith(ending)
    }
    if not names:
        raise UsageError(
            f"{directory} holds no file that ends in {EVENT}",
            hint=f"`streamer events show ID --raw > {directory}/NAME{EVENT}` makes one.",
        )
    return sorted(names)


def _case(chosen: Chosen, directory: Path, name: str, *, update: bool) -> Case:
    event_file, golden_file = directory / f"{name}{EVENT}", directory / f"{name}{GOLDEN}"
    try:
        made = _made(chosen, event_file)
        if update:
            return _update(name, golden_file, made)
        golden = _golden(golden_file)
    except StreamerError as error:
        return Case(name, "wrong", (str(error), *([error.hint] if error.hint else [])))
    if made == golden:
        return Case(name, "same")
    return Case(name, "different", tuple(_difference(golden, made, golden_file)))


def _made(chosen: Chosen, file: Path) -> str:
    body = _read(file, f"There is a {GOLDEN[1:]} for it: put the event beside it, or delete that.")
    event = event_of(body, name=str(file))
    mapped = chosen.map(event)
    if isinstance(mapped, Unmappable):
        raise unmappable(event, mapped)
    return _laid_out(standard_json.loads(mapped.entity) if mapped else None)


def _golden(file: Path) -> str:
    text = _read(file, "Look at what `streamer mapping render` prints, and keep it with --update.")
    try:
        return _laid_out(standard_json.loads(text))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON: {error}") from None


def _read(file: Path, hint: str) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{file} is missing", hint=hint) from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _laid_out(value: object) -> str:
    """Write JSON so that equal values, and only they, are equal texts."""
    return standard_json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _update(name: str, file: Path, made: str) -> Case:
    try:
        if _golden(file) == made:
            return Case(name, "same")
    except StreamerError:
        pass  # it is missing or no JSON, and written anew
    try:
        file.write_text(made, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
    return Case(name, "written")


def _difference(golden: str, made: str, file: Path) -> Iterator[str]:
    lines = difflib.unified_diff(
        golden.splitlines(), made.splitlines(), str(file), "made", n=_CONTEXT_LINES, lineterm=""
    )
    return iter(lines)


def _told(cases: Sequence[Case], failed: int) -> Iterator[str]:
    for case in cases:
        yield f"{case.verdict:<9}  {case.name}"
        for line in case.detail:
            yield f"           {line}"
    events = count(len(cases), "event")
    if failed:
        yield f"{failed} of {events} {'is' if failed == 1 else 'are'} not as expected"
    else:
        yield f"{events}: all as expected"

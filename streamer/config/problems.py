"""What is wrong with a configuration, said so that it can be mended.

Every problem names the key path, and the file's line or the environment
variable that it came from. All of them are reported at once. No message
repeats a value that could be a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from streamer.core.errors import ConfigurationError

KeyPath = tuple[str | int, ...]
"""Where a value stands: table names and keys, and the index in a list."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake, or one warning."""

    path: str
    """Key path such as ``destinations.hook.url``; empty when it concerns the whole file."""
    message: str
    hint: str = ""
    """What to write instead, as a sentence."""
    where: str = ""
    """``FILE:LINE`` or the name of an environment variable, as far as it is known."""

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        subject = f"{self.path}{where}" if self.path else self.where
        head = f"{subject}: {self.message}" if subject else self.message
        return f"{head}\n    {self.hint}" if self.hint else head


class ConfigurationErrors(ConfigurationError):
    """All mistakes of one configuration."""

    def __init__(
        self,
        problems: Sequence[Problem],
        *,
        subject: str = "the configuration",
        path: Path | None = None,
    ) -> None:
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        lines = "\n".join(f"  {line}" for problem in problems for line in str(problem).splitlines())
        super().__init__(
            f"{count} in {subject}:\n{lines}",
            hint="Mend what is listed and look again with `streamer check`.",
        )
        self.problems = list(problems)
        self.path = path
        """The file, absolute, if there was to be one."""


def dotted(path: KeyPath) -> str:
    """Write a key path as people do: ``sources.customerio.signing_keys[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion as a sentence, or list what there is when nothing is near."""
    choices = sorted(known)
    if near := nearest(word, choices):
        return f"Did you mean `{near}`?"
    return "Known: " + ", ".join(f"`{choice}`" for choice in choices) + "."


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a misspelt one most likely stands for, if any is near."""
    near = difflib.get_close_matches(word.lower(), sorted(known), n=1)
    return near[0] if near else None
